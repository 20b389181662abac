"""The ledger: claims, criteria and verdicts, as a page, a summary, and words in prose."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from companion.results import PRESET, Results, number
from workflow.ledger.claims import VERDICTS, Claim, read_claims
from workflow.ledger.ledger import Entry, counts, judge, ledger

log = logging.getLogger(__name__)

PAPERS = {
    "tokens": ("Tokens", "shalova2020deep"),
    "stnn": ("StNN", "aluvihare2025stnn"),
}

parsed_claims = cache(read_claims)


def all_claims(env) -> list[Claim]:
    path = Path(env.srcdir) / "claims.yml"
    env.note_dependency(str(path))
    return parsed_claims(path)


def entries(env) -> list[Entry]:
    """The ledger of this book."""
    return ledger(all_claims(env), Results(env).metric, PRESET)


class ClaimRole(SphinxRole):
    """``{claim}`id.printed``` (or ``.claim``, ``.verdict``): a field of the ledger."""

    def run(self):
        name, _, part = self.text.strip().rpartition(".")
        claims = {claim.id: claim for claim in all_claims(self.env)}
        try:
            claim = claims[name]
            if part == "verdict":
                text = judge(claim, Results(self.env).metric, PRESET)
            else:
                text = getattr(claim, part)
        except (KeyError, AttributeError):
            log.warning("claim %r is not in claims.yml", self.text, location=self.get_location())
            text = "?"
        return [nodes.inline(text, text, classes=["result"])], []


def options(name: str, labels: dict[str, str]) -> str:
    """Radio buttons of the ledger's filter, the first one for all."""
    items = {"": "all"} | labels
    buttons = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"'
        f"{'' if value else ' checked'}> {label}</label>"
        for value, label in items.items()
    )
    return f"<fieldset><legend>{name.capitalize()}</legend>{buttons}</fieldset>"


class Ledger(SphinxDirective):
    """``{ledger}``: every claim with what was printed, what we found, and the verdict."""

    def run(self):
        # ledger.js shows the form: without scripts, the list is whole and has no button that fails.
        papers = {key: name for key, (name, _) in PAPERS.items()}
        verdicts = {each.replace(" ", "-"): each for each in VERDICTS}
        form = (
            f'<form class="ledger-filter" aria-label="Filter the claims" hidden>'
            f"{options('paper', papers)}{options('verdict', verdicts)}<output></output></form>"
        )
        blocks: list[nodes.Node] = [nodes.raw("", form, format="html")]
        for entry in entries(self.env):
            blocks += self.parse_text_to_nodes(self.block(entry))
        return blocks

    def block(self, entry: Entry) -> str:
        """Markdown of one claim."""
        claim, text = entry.claim, entry.verdict
        runs = list(dict.fromkeys(each.run for each in entry.ours))
        ours = []
        for each in entry.ours:
            name = f"`{each.metric}`" if len(runs) == 1 else f"`{each.run}:{each.metric}`"
            if not each.recorded:
                ours.append(f"{name}: not run at the `{each.preset}` preset")
                continue
            whole = each.value is not None and float(each.value).is_integer()
            form = "" if whole else ".4g"  # a count keeps all its digits
            value = "none" if each.value is None else number(float(each.value), form)
            if each.low is not None:
                value += f" ({number(each.low, '.4g')} to {number(each.high, '.4g')})"
            ours.append(f"{name} {value}")
        pages = ", ".join(f"[{run}](/runs/{run}.ipynb)" for run in runs)
        judged = "the method" if claim.scope == "method" else "the printed model"
        found = [f"Ours: {'; '.join(ours)}. See {pages}.", ""] if ours else []
        rule = f"Criterion, on {judged}: {claim.rule}"
        ruled = [rule if claim.criterion else f"Untested: {claim.untested}", ""]
        if len(ours) > 8:  # folded, not left out
            fold = [f"::::{{dropdown}} Criterion, and our {len(ours)} numbers"]
            found, ruled = [f"See {pages}.", ""], [*fold, *ruled, *found, "::::", ""]
        lines = [
            f"(claim-{claim.id})=",
            f":::::{{admonition}} {claim.claim}",
            f":class: claim paper-{claim.paper} verdict-{entry.kind.replace(' ', '-')}",
            f"**{text[0].upper()}{text[1:]}**",
            "",
            f"Printed: {claim.printed} ({PAPERS[claim.paper][0]}, {claim.place})",
            "",
            *found,
            *ruled,
            claim.note,
            ":::::",
            "",
        ]
        return "\n".join(lines)


class LedgerSummary(SphinxDirective):
    """``{ledger-summary}``: how many claims of each paper got which verdict, as table and bars."""

    def run(self):
        heads = "".join(
            f'<th scope="col"><span class="verdict-{each.replace(" ", "-")}"></span>{each}</th>'
            for each in VERDICTS
        )
        rows, all_ = [], entries(self.env)
        for paper, reading in itertools.product(PAPERS, (False, True)):
            chosen = [each for each in all_ if each.claim.reading == reading]
            row = counts(chosen).get(paper)
            if row is None:
                continue
            cells = "".join(f"<td>{row[each]}</td>" for each in VERDICTS)
            bar = "".join(
                f'<span class="verdict-{each.replace(" ", "-")}" style="flex-grow:{row[each]}">'
                "</span>"
                for each in VERDICTS
                if row[each]
            )
            whose = "our readings" if reading else "as stated"
            rows.append(
                f'<tr><th scope="row">{PAPERS[paper][0]}, {whose}</th><td>{sum(row.values())}</td>'
                f'{cells}</tr><tr aria-hidden="true"><td colspan="6"><div class="ledger-bar">{bar}'
                "</div></td></tr>"
            )
        table = (
            '<div class="pst-scrollable-table-container"><table class="table ledger-summary">'
            "<caption>Verdicts on the claims of each paper</caption>"
            f'<thead><tr><th scope="col">paper</th><th scope="col">claims</th>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
        return [nodes.raw("", table, format="html")]
