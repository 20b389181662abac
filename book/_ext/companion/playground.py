"""Pages that compute by themselves, with the models of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from companion.results import STALE_ALLOWED

log = logging.getLogger(__name__)


class Playground(SphinxDirective):
    """``{playground} view [run]``: a page that computes by itself, with the models of a run.

    The content stands in its place until the page's script has taken over, and for good where
    there is none.
    """

    required_arguments = 1
    optional_arguments = 1
    has_content = True

    def run(self):
        view, *runs = self.arguments
        inside = self.parse_content_to_nodes()
        data = link = attributes = ""
        for run in runs:
            path = Path(self.env.srcdir) / "assets" / "playground" / f"{run}.json"
            self.env.note_dependency(str(path))
            try:
                text = path.read_text(encoding="utf-8")
            except OSError:
                sentence = f"The run {run} has left no models for this page: run it again."
                if not STALE_ALLOWED:
                    log.warning("playground: %s", sentence, location=self.get_location())
                return [nodes.warning("", nodes.paragraph(text=sentence)), *inside]
            up = "../" * self.env.docname.count("/")
            if view == "writer":  # hundreds of kilobytes, loaded when the reader asks for them
                source = f"{up}_static/playground/{run}.js"
                kilobytes = len(text) // 1000
                attributes = f' data-run="{run}" data-source="{source}" data-size="{kilobytes}"'
            else:
                # No "<" in the data, so that nothing in it can end the script.
                text = text.replace("<", "\\u003c")
                data = f'<script type="application/json">{text}</script>'
            link = (
                f'<p><a href="{up}_static/playground/{run}.json" download>The models of this page '
                f"as JSON</a>, in {'half' if view == 'writer' else 'full'} precision.</p>"
            )
        before = (
            f'<div class="playground" data-view="{view}"{attributes}>{data}'
            '<div class="playground-fallback">'
            "<noscript><p>This page computes in your browser, and needs JavaScript for it. "
            "Here is what it would draw first.</p></noscript>"
        )
        return [
            nodes.raw("", before, format="html"),
            *inside,
            nodes.raw("", f"</div>{link}</div>", format="html"),
        ]


class Scene(SphinxDirective):
    """``{scene} run``: the view in three dimensions that a run shows, with a caption as content."""

    required_arguments = 1
    has_content = True

    def run(self):
        path = Path(self.env.srcdir) / "scenes" / f"{self.arguments[0]}.html"
        self.env.note_dependency(str(path))
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            if not STALE_ALLOWED:
                log.warning("%s shows no scene", self.arguments[0], location=self.get_location())
            return []
        return [nodes.raw("", text, format="html"), *self.parse_content_to_nodes()]


def playground_files(app, page, template, context, doctree) -> None:
    """Scripts and style of a playground, on its page only."""
    view = re.search(r'class="playground" data-view="(\w+)"', context.get("body", ""))
    if view:
        app.add_css_file("playground/playground.css")
        scripts = ("dynamics", "plot", *(["gpt"] if view[1] == "writer" else []), view[1])
        for name in scripts:
            app.add_js_file(f"playground/{name}.js", loading_method="defer")


def loadable(app, error) -> None:
    """Beside each exported token model a script with it, which a page on a disk can load too."""
    if error is not None or app.builder.format != "html":
        return
    for path in (Path(app.outdir) / "_static" / "playground").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        if '"kind":"gpt2"' in text[:100].replace(" ", ""):
            name = json.dumps(path.stem)
            script = f"(window.Playground.written ??= {{}})[{name}] = {text};\n"
            path.with_suffix(".js").write_text(script, encoding="utf-8")
