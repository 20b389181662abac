"""The ledger: claims, criteria and verdicts, as a page, a summary, and words in prose."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from companion.results import PRESET, Results, interval, number
from workflow.ledger.claims import VERDICTS, Claim, read_claims
from workflow.ledger.ledger import Entry, counts, firmness, judge, ledger
from workflow.ledger.margin import FLAGS

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
    """The ledger of this book, judged once: the staged tree stands still."""
    claims = all_claims(env)
    if not _judged:
        _judged.extend(ledger(claims, Results(env).metric, PRESET))
    return _judged


_judged: list[Entry] = []


def firm(entry: Entry) -> str:
    """The flag and the margin of a verdict in words, empty where nothing was judged."""
    if not entry.flag or entry.flag == "one timing":
        return entry.flag
    if entry.margin is None:
        return f"{entry.flag}; no metric alone turns it"
    return f"{entry.flag}; it turns at {number(entry.margin, '.2g')} half-widths"


class ClaimRole(SphinxRole):
    """``{claim}`id.printed``` (or ``.claim``, ``.verdict``): a field of the ledger."""

    def run(self):
        name, _, part = self.text.strip().rpartition(".")
        claims = {id_: claim for claim in all_claims(self.env) for id_ in (claim.id, *claim.merged)}
        try:
            claim = claims[name]
            if part == "printed" and name in claim.merged:
                text = claim.merged[name]
            elif part == "verdict":
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
        verdicts, evidence = (
            {each.replace(" ", "-"): each for each in words} for words in (VERDICTS, FLAGS)
        )
        form = (
            f'<form class="ledger-filter" aria-label="Filter the claims" hidden>'
            f"{options('paper', papers)}{options('verdict', verdicts)}"
            f"{options('evidence', evidence)}<output></output></form>"
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
                value += f" ({interval(vars(each), '.4g')})"
            ours.append(f"{name} {value}")
        pages = ", ".join(f"[{run}](/runs/{run}.ipynb)" for run in runs)
        judged = "the method" if claim.scope == "method" else "the printed model"
        found = [f"Ours: {'; '.join(ours)}. See {pages}.", ""] if ours else []
        rule = f"Criterion, on {judged}: {claim.rule}"
        ruled = [rule if claim.criterion else f"Untested: {claim.untested}", ""]
        if len(ours) > 8:  # folded, not left out
            fold = [f"::::{{dropdown}} Criterion, and our {len(ours)} numbers"]
            found, ruled = [f"See {pages}.", ""], [*fold, *ruled, *found, "::::", ""]
        flagged = f" ({firm(entry)})" if entry.flag else ""
        common = f"By the common rule, {claim.common_rule}: {entry.common}."
        ruled += [common, ""] if claim.common else []
        lines = [
            *(f"(claim-{id_})=" for id_ in (claim.id, *claim.merged)),
            f":::::{{admonition}} {claim.claim}",
            f":class: claim paper-{claim.paper} verdict-{entry.kind.replace(' ', '-')} "
            f"evidence-{entry.flag.replace(' ', '-') or 'none'}",
            f"**{text[0].upper()}{text[1:]}**{flagged}",
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
                f'{cells}</tr><tr aria-hidden="true"><td colspan="{len(VERDICTS) + 2}">'
                f'<div class="ledger-bar">{bar}</div></td></tr>'
            )
        table = (
            '<div class="pst-scrollable-table-container"><table class="table ledger-summary">'
            "<caption>Verdicts on the claims of each paper</caption>"
            f'<thead><tr><th scope="col">paper</th><th scope="col">claims</th>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
        return [nodes.raw("", table, format="html"), *self.parse_text_to_nodes(strength(all_))]


def strength(all_: list[Entry]) -> str:
    """How firm the verdicts are together, in words."""
    found = firmness(all_)
    flags, alone = found["flags"], sum(found["flags"][word] for word in FLAGS[2:])
    return (
        f"Of {found['judged']} judged verdicts, {flags['firm']} are firm and "
        f"{flags['within chance']} are within chance: they turn if one metric moves within its "
        f"own interval. {alone} rest on one seed, one batch or one timing. Another run with new "
        f"seeds and starts would turn about {number(found['expected'], '.0f')} by chance."
    )
