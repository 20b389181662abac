"""Figures that are drawn while a page is read: of several runs, or of no run at all."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from companion.ledger import all_claims
from companion.results import PRESET, STALE_ALLOWED, NoResults, Results
from workflow.book.staging import NO_FIGURE
from workflow.files import write_whole

log = logging.getLogger(__name__)


def figure(env, shown, name: str) -> str:
    """Save a figure in the staged tree; the Markdown that shows it, with its label ``fig-NAME``.

    Without one, a placeholder stands in its place, so that the text may still point there.
    """
    picture = Path(env.srcdir, "figures", f"fig-{name}.svg")
    picture.parent.mkdir(exist_ok=True)
    alt = caption = "This figure has not been made."
    if shown is None:
        write_whole(picture, NO_FIGURE)
    else:
        alt, caption = shown.alt, shown.caption
        shown.figure.savefig(picture, bbox_inches="tight", metadata={"Date": None})
    return (
        f"```{{figure}} /figures/{picture.name}\n:alt: {alt}\n:name: fig-{name}\n\n{caption}\n```"
    )


class Drawn(SphinxDirective):
    """``{drawn} NAME``: the figure ``fig-drawn-NAME``."""

    required_arguments = 1

    def run(self):
        from dynlib.report import style

        style.use_style()
        (name,) = self.arguments
        try:
            shown = self.draw(name)
        except LookupError as error:
            if not STALE_ALLOWED:
                log.warning("figure %s: %s", name, error, location=self.get_location())
            shown = None
        return self.parse_text_to_nodes(figure(self.env, shown, f"drawn-{name}"))

    def draw(self, name: str):
        from dynlib.networks.stnn import StNN
        from dynlib.report.figures import across, anatomy

        if name not in across.FIGURES:
            return getattr(anatomy, name)(StNN())
        results, metrics = Results(self.env), {}
        for run in across.RUNS[name]:
            metrics[run] = results.load(PRESET, run)["metrics"]
            with suppress(NoResults):
                metrics[f"paper/{run}"] = results.load("paper", run)["metrics"]
        return across.FIGURES[name](metrics, printed_numbers(self.env))


def printed_numbers(env) -> dict[str, list[float]]:
    """The decimals that the claims quote from the papers, by the claim."""
    return {
        claim.id: [float(each) for each in re.findall(r"\d+\.\d+", claim.printed)]
        for claim in all_claims(env)
    }
