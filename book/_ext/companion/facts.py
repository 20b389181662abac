"""What stands under every page: reading time, version, date, licence, how to cite."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes

from companion.results import PRESET

WORDS_A_MINUTE = 220
#: What a search or a link shows of a page whose text has no plain sentence.
DEFAULT = (
    "Two papers on learning dynamical systems, run again: every claim, our numbers, and a verdict."
)


START = re.compile(r"(?!(It|Its|They|Their|This|These|That|But|Yet|What it)\b)[A-Z]")


def sentence(doctree: nodes.document | None) -> str:
    """The first sentence of a page that stands for itself, and a few more if it is short.

    It has no formula, and does not begin with a word that points back.
    """
    for paragraph in doctree.findall(nodes.paragraph) if doctree else ():
        if not isinstance(paragraph.parent, nodes.section):
            continue
        text = "".join(
            "\0" if isinstance(each.parent, nodes.math) else each.astext()
            for each in paragraph.findall(nodes.Text)
        )
        text = re.sub(r"\s*\[[^]]*\d{4}\]", "", " ".join(text.split()))  # citations
        found = ""
        for each in re.split(r"(?<=[.?!])\s+", text):
            if len(found) > 80 or (found and "\0" in each):
                break
            if "\0" not in each and (found or START.match(each)):
                found = f"{found} {each}".strip()
        if found.endswith((".", "?", "!")):
            return found if len(found) <= 300 else f"{found[:297].rpartition(' ')[0]} …"
    return DEFAULT


def minutes(doctree: nodes.document) -> int:
    """How long a page takes to read, without its code, its folded parts and the rows of claims."""
    folded, apart = (nodes.literal_block, nodes.raw), {"sd-dropdown", "claim"}
    words = 0
    for text in doctree.findall(nodes.Text):
        above, node = False, text.parent
        while node is not None and not above:
            above = isinstance(node, folded) or not apart.isdisjoint(node.get("classes", []))
            node = node.parent
        words += 0 if above else len(text.astext().split())
    return max(1, round(words / WORDS_A_MINUTE))


def entry(kind: str, key: str, fields: dict[str, str]) -> str:
    """A BibTeX entry."""
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{lines}}}"


def author(each: dict[str, str]) -> str:
    """A person or a group as BibTeX reads it."""
    return f"{each['family-names']}, {each['given-names']}" if "name" not in each else (
        f"{{{each['name']}}}"
    )  # fmt: skip


def bibtex(citation: dict[str, Any], year: int, page: str) -> str:
    """BibTeX of the book and of the papers that it re-runs, from CITATION.cff."""
    book = {
        "title": f"{{{citation['title']}}}",
        "author": " and ".join(map(author, citation["authors"])),
        "year": str(year),
        "version": citation["version"],
        "url": page,
    }
    found = [entry("software", f"companion{year}", book)]
    for each in citation["references"]:
        fields = {
            "title": f"{{{each['title']}}}",
            "author": " and ".join(map(author, each["authors"])),
            "year": str(each["year"]),
            "doi": each["doi"],
        }
        key = each["authors"][0]["family-names"].lower() + str(each["year"])
        found.append(entry(each["type"], key, fields))
    return "\n\n".join(found)


@cache
def made(folder: Path) -> datetime:
    """When the newest results of the book were begun."""
    started = [json.loads(path.read_text(encoding="utf-8"))["provenance"]["started"]
               for path in folder.glob("*.json")]  # fmt: skip
    return datetime.fromisoformat(max(started, default="2026-01-01T00:00:00Z").rstrip("Z"))


def page_facts(app, page, template, context, doctree) -> None:
    """Add the reading time under the title of a page, and the rest at its end."""
    source = Path(app.srcdir) / "CITATION.cff"
    if doctree is None or not source.exists():
        return
    citation = yaml.safe_load(source.read_text(encoding="utf-8"))
    date = made(Path(app.srcdir) / "results" / PRESET)
    files = f"{app.config.html_theme_options.get('repository_url', '')}/blob/main"
    time = minutes(doctree)
    words = f"{time} minute{'s' if time > 1 else ''} to read"
    if page != app.config.root_doc:
        context["body"] = context["body"].replace(
            "</h1>", f'</h1>\n<p class="page-facts">{words}</p>', 1
        )
        words = ""
    text = escape(bibtex(citation, date.year, f"{app.config.html_baseurl}{page}.html"))
    facts = [
        *([words[0].upper() + words[1:]] if words else []),
        f"Version {citation['version']}",
        f"numbers of {date.day} {date:%B %Y}",
        f'text under <a href="{files}/LICENSE-text">CC BY 4.0</a>, '
        f'code under <a href="{files}/LICENSE">{citation["license"]}</a>',
    ]
    context["body"] += (
        f'<footer class="page-facts"><p>{", ".join(facts)}.</p>'
        "<details><summary>How to cite</summary>"
        f'<div class="highlight-bibtex"><div class="highlight"><pre>{text}\n</pre></div></div>'
        "</details></footer>"
    )
