"""GPT-2 against counting, by the size of the data and the number of passes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from dynlib.report import record, style
from dynlib.report.counting import CASES, Training, sized

#: How the lines of the sizes are drawn, the smallest first.
LINES = (":", "--", "-")
#: Nats below which the axis is linear.
LINEAR = 0.03


def differences(plan: Sequence[Training]) -> style.Shown:
    """Difference of cross-entropies against passes, a panel a grid, a line a size of the data."""
    figure, panels = style.figure(6.6, 3, 2, sharex=True, sharey=True)
    fractions = sorted({each.fraction for each in plan})
    shades = dict(zip(fractions, (*LINES[-len(fractions) :], *"-" * len(fractions)), strict=False))
    for axes, case in zip(panels.flat, CASES, strict=False):
        axes.axhline(0, color=style.MUTED, linewidth=1)
        axes.set_title(case.title)
        for fraction, line in shades.items():
            own = [e for e in plan if e.data.case == case and e.fraction == fraction]
            _line(axes, sorted(own, key=lambda each: each.passes), line)
    panels[0, 0].set_xscale("log")
    panels[0, 0].set_yscale("symlog", linthresh=LINEAR)
    panels[0, 0].margins(x=0.08)
    ticks = sorted({each.passes for each in plan})
    panels[0, 0].set_xticks([float(p) for p in ticks], [str(p) for p in ticks], minor=False)
    panels[0, 0].yaxis.set_major_locator(FixedLocator((-1, -0.1, -0.03, 0, 0.03, 0.1, 1)))
    panels[0, 0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[0, 0].minorticks_off()
    for axes in (panels[1, 1], panels[2, 0]):
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("passes over the data")
    for axes in panels[:, 0]:
        axes.set_ylabel("nats a token")
    key = panels.flat[-1]
    key.axis("off")
    for fraction, line in shades.items():
        look: dict = {"marker": "o", "markersize": 4, "color": style.COLOURS["model"]}
        key.plot([], [], line, label=_share(fraction), **look)
    key.legend(loc="center", fontsize=style.SMALL)
    return style.shown(figure, "differences", caption=_caption(plan), alt=_alt(plan))


def _share(fraction: Fraction) -> str:
    return "all data" if fraction == 1 else f"{fraction} of the data"


def _line(axes: Axes, trainings: Sequence[Training], line: str) -> None:
    """The differences of one size of the data, with their intervals."""
    colour, found = style.COLOURS["model"], record.metrics()
    points = [(float(e.passes), found[f"difference_{e.name}"]) for e in trainings]
    points = [(passes, entry) for passes, entry in points if entry["value"] is not None]
    values = [entry["value"] for _, entry in points]
    axes.plot([p for p, _ in points], values, line, marker="o", markersize=4, color=colour)
    for passes, entry in points:
        if entry["low"] is not None:
            axes.plot([passes] * 2, [entry["low"], entry["high"]], color=colour, linewidth=1)


def _caption(plan: Sequence[Training]) -> str:
    found = record.metrics()
    absent = int(found["trainings_left_out"]["value"])
    not_run = (
        f" {absent} of {len(plan)} combinations were not run: too short to warm up, or too costly."
        if absent
        else ""
    )
    return (
        "Cross-entropy of GPT-2 minus that of the best n-gram, both learnt from the same data, "
        "against passes over these data. Below the line GPT-2 predicts better. Bars: intervals "
        f"over seeds and test trajectories. The axis is linear within {LINEAR} nats, and "
        "logarithmic beyond." + not_run
    )


def _alt(plan: Sequence[Training]) -> str:
    found = record.metrics()
    words = []
    for case in CASES:
        own = {sized(e.data, e.fraction): e.fraction for e in plan if e.data.case == case}
        ahead = [
            f"{_share(fraction)} after {found[f'overtakes_{size}']['value']:.3g} passes"
            for size, fraction in own.items()
            if found[f"overtakes_{size}"]["value"] is not None
        ]
        words.append(f"{case.title}: {'below zero with ' + ', '.join(ahead) if ahead else 'never'}")
    return f"Five panels of curves around a zero line. {'; '.join(words)}."
