"""What every rendered page gets: links, figures for a dark ground, Open Graph tags, scripts."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from html import escape, unescape
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from companion.facts import sentence
from workflow.files import checksum
from workflow.runs.outputs import on_dark


def fix_links(app, page, template, context, doctree) -> None:
    """Launch, edit and download links of a run's page lead to its notebook in the repository."""
    if not page.startswith("runs/"):
        return
    notebooks = json.loads(
        (Path(app.srcdir) / "runs" / "notebooks.json").read_text(encoding="utf-8")
    )
    notebook = notebooks[page.removeprefix("runs/")]

    def walk(item) -> None:
        if isinstance(item, list):
            for each in item:
                walk(each)
        elif isinstance(item, dict):
            walk(item.get("buttons", []))
            url = item.get("url")
            if isinstance(url, str):
                url = url.replace(f"/book/{page}.ipynb", f"/notebooks/{notebook}.ipynb")
                if "/edit/" in url:
                    url = url.removesuffix(".ipynb") + ".py"
                item["url"] = url

    walk(context.get("header_buttons", []))


IMAGE = re.compile(r'<img([^>]*?)src="([^"]*/_images/|_images/)([0-9a-zA-Z_.-]+)\.svg"([^>]*?)/?>')


def two_grounds(app, page, template, context, doctree) -> None:
    """Give every SVG figure a twin for dark mode, whose neutral colours are swapped."""

    def twin(match: re.Match) -> str:
        before, folder, name, after = match.groups()
        attributes = re.sub(r'\s?class="([^"]*)"', r"", before + " " + after).strip()
        light = f'<img class="ground-light" src="{folder}{name}.svg" {attributes} />'
        return light + f'<img class="ground-dark" src="{folder}{name}-dark.svg" {attributes} />'

    if "body" in context:
        context["body"] = IMAGE.sub(twin, context["body"])


def shown_elsewhere(app: Sphinx, env) -> list[str]:
    """All pages, if a title, a label or a number of any has changed; else none.

    Sphinx writes again only what it has read. But the contents, links and numbers of figures on a
    page come from the others.
    """
    tocs = {page: toc.pformat() for page, toc in sorted(env.tocs.items())}
    shown = [tocs, env.toc_fignumbers, env.domaindata["std"], env.domaindata.get("cite", {})]
    # Sorted, since a page that was read again comes last; addresses in memory differ each time.
    words = sorted(re.findall(r"[^\s,(){}\[\]]+", re.sub(r" at 0x[0-9a-f]+", "", repr(shown))))
    before, env.companion_shown = getattr(env, "companion_shown", None), checksum(words)
    return [] if before == env.companion_shown else sorted(env.found_docs)


def finish(app: Sphinx, error: Exception | None) -> None:
    """After the build: dark twins, names for arrows, MathJax from its package."""
    if error is not None or app.builder.format != "html":
        return
    for path in (Path(app.outdir) / "_images").glob("*.svg"):
        if not path.stem.endswith("-dark"):
            path.with_name(path.stem + "-dark.svg").write_text(
                on_dark(path.read_text(encoding="utf-8")), encoding="utf-8"
            )
    for path in Path(app.outdir).rglob("*.html"):
        # The arrows of the sidebar need names; without list items the role of a list is wrong.
        text = path.read_text(encoding="utf-8")
        named = text.replace("<summary><span", '<summary aria-label="Its pages"><span')
        named = named.replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )
        if named != text:
            path.write_text(named, encoding="utf-8")
    target = Path(app.outdir) / "_static" / "mathjax" / "tex-svg.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(importlib.util.find_spec("mathjax").origin).parent
    shutil.copyfile(folder / "static/mathjax/es5/tex-svg.js", target)


def source(app: Sphinx, module: str) -> tuple[str, dict] | None:
    """Source of a module of ours for its listing: read, not imported, which takes seconds."""
    spec = importlib.util.find_spec(module) if module.startswith("dynlib.") else None
    if spec is None:
        return None
    analyzer = ModuleAnalyzer.for_file(spec.origin, module)
    analyzer.find_tags()
    return analyzer.code, analyzer.tags


def own_scripts(app, page, template, context, doctree) -> None:
    """Scripts that one page alone needs."""
    if page == "ledger":
        app.add_js_file("ledger.js", loading_method="defer")
    if 'class="scene3d"' in context.get("body", ""):
        app.add_js_file("scene3d.js", loading_method="defer")


def open_graph(app, page, template, context, doctree) -> None:
    """What a site shows that links to a page: title, a sentence, a picture of a run."""
    base, description = app.config.html_baseurl, sentence(doctree)
    tags = {
        "description": description,
        "og:type": "website",
        "og:site_name": app.config.html_title,
        "og:title": re.sub("<[^>]*>", "", context.get("title", "")),
        "og:description": description,
        "og:url": f"{base}{page}.html",
        "og:image": f"{base}_static/thumbnail.png",
        "og:image:alt": "How often true orbits, GPT-2 and a Markov chain visit each cell of the "
        "Hénon attractor",
        "twitter:card": "summary_large_image",
    }
    lines = (
        f'<meta {"property" if name.startswith("og:") else "name"}="{name}" '
        f'content="{escape(unescape(text))}" />'
        for name, text in tags.items()
    )
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])
