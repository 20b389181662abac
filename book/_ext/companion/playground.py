"""Pages that compute by themselves, with the models of a run."""

from __future__ import annotations

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
        data = link = ""
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
            # No "<" in the data, so that nothing in it can end the script.
            text = text.replace("<", "\\u003c")
            data = f'<script type="application/json">{text}</script>'
            up = "../" * self.env.docname.count("/")
            link = (
                f'<p><a href="{up}_static/playground/{run}.json" download>The models of this page '
                "as JSON</a>, in full precision.</p>"
            )
        before = (
            f'<div class="playground" data-view="{view}">{data}<div class="playground-fallback">'
            "<noscript><p>This page computes in your browser, and needs JavaScript for it. "
            "Here is what it would draw first.</p></noscript>"
        )
        return [
            nodes.raw("", before, format="html"),
            *inside,
            nodes.raw("", f"</div>{link}</div>", format="html"),
        ]


def playground_files(app, page, template, context, doctree) -> None:
    """Scripts and style of a playground, on its page only."""
    view = re.search(r'class="playground" data-view="(\w+)"', context.get("body", ""))
    if view:
        app.add_css_file("playground/playground.css")
        for name in ("dynamics", "plot", view[1]):
            app.add_js_file(f"playground/{name}.js", loading_method="defer")
