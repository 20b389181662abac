"""The ledger: claims, criteria and verdicts, as a page, a summary, and words in prose."""

from __future__ import annotations

import itertools
import re
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from docutils import nodes
from sphinx.domains import Domain, ObjType
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from companion.results import (
    PRESET,
    Linked,
    Results,
    interval,
    number,
    parsed_json,
    unit_in_words,
)
from companion.strips import drawn
from workflow.ledger.claims import VERDICTS, Claim, read_claims
from workflow.ledger.ledger import (
    Entry,
    Found,
    counts,
    firmness,
    judge,
    ledger,
    lookup,
    recorded,
)
from workflow.ledger.margin import FLAGS
from workflow.ledger.strip import strip

log = logging.getLogger(__name__)

PAPERS = {
    "tokens": ("Tokens", "shalova2020deep"),
    "stnn": ("StNN", "aluvihare2025stnn"),
}

#: Systems of the filter: name, and what an id or a metric of such a claim contains.
SYSTEMS = {
    "henon": ("Hénon", "henon"),
    "rossler": ("Rössler", "rossler"),
    "lorenz": ("Lorenz", "lorenz|arena|released_networks"),
    "lotka-volterra": ("Lotka–Volterra", r"lotka|\blv-"),
    "hankel": ("Hankel operators", "hankel"),
}

parsed_claims = cache(read_claims)


def all_claims(env) -> list[Claim]:
    path = Path(env.srcdir) / "claims.yml"
    env.note_dependency(str(path))
    return parsed_claims(path)


def entries(env) -> list[Entry]:
    """The ledger of this book, judged once, since the staged tree does not change."""
    claims = all_claims(env)
    if not _judged:
        _judged.extend(ledger(claims, Results(env).metric, PRESET))
    return _judged


_judged: list[Entry] = []


def written(env) -> dict[str, list[str]]:
    """Commit and date of each criterion, empty where the book is built without its history."""
    path = Path(env.srcdir) / "criteria.json"
    env.note_dependency(str(path))
    return parsed_json(path) if path.exists() else {}


def firm(entry: Entry) -> str:
    """The flag and the margin of a verdict in words, empty where nothing was judged."""
    found = {
        "in the second set": entry.second,
        "in the redrawn set": entry.redrawn,
        "by the common rule in the second set": entry.second_common * (not entry.split),
        "by the common rule in the redrawn set": entry.redrawn_common * (not entry.split),
    }
    there = "".join(f"; {where} it {text}" for where, text in found.items() if entry.turns(text))
    if not entry.flag or entry.flag == "one timing":
        return entry.flag + there
    if entry.margin is None:
        return f"{entry.flag}; no move of metrics turns it{there}"
    rule = " by its own criterion" if entry.margin > 1 and entry.flag == "within chance" else ""
    form = ".3f" if 0.95 < entry.margin < 1.05 else ".2g"  # on which side of 1 it lies
    return f"{entry.flag}; margin {number(entry.margin, form)} half-widths{rule}{there}"


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
            address = f"{'../' * self.env.docname.count('/')}ledger.html#claim-{name}"
            return [Linked(text, text, classes=["result"], href=address)], []
        except (KeyError, AttributeError):
            log.warning("claim %r is not in claims.yml", self.text, location=self.get_location())
            text = "?"
        return [nodes.inline(text, text, classes=["result"])], []


class Row(nodes.container):
    """A claim in the ledger: a row that opens."""


class Sentence(nodes.container):
    """What the row of a claim shows while it is closed: verdict, sentence, strip."""


def visit_row(self, node: Row) -> None:
    """Begin the row."""
    self.body.append(self.starttag(node, "details"))


def depart_row(self, node: Row) -> None:
    """End the row."""
    self.body.append("</details>\n")


def visit_sentence(self, node: Sentence) -> None:
    """Begin what stands in the open."""
    self.body.append(self.starttag(node, "summary"))


def depart_sentence(self, node: Sentence) -> None:
    """End what stands in the open."""
    self.body.append("</summary>\n")


class Claims(Domain):
    """The claims as entries of the search, which lead to their rows."""

    name, label = "claims", "Claims"
    object_types = {"claim": ObjType("claim")}  # noqa: RUF012

    def get_objects(self):
        """Name, shown name, type, page, anchor and priority of each."""
        path = Path(self.env.srcdir) / "claims.yml"
        for claim in parsed_claims(path) if path.exists() else ():
            words = claim.claim.rstrip(".").replace(".", "\u2024")  # a dot ends a module's name
            yield claim.id, words, "claim", "ledger", f"claim-{claim.id}", 0


def chosen(name: str, labels: dict[str, str]) -> str:
    """A menu of the ledger's filter, the first choice for all."""
    items = {"": "all"} | labels
    lines = "".join(f'<option value="{value}">{text}</option>' for value, text in items.items())
    return f'<label>{name.capitalize()} <select name="{name}">{lines}</select></label>'


