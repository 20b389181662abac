"""The words in tables of the chapters: each is explained once, and leads to its entry."""

from __future__ import annotations

import re

from docutils import nodes

CHAPTERS = ("tokens/", "structure/", "beyond/")
#: Terms of the glossary. The longer one comes first, so that it is found whole.
LEGEND = ("as printed", "printed", "released", "ours", "reading", "matched", "fresh")
PLAIN = (nodes.paragraph, nodes.emphasis, nodes.strong)
WORD = re.compile(rf"\b({'|'.join(LEGEND)})\b", re.I)


def glossary(env) -> dict[str, tuple[str, str]]:
    """Of each word of the legend, the id of its entry and the first sentence there."""
    found = {}
    for item in env.get_doctree("glossary").findall(nodes.definition_list_item):
        for term in item.findall(nodes.term):
            if term.astext() in LEGEND:
                words = " ".join(item.next_node(nodes.definition).astext().split())
                found[term.astext()] = term["ids"][0], re.split(r"(?<=[.])\s", words)[0]
    return found


def legend(app, doctree: nodes.document, docname: str) -> None:
    """Link the words in the tables of a chapter, and explain them above the first."""
    tables = list(doctree.findall(nodes.table))
    if not docname.startswith(CHAPTERS) or not tables:
        return
    entries, used = glossary(app.env), {}
    page = app.builder.get_relative_uri(docname, "glossary")
    for table in tables:
        seen: set[str] = set()
        for text in [
            each for entry in table.findall(nodes.entry) for each in entry.findall(nodes.Text)
        ]:
            match = WORD.search(text)
            if not match or not isinstance(text.parent, PLAIN):
                continue
            word = match[1].lower()
            if word in seen or word not in entries:
                continue
            seen.add(word)
            place, words = entries[word]
            used.setdefault(word, (tables.index(table), words))
            link = nodes.reference(
                "",
                match[1],
                refuri=f"{page}#{place}",
                reftitle=words,
                internal=True,
                classes=["word"],
            )
            before, after = text[: match.start()], text[match.end() :]
            text.parent.replace(text, [nodes.Text(before), link, nodes.Text(after)])
    if not used:
        return
    first = tables[min(place for place, _ in used.values())]
    items = [
        nodes.definition_list_item(
            "", nodes.term("", word), nodes.definition("", nodes.paragraph("", used[word][1]))
        )
        for word in LEGEND
        if word in used
    ]
    # Not in the theme's margin: there it hides the contents of the page, or overflows a small one.
    words = nodes.container("", nodes.definition_list("", *items), classes=["legend"])
    while not isinstance(first.parent, nodes.section):
        first = first.parent
    first.parent.insert(first.parent.index(first), words)
