"""How a page came about: run cards, and tables of all runs."""

from __future__ import annotations

from collections import Counter

from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from companion.ledger import entries
from companion.results import PRESET, NoResults, Results
from workflow.book.provenance import (
    carried,
    costs,
    device,
    duration,
    graphics,
    loaded_seconds,
    longest,
    provenance,
)
from workflow.ledger.ledger import REDRAWN, Entry
from workflow.ledger.margin import expected
from workflow.ledger.second import in_words as in_words_drawn
from workflow.ledger.verify import ODD, Row, compare, counted, in_words, verdicts

log = logging.getLogger(__name__)

QUOTED = (
    "in prose, quoted from the committed reference, as in the README; tables and figures of this "
    "page are of this build."
)


def made_here(results: Results, run: str) -> dict | None:
    """Results of a run of this build, None if it was not made."""
    try:
        return results.load("build", run)
    except NoResults:
        return None


def agreement(fresh: dict, quoted: dict) -> tuple[list[Row], str]:
    """How a run of this build compares with what pages quote; in words, empty if it is the same."""
    rows = compare(fresh["metrics"], quoted["metrics"])
    if fresh["provenance"]["checksum"] == quoted["provenance"]["checksum"]:
        return rows, ""
    text = in_words(rows)
    odd = [f"`{row.name}` ({row.verdict}, {row.detail})" for row in rows if row.verdict in ODD]
    if odd:
        text += f"; these differ: {'; '.join(odd)}"
    if fresh["parameters"] != quoted["parameters"]:
        text += "; this build had other parameters"
    elif fresh["provenance"]["stamp"] != quoted["provenance"]["stamp"]:
        text += "; the reference is of another version of the code"
    return rows, f"{text}."


class RunCard(SphinxDirective):
    """``{run-card} run``: how an executed page came about, in one folded box."""

    required_arguments = 1

    def run(self):
        run = self.arguments[0]
        try:
            quoted = Results(self.env).load(PRESET, run)
        except LookupError as error:
            log.warning("run card: %s", error, location=self.get_location())
            return []
        own = made_here(Results(self.env), run)
        results, what = own or quoted, "this page was" if own else "the numbers were"
        words = agreement(results, quoted)[1]
        facts, used = results["provenance"], results["provenance"]["versions"]
        known = loaded_seconds(results)
        seeds = ", ".join(map(str, facts.get("seeds", []))) or "none"
        base = f"{self.config.html_theme_options.get('repository_url', '')}/blob/main/notebooks"
        libraries = ", ".join(
            f"{name} {used[name]}"
            for name in ("torch", "transformers", "pot", "numpy")
            if name in used
        )
        where = facts["machine"]["processor"]
        unclean = " with uncommitted changes" if facts["dirty"] else ""
        said = {
            "Preset": f"`{PRESET}`"
            + (" (proves the plumbing; quote nothing)" if PRESET == "smoke" else ""),
            "Device": f"{facts.get('device', 'cpu')}, {facts.get('threads', 1)} thread a process; "
            f"{where}, {facts['machine']['cores']} cores",
            **({"GPU": gpus} if (gpus := graphics(facts)) else {}),
            "Seeds": seeds,
            "Time": f"{facts['wall_s']:.0f} s wall, {facts['cpu_s']:.0f} s of processor; "
            f"largest process {facts['peak_rss_mb']} MB"
            + (f"; with loaded models, whose training had taken {duration(known)}" * bool(known)),
            **({"Longest sections": text} if (text := longest(facts)) else {}),
            "Made": f"{facts['started'].replace('T', ' ').rstrip('Z')} UTC, commit "
            f"`{(facts['commit'] or 'none')[:10]}`{unclean}, "
            f"stamp `{facts['stamp'][:12]}`",
            **({"Carried": text[0].upper() + text[1:]} if (text := carried(facts)) else {}),
            "Software": f"Python {facts['python']}, {libraries}",
            "Source": f"[{results['notebook']}.py]({base}/{results['notebook']}.py)",
            **({"Numbers": f"{QUOTED} This build: {words}"} if words else {}),
        }
        table = "\n".join(f"| {name} | {text} |" for name, text in said.items())
        return self.parse_text_to_nodes(
            f"::::{{dropdown}} How {what} made: preset `{PRESET}`, "
            f"{facts['wall_s'] / 60:.1f} minutes on {device(facts)}\n"
            f":class-container: run-card\n\n|  |  |\n| :--- | :--- |\n{table}\n::::\n",
        )