def systems(claim: Claim) -> list[str]:
    """The systems that a claim is about, by their names in the filter."""
    text = " ".join([claim.id, *(":".join(metric) for metric in claim.metrics)])
    return [name for name, (_, pattern) in SYSTEMS.items() if re.search(pattern, text)]


class Ledger(SphinxDirective):
    """``{ledger}``: every claim with what was printed, what we found, and the verdict."""

    def run(self):
        # ledger.js shows the form: without scripts, the list is whole and has no button that fails.
        menus = {
            "paper": {key: name for key, (name, _) in PAPERS.items()},
            "system": {key: name for key, (name, _) in SYSTEMS.items()},
            "verdict": {each.replace(" ", "-"): each for each in VERDICTS},
            "reading": {"no": "as stated", "yes": "our reading"},
            "evidence": {
                "fragile": "not firm",
                "split": "turned by the common rule",
                "seen": "criterion after values were seen",
            }
            | {each.replace(" ", "-"): each for each in FLAGS},
        }
        form = (
            '<form class="ledger-filter" aria-label="Filter the claims" hidden>'
            f"{''.join(chosen(name, labels) for name, labels in menus.items())}"
            "<output></output></form>"
        )
        self.written = written(self.env)
        groups: dict[tuple[str, str], list[Entry]] = {
            (paper, system): [] for paper in PAPERS for system in (*SYSTEMS, "")
        }
        for entry in entries(self.env):
            found = systems(entry.claim)
            groups[entry.claim.paper, found[0] if len(found) == 1 else ""].append(entry)
        parts = [self.section(*key, all_) for key, all_ in groups.items() if all_]
        return [nodes.raw("", form, format="html"), *parts]

    def section(self, paper: str, system: str, all_: list[Entry]) -> nodes.section:
        """The claims of a paper on a system, or on none or several of them, under a heading."""
        name = SYSTEMS[system][0] if system else "all else"
        title = f"{PAPERS[paper][0]}: {name}"
        part = nodes.section(ids=[f"claims-{paper}-{system or 'else'}"], classes=["claims"])
        part += nodes.title(title, title)
        part += [self.row(entry) for entry in all_]
        return part

    def row(self, entry: Entry) -> Row:
        """One claim."""
        claim = entry.claim
        marks = {
            "paper": [claim.paper],
            "system": systems(claim),
            "verdict": [entry.kind],
            "reading": ["yes" if claim.reading else "no"],
            "evidence": [entry.flag, "fragile"] if entry.flag not in ("", "firm") else [entry.flag],
        }
        marks["evidence"] += ["split"] * entry.split + ["seen"] * claim.seen
        classes = [
            f"{name}-{value.replace(' ', '-')}" for name, all_ in marks.items() for value in all_
        ]
        row = Row("", ids=[f"claim-{claim.id}"], classes=["claim", *classes])
        sentence = Sentence()
        kind = entry.kind[0].upper() + entry.kind[1:]
        sentence += nodes.inline(kind, kind, classes=["verdict-word"])
        words = nodes.inline(classes=["claim-sentence"])
        words += self.parse_text_to_nodes(claim.claim)[0].children
        if entry.split:
            rule = f" By the common rule it {entry.common}."
            words += nodes.inline(rule, rule, classes=["claim-rule"])
        sentence += words
        where = PRESET if claim.scope == "method" else "paper"
        find = lookup(Results(self.env).metric, where)
        picture = strip(claim, entry.ours, find)
        sentence += nodes.raw("", drawn(picture) if picture else "", format="html")
        row += sentence
        older = "".join(f'<span id="claim-{id_}"></span>' for id_ in claim.merged)
        row += nodes.raw("", older + self.tools(entry), format="html")
        row += self.parse_text_to_nodes(self.block(entry))
        return row

    def tools(self, entry: Entry) -> str:
        """The id of a claim, a button that copies its link, and one that contests it."""
        claim, base = entry.claim, self.config.html_theme_options.get("repository_url", "")
        text = (
            f'<p class="claim-tools"><code>{claim.id}</code> <button type="button" hidden '
            f'data-claim="{claim.id}">Copy link</button>'
        )
        if base:
            body = (
                f"Claim: {claim.claim}\nVerdict: {entry.verdict}\n"
                f"Criterion: {claim.criterion or 'none'}\n\nWhat is wrong, and what shows it:\n"
            )
            query = urlencode({"title": f"Contest: {claim.id}", "body": body[:1500]})
            address = escape(f"{base.rstrip('/')}/issues/new?{query}")
            text += f' <a href="{address}">Contest this</a>'
        return text + "</p>"

    def spread_of(self, found: Found) -> str:
        """The metric whose half-widths a mean has in the margin, empty if there is none."""
        whole = found.metric.removesuffix("_mean")
        entry = recorded(Results(self.env).metric, found.preset, found.run, whole)
        return whole if whole != found.metric and entry and entry["low"] is not None else ""

    def block(self, entry: Entry) -> str:
        """Markdown of what a row holds."""
        claim, text = entry.claim, entry.verdict
        runs = list(dict.fromkeys(each.run for each in entry.ours))
        ours = []
        for each in entry.ours:
            name = f"`{each.metric}`" if len(runs) == 1 else f"`{each.run}:{each.metric}`"
            if not each.recorded:
                ours.append(f"{name}: not run at the `{each.preset}` preset")
                continue
            whole = each.value is not None and float(each.value).is_integer()
            form = "" if whole else ":.4g"  # a count keeps all its digits
            value = f"{{res}}`{each.preset}/{each.run}:{each.metric}{form}`"
            if each.low is not None:
                value += f" ({interval(vars(each), '.4g')})"
            elif claim.criterion and (base := self.spread_of(each)):
                value += f" (half-widths of `{base}`)"
            elif each.band and claim.criterion:
                value += f" (no interval; a factor of {1 + each.band:.3g} either way)"
            if each.unit:
                value += f" {unit_in_words(each.unit)}".rstrip()
            ours.append(f"{name} {value}")
        pages = ", ".join(f"[{run}](/runs/{run}.ipynb)" for run in runs)
        judged = "the method" if claim.scope == "method" else "the printed model"
        found = [f"Ours: {'; '.join(ours)}. See {pages}.", ""] if ours else []
        commit, day = self.written.get(claim.id, ("", ""))
        since = f" (since {day}, commit `{commit[:10]}`)" if commit else ""
        rule = f"Criterion, on {judged}{since}: {claim.rule}"
        ruled = [rule if claim.criterion else f"Untested: {claim.untested}", ""]
        if claim.condition:
            ruled += [
                f"If not met, *holds only if {claim.only_if}*, where {claim.condition_rule}",
                "",
            ]
        if len(ours) > 8:  # folded, not left out
            fold = [f"::::{{dropdown}} Criterion, and our {len(ours)} numbers"]
            found, ruled = [f"See {pages}.", ""], [*fold, *ruled, *found, "::::", ""]
        flagged = f" ({firm(entry)})" if entry.flag else ""
        common = f"By the common rule, {claim.common_rule}: {entry.common}."
        ruled += [common, ""] if claim.common else []
        lines = [
            f"**{text[0].upper()}{text[1:]}**{flagged}",
            "",
            f"Printed: {claim.printed} ({PAPERS[claim.paper][0]}, {claim.place})",
            "",
            *([f"Released by the authors: {claim.released}", ""] if claim.released else []),
            *found,
            *ruled,
            claim.note,
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
            which = f"paper={paper}&amp;reading={'yes' if reading else 'no'}"
            cells = "".join(
                f'<td><a href="ledger.html?{which}&amp;verdict={each.replace(" ", "-")}">'
                f"{row[each]}</a></td>"
                if row[each]
                else "<td>0</td>"
                for each in VERDICTS
            )
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
        f"We could judge {found['judged']} claims. {flags['firm']} verdicts are firm. "
        f"{flags['within chance']} are within chance: a change inside their intervals, another "
        f"computation or a stricter rule turns them. {alone} rest on one seed, one batch or one "
        "timing. Another run with new seeds and starts would turn about "
        f"{number(found['expected'], '.0f')} of the {found['judged']}.{redrawn(all_)} For "
        f"{found['seen']} claims, values that bear on them had been seen when the criterion was "
        "written; for most other claims of the second paper, trials and small test runs."
        f"{by_rule(found['common_rule'])}{elsewhere(all_)}"
    )


