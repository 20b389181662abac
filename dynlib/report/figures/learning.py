"""What a model is worth after more and more training: the stages that a run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from dynlib.report import record, style

#: Heading, name and format of each measure of a stage in the table.
COLUMNS = (
    ("training", "cross_entropy_train", ".3f"),
    ("held out", "cross_entropy_held_out", ".3f"),
    ("ratio, T = 1", "w1_ratio", ".2f"),
    ("ratio, greedy", "greedy_w1_ratio", ".2f"),
    ("divergence time", "divergence_time", ".2f"),
    ("copied", "copied", ".2%"),
)


def stages(metrics: Mapping[str, Mapping[str, Any]]) -> range:
    """The numbers of the stages among the metrics of a run, empty where it has none."""
    return range(1, 1 + int(metrics["stages"]["value"] if "stages" in metrics else 0))


def table(metrics: Mapping[str, Mapping[str, Any]]) -> record.Table | None:
    """The measures of every stage, a row a stage; None for a run without stages.

    Parameters
    ----------
    metrics : mapping
        Of :func:`dynlib.report.record.metrics`, or of a results file.
    """
    if not stages(metrics):
        return None
    columns = [each for each in COLUMNS if f"stage_1_{each[1]}" in metrics]
    rows = []
    for k in stages(metrics):
        seen = metrics[f"stage_{k}_tokens"]["value"]
        passes = f"{seen / metrics['train_tokens']['value']:.2g}"
        note = " (kept)" * (k == metrics["kept_stage"]["value"])
        shown = [_cell(metrics[f"stage_{k}_{measure}"], form) for _, measure, form in columns]
        rows.append([passes + note, record.number(int(seen), "d"), *shown])
    return record.Table(["passes", "tokens seen", *(head for head, *_ in columns)], rows)


def _cell(entry: Mapping[str, Any], form: str) -> str:
    value, low, high = (entry[key] for key in ("value", "low", "high"))
    if value is None:
        return "none"
    return f"{value:{form}}" + (f" [{low:{form}}, {high:{form}}]" if low is not None else "")


def curve(metrics: Mapping[str, Mapping[str, Any]]) -> style.Shown | None:
    """Cross-entropies and distances against tokens seen; None for a run without stages.

    `metrics` as for :func:`table`.
    """
    if not stages(metrics):
        return None
    figure, (above, below) = style.figure(5.2, 2, 1, sharex=True)
    floor = metrics.get("entropy_rate", metrics["lyapunov_reference"])["value"]
    above.axhline(floor, color=style.MUTED, linewidth=1)
    above.annotate(
        "entropy rate of the system", (0.01, floor), xycoords=("axes fraction", "data"),
        xytext=(0, 4), textcoords="offset points", fontsize=style.SMALL, color=style.MUTED,
    )  # fmt: skip
    _line(above, metrics, "cross_entropy_train", "model", "training", va="top", linestyle="--")
    _line(above, metrics, "cross_entropy_held_out", "model", "held out", va="bottom")
    above.set(ylabel="nats per token")
    below.axhline(1, color=style.MUTED, linestyle="--", linewidth=1)
    _line(below, metrics, "w1_ratio", "model", "T = 1")
    _line(below, metrics, "greedy_w1_ratio", "greedy", "greedy")
    below.set(xscale="log", yscale="log", xlabel="tokens seen", ylabel="W1 ratio")
    for axes in (above, below):
        axes.axvline(metrics["kept_tokens"]["value"], color=style.MUTED, linestyle=":")
        axes.margins(x=0.15)
    last = stages(metrics)[-1]
    return style.shown(
        figure,
        "learning",
        caption=(
            "What the model is worth after more and more training. Above: cross-entropy on "
            "training and on held-out trajectories. Where the first falls below the entropy rate "
            "of the system, the model has memorised. Below: distance from the truth over that of "
            "two true samples (dashed: equal), sampled and decoded greedily, with the interval "
            "over batches of prompts. Dotted: the stage of least held-out loss. Its model is kept."
        ),
        alt=(
            f"Two panels of curves against tokens seen, {last} stages. Above, the training curve "
            f"ends at {metrics[f'stage_{last}_cross_entropy_train']['value']:.3f} nats, the "
            f"entropy rate is {floor:.3f}. Below, ratios of distances on a logarithmic axis, "
            f"{metrics['kept_w1_ratio']['value']:.2g} sampled and "
            f"{metrics['kept_greedy_w1_ratio']['value']:.2g} greedy at the stage that is kept."
        ),
    )


def _line(
    axes: Axes,
    metrics: Mapping[str, Mapping[str, Any]],
    measure: str,
    method: str,
    label: str,
    *,
    va: str = "center",
    **options: Any,
) -> None:
    """The curve of a measure, with its intervals, named at its end."""
    points = [
        (metrics[f"stage_{k}_tokens"]["value"], metrics[f"stage_{k}_{measure}"])
        for k in stages(metrics)
        if metrics[f"stage_{k}_{measure}"]["value"] is not None
    ]
    if not points:
        return
    colour = style.COLOURS[method]
    seen, values = zip(*((tokens, entry["value"]) for tokens, entry in points), strict=True)
    axes.plot(seen, values, marker="o", color=colour, markersize=4, **options)
    for tokens, entry in points:
        if entry["low"] is not None:
            axes.plot([tokens, tokens], [entry["low"], entry["high"]], color=colour, linewidth=1)
    style.note(axes, seen[-1], values[-1], label, method, offset=(6, 0), va=va)
