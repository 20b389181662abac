"""Figures that are drawn while a page is read: of several runs, or of no run at all."""

from __future__ import annotations

from pathlib import Path

from sphinx.util.docutils import SphinxDirective


def figure(env, shown, name: str) -> str:
    """Save a figure in the staged tree; the Markdown that shows it, with its label ``fig-NAME``."""
    picture = Path(env.srcdir, "figures", f"fig-{name}.svg")
    picture.parent.mkdir(exist_ok=True)
    shown.figure.savefig(picture, bbox_inches="tight", metadata={"Date": None})
    return (
        f"```{{figure}} /figures/{picture.name}\n:alt: {shown.alt}\n:name: fig-{name}\n\n"
        f"{shown.caption}\n```"
    )


class Drawn(SphinxDirective):
    """``{drawn} NAME``: the figure ``fig-drawn-NAME``."""

    required_arguments = 1

    def run(self):
        from dynlib.report import style

        style.use_style()
        (name,) = self.arguments
        return self.parse_text_to_nodes(figure(self.env, self.draw(name), f"drawn-{name}"))

    def draw(self, name: str):
        from dynlib.networks.stnn import StNN
        from dynlib.report.figures import anatomy

        return getattr(anatomy, name)(StNN())