def by_rule(found: dict[str, int]) -> str:
    """How many verdicts differ by the common rule, in words; empty where no claim has one."""
    if not found["judged"]:
        return ""
    text = (
        f" {found['judged']} were also judged by a common rule of their kind, which is at least as "
        "strict."
    )
    if not found["lost"]:
        return f"{text} {found['other']} have another verdict by it."
    back = found["other"] - found["lost"]
    return f"{text} Of those that hold by their own criterion, {found['lost']} fail it" + (
        f", and {back} turn the other way round." if back else "."
    )


def elsewhere(all_: list[Entry]) -> str:
    """How many verdicts the second set of results leaves as they are; empty without one."""
    there = [each for each in all_ if each.second]
    same = sum(not each.turns(each.second) for each in there)
    where = "{ref}`computed again <sec-second-set>`"
    return (
        f" {len(there)} were {where} from the same seeds and data, with arithmetic that rounds in "
        f"another order: {same} verdicts are the same."
        if there
        else ""
    )


def redrawn(all_: list[Entry]) -> str:
    """How many verdicts the redrawn set of results turns; empty without one."""
    there = [each for each in all_ if each.redrawn]
    turned = sum(each.turns(each.redrawn) for each in there)
    how = "{ref}`We made such runs <sec-redrawn-set>`"
    return f" {how}: of {len(there)} verdicts, {turned} turned." if there else ""
