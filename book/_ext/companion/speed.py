"""Speed: what ``make bench`` and ``make gpu-check`` measured, and where the time of the runs goes.

Everything is read from ``results/bench.json`` of the staged tree. Where that is not there, or does
not hold a subject, the page says that nothing was measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from companion.cards import Recorded
from companion.drawn import figure
from companion.results import parsed_json
from workflow.book import speed
from workflow.book.provenance import duration, profiles, training_seconds
from workflow.runs.experiments import declared_runs

#: Colours of the sides of a curve, ours first.
SIDES = ("fft", "dense", "shift")


def measured(env) -> dict[str, Any]:
    """What the staged tree holds of measured speed, nothing where there is no file."""
    path = Path(env.srcdir) / "results" / "bench.json"
    if not path.exists():
        return {}
    env.note_dependency(str(path))
    return parsed_json(path)


class BenchSummary(SphinxDirective):
    """``{bench-summary}``: how many aims are reached, and where and when that was measured."""

    def run(self):
        return self.parse_text_to_nodes(speed.summary(measured(self.env)))


class Subjects(SphinxDirective):
    """A directive about some subjects of the bench."""

    required_arguments, optional_arguments = 1, 20

    def rows(self) -> list[dict]:
        return speed.rows_of(measured(self.env), self.arguments)


class BenchTable(Subjects):
    """``{bench-table} SUBJECT ...``: ratios of the subjects, and what a missed aim lacks."""

    def run(self):
        rows = self.rows()
        if not rows:
            return self.parse_text_to_nodes("Not measured.")
        parts = [speed.ratios(rows)]
        if why := speed.limits(rows):
            parts.append(f"Where an aim is missed, this stands in the way:\n\n{why}")
        if notes := speed.notes(rows):
            parts.append(f"::::{{dropdown}} Notes on these rows\n\n{notes}\n::::")
        found = self.parse_text_to_nodes("\n\n".join(parts))
        for node in found:
            for each in node.findall(nodes.table):
                each["classes"].append("open-99")  # no aim that is missed is folded away
        return found


class BenchCurves(Subjects):
    """``{bench-curves} SUBJECT ...``: time against size, ``fig-speed-SUBJECT`` each."""

    def run(self):
        from dynlib.report import style

        style.use_style()
        curves = measured(self.env).get("curves", [])
        parts = []
        for name in self.arguments:
            own = [each for each in curves if each["subject"] == name]
            parts.append(figure(self.env, drawn(name, own) if own else None, f"speed-{name}"))
            parts += [speed.slopes(own)] if own else []
        return self.parse_text_to_nodes("\n\n".join(parts))


class BenchCard(SphinxDirective):
    """``{bench-card}``: what was measured on a GPU."""

    def run(self):
        return self.parse_text_to_nodes(speed.card(measured(self.env)))


class BenchCosts(Recorded):
    """``{bench-costs} [preset]``: where the time of the runs goes, as ``fig-speed-costs``.

    Optional runs are left out: the book is made without them.
    """

    def run(self):
        from dynlib.report import style

        style.use_style()
        declared = declared_runs()
        runs = [run for run in self.results() if not declared[run["run"]].optional]
        text = figure(self.env, costs(runs) if runs else None, "speed-costs")
        parts = [totals(runs), text, profiles(runs)] if runs else [text]
        found = self.parse_text_to_nodes("\n\n".join(filter(None, parts)))
        for node in found:
            for each in node.findall(nodes.table):
                each["classes"].append("open-99")
        return found


def totals(runs: list[dict]) -> str:
    """The time of all runs together, and the largest process."""
    facts = [each["provenance"] for each in runs]
    training = sum(training_seconds(each) or 0.0 for each in runs)
    largest = max(runs, key=lambda each: each["provenance"]["peak_rss_mb"])
    spent, passed = (duration(sum(f[name] for f in facts)) for name in ("cpu_s", "wall_s"))
    return (
        f"The {len(runs)} runs that `make book` makes take {spent} of a processor, and {passed} of "
        f"wall time one after the other. Their trainings took {duration(training)}, those included "
        "that were made before and only loaded. The largest process is that of "
        f"`{largest['run']}`, with {largest['provenance']['peak_rss_mb']} MB."
    )


def drawn(name: str, curves: list[dict]):
    """The curves of a subject, a panel each, on logarithmic axes."""
    from dynlib.report import style

    made, panels = style.figure(2.8 * len(curves) + 0.3, len(curves), 1, squeeze=False)
    words = []
    for axes, curve in zip(panels[:, 0], curves, strict=True):
        ends, texts = {}, {}
        for side, one in zip(SIDES, curve["lines"], strict=False):
            if not one["sizes"]:
                continue
            sizes, colour = one["sizes"], style.COLOURS[side]
            axes.fill_between(sizes, one["low"], one["high"], color=colour, alpha=0.2, linewidth=0)
            axes.plot(sizes, one["seconds"], "o-", markersize=4, color=colour)
            ends[side], texts[side] = (sizes[-1], one["seconds"][-1]), one["name"]
            if one["exponent"] is not None:
                words.append(
                    f"{curve['name']}, {one['name']}: exponent {one['exponent']:.2f}, "
                    f"in theory {one['theory']:.2f}"
                )
        axes.set(
            xscale="log", yscale="log", ylabel="seconds", xlabel=speed.grouped(curve["label"]),
            title=speed.grouped(curve["name"]),
        )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            first, last = axis.get_view_interval()
            if last < 100 * first:  # too few powers of ten to write these alone
                style.plain(axis)
        style.name_ends(axes, ends, texts)
    fitted = "; ".join(words) or "too few sizes for an exponent"
    return style.shown(
        made,
        f"speed-{name}",
        caption=f"{'; '.join(speed.grouped(each['name']) for each in curves)}: "
        "time against size on logarithmic axes. Points are medians, bands the range over "
        "turns. The table below gives the slopes, beside those of the theoretical cost over the "
        "same sizes.",
        alt=f"{len(curves)} panel{'s' * (len(curves) > 1)} of rising curves. "
        f"{speed.grouped(fitted)}.",
    )


def costs(runs: list[dict]):
    """Bars of the processor time and of the largest process of each run."""
    from dynlib.report import style

    runs = sorted(runs, key=lambda each: each["provenance"]["cpu_s"])
    made, (left, right) = style.figure(
        0.42 * len(runs) + 1.2, 1, 2, sharey=True, width_ratios=[2, 1]
    )
    names = [each["run"] for each in runs]
    whole = [each["provenance"]["cpu_s"] / 60 for each in runs]
    # Trainings that were loaded are in the sum of training times, not in the time of the run.
    training = [
        min(all_, (training_seconds(each) or 0.0) / 60)
        for each, all_ in zip(runs, whole, strict=True)
    ]
    left.barh(names, whole, color=style.COLOURS["dense"], height=0.6)
    left.barh(names, training, color=style.COLOURS["fft"], height=0.6)
    memory = [each["provenance"]["peak_rss_mb"] / 1024 for each in runs]
    right.barh(names, memory, color=style.COLOURS["shift"], height=0.6)
    left.set(xlabel="minutes of a processor")
    right.set(xlabel="GiB")
    left.tick_params(axis="y", labelsize=style.SMALL)
    style.legend(left, {"fft": "training", "dense": "the rest"}, columns=2)
    style.legend(right, {"shift": "memory"})
    longest = runs[-1]
    return style.shown(
        made,
        "speed-costs",
        caption="Where the time of the runs goes, and the memory of the largest process of each. "
        "Training is what the run records, at most the whole: a training that was loaded counts "
        "with the time that it once took.",
        alt=f"Two panels of bars, {len(runs)} runs. The longest is {longest['run']} with "
        f"{longest['provenance']['cpu_s'] / 60:.0f} minutes; the most memory is "
        f"{max(memory):.1f} GiB.",
    )