class Recorded(SphinxDirective):
    """A directive about all runs that the staged tree has results of, at one preset."""

    optional_arguments = 1

    def results(self) -> list[dict]:
        return Results(self.env).all((self.arguments or [PRESET])[0])


class RunTable(Recorded):
    """``{run-table}``: what each run took, and where."""

    def run(self):
        return self.parse_text_to_nodes(costs(self.results()))


class Provenance(Recorded):
    """``{provenance} [preset]``: machine, versions, stamps, commits, times of all runs."""

    def run(self):
        results = self.results()
        return self.parse_text_to_nodes(provenance(results) if results else "None.")


class Kept(SphinxDirective):
    """``{kept} second`` (or ``redrawn``): how a set of results compares with the references."""

    required_arguments = 1

    def run(self):
        which = self.arguments[0]
        there = [each for each in Results(self.env).all(which) if PRESET == "cpu"]
        if not there:
            return self.parse_text_to_nodes(f"There is none for the preset `{PRESET}`.")
        facts = [each["provenance"] for each in there]
        judged = [each for each in entries(self.env) if getattr(each, which)]
        changed = [each for each in judged if each.turns(getattr(each, which))]
        same = f"{len(judged) - len(changed)} of {len(judged)} verdicts are the same"
        names = " and ".join(sorted({each["machine"]["processor"] for each in facts}))
        words = counted_in if which == REDRAWN else counted_agreement
        text = f"On {names}: {words(facts)}; {same}."
        if which == REDRAWN:
            text += f" {foretold(judged, changed)}"
        lines = [
            f"- {each.claim.id}: {getattr(each, which)}; in the reference: {each.verdict}"
            for each in changed
        ]
        for each in there:
            odd = "".join(f"\n  - {text}" for text in each["provenance"]["odd"])
            since = "; the reference was made again since" * older(each, Results(self.env))
            lines.append(f"- **{each['run']}**: {words([each['provenance']])}{since}{odd}")
        listed = "\n".join(lines)
        return self.parse_text_to_nodes(
            f"{text}\n\n::::{{dropdown}} Run by run\n:class-container: run-card\n\n{listed}\n::::\n"
        )


def counted_agreement(facts: list[dict]) -> str:
    """How many metrics of the second set agree, in words."""
    return counted(sum((Counter(each["agreement"]) for each in facts), Counter()))


def counted_in(facts: list[dict]) -> str:
    """How many metrics of the redrawn set differ by more than their intervals allow, in words."""
    return in_words_drawn([each["drawn"] for each in facts])


def foretold(judged: list[Entry], changed: list[Entry]) -> str:
    """How many verdicts the redrawn set turned, beside how many the margins let expect."""
    margins = [each.margin for each in judged if each.margin is not None]
    wide = [each for each in changed if each.margin is None or each.margin > 1]
    return (
        f"By their margins, about {expected(margins):.0f} were expected to turn, and "
        f"{len(changed)} did; {len(wide)} of these have a margin above 1."
    )


def older(second: dict, results: Results) -> bool:
    """Whether the reference of a run is newer than its second set, which it was compared with."""
    try:
        reference = results.load(PRESET, second["run"])
    except LookupError:
        return False
    return reference["provenance"]["started"] > second["provenance"]["started"]


class Agreement(Recorded):
    """``{agreement}``: how this build agrees with the references that the book quotes."""

    def run(self):
        quoted = {each["run"]: each for each in self.results()}
        fresh = {name: here for name in quoted if (here := made_here(Results(self.env), name))}
        found = {name: agreement(here, quoted[name]) for name, here in fresh.items()}
        lines = [
            f"- **{name}**: {words or in_words(rows) + '; it is the reference itself.'}"
            for name, (rows, words) in found.items()
        ]
        if not any(words for _, words in found.values()):
            source = "runs of this build" if PRESET == "smoke" else "committed reference runs"
            return self.parse_text_to_nodes(
                f"The numbers in this book are those of the {source} (preset `{PRESET}`)."
            )
        judged, *changed = verdicts(PRESET, {name: each["metrics"] for name, each in fresh.items()})
        processors = {each["provenance"]["machine"]["processor"] for each in fresh.values()}
        whole = in_words([row for rows, _ in found.values() for row in rows])
        text = (
            "The numbers in this book are quoted from the committed references, as in the README. "
            f"This build, on {' and '.join(sorted(processors))}: {whole}; {judged}.\n\n"
            "::::{dropdown} Run by run\n:class-container: run-card\n\n"
        )
        lines += [f"- {line.strip()}" for line in changed]
        return self.parse_text_to_nodes(text + "\n".join(lines) + "\n::::\n")
