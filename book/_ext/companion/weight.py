"""Pages load what they use: the icons that the book shows, and mathematics where there is some."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

#: An icon in the theme's script: name, width, height, other names, path.
ICON = re.compile(r'[{,]"?([\w-]+)"?:\[(\d+),(\d+),\[([^\]]*)\],"[0-9a-f]+","([^"]+)"\]')
SCRIPT = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
#: The theme's own script adds this one.
ADDED = {"xmark"}
ALL = ":is(.fa-solid, .fas, .fa-brands, .fab)"


def mathematics(app, page, template, context, doctree) -> None:
    """Leave MathJax out of a page without formulas (Sphinx adds it to their table of contents)."""
    if 'class="math' not in context.get("body", "") + str(context.get("toc", "")):
        scripts = context["script_files"]
        scripts[:] = [each for each in scripts if "mathjax/" not in str(each.filename)]


def stylesheet(library: str, names: set[str]) -> str:
    """The icons of these names as a style sheet: shapes that take the colour of the text."""
    found = {}
    for name, width, height, others, path in ICON.findall(library):  # solid ones come last
        for each in (name, *re.findall(r'"([\w-]+)"', others)):
            found[each] = width, height, path
    rules = [
        f"{ALL} {{ font-family: inherit; }}",  # not the theme's font, which weighs 150 kB
        f'{ALL}::before {{ content: ""; display: inline-block; height: 1em; '
        "vertical-align: -0.125em; "
        "background: currentColor; mask: var(--icon) center / contain no-repeat; }",
    ]
    for name in sorted(names & set(found)):
        width, height, path = found[name]
        image = quote(
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'>"
            f"<path d='{path}'/></svg>",
            safe="/:='",
        )
        rules.append(
            f".fa-{name}::before {{ width: calc(1em * {width} / {height}); "
            f'--icon: url("data:image/svg+xml,{image}"); }}'
        )
    return "\n".join(rules) + "\n"


def icons(app, error) -> None:
    """Put the icons that pages show in place of the theme's script with two thousand of them."""
    static = Path(app.outdir) / "_static"
    library = static / "scripts" / "fontawesome.js"
    if error is not None or app.builder.format != "html" or not library.exists():
        return
    text, names = library.read_text(encoding="utf-8"), set(ADDED)
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        for classes in re.findall(r'class="([^"]*\bfa-[^"]*)"', page):
            names |= set(re.findall(r"\bfa-([a-z0-9-]+)", classes))
        if SCRIPT.search(page):
            path.write_text(SCRIPT.sub("", page), encoding="utf-8")
    (static / "icons.css").write_text(stylesheet(text, names), encoding="utf-8")
    for path in library.parent.glob("fontawesome.js*"):
        path.unlink()
