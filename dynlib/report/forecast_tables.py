"""Tables of forecasts, from what :mod:`dynlib.report.forecasts` recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dynlib.report import record
from dynlib.report.forecasts import LABELS


def show_row(name: str, suffix: str = "") -> list[str]:
    """Cells of a table: accumulated errors and valid time of a method, with intervals."""
    forms = {
        "accumulated_mse_100": ".1e", "accumulated_mse_horizon": ".1e", "valid_time": ".2f",
        "failures": "d",
    }  # fmt: skip
    return [record.show(f"{name}_{measure}{suffix}", form) for measure, form in forms.items()]


def errors_table(
    names: Iterable[str],
    horizon: int,
    *,
    first: str = "method",
    suffix: str = "",
    fitted_on: Mapping[str, str] | None = None,
) -> record.Table:
    """The forecasts of some methods: errors, valid times and failures.

    Parameters
    ----------
    names : sequence of str
        The methods, in the order of the rows.
    horizon : int
        Steps of a forecast.
    first : str
        Heading of the first column.
    suffix : str
        As for :func:`dynlib.report.forecasts.record_rollout`.
    fitted_on : mapping of str to str, optional
        Method -> its data, for a column of their own; "the record" for the others.
    """
    header = [
        "accumulated MSE, 100 steps", f"{horizon} steps", "valid time, Lyapunov times", "failures"
    ]  # fmt: skip
    between = [] if fitted_on is None else ["fitted on"]
    return record.Table(
        [first, *between, *header],
        [
            [
                LABELS[name],
                *([] if fitted_on is None else [fitted_on.get(name, "the record")]),
                *show_row(name, suffix),
            ]
            for name in names
        ],
    )


def search_table(
    searches: Mapping[str, tuple[Mapping[str, float], Sequence[float]]],
) -> record.Table:
    """Searches for settings: method -> the best settings, and the scores of all."""
    return record.Table(
        ["method", "tried", "chosen", "valid time on the end of the record", "worst tried"],
        [
            [
                LABELS[name],
                str(len(scores)),
                ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in best.items()),
                f"{max(scores):.2f}",
                f"{min(scores):.2f}",
            ]
            for name, (best, scores) in searches.items()
        ],
    )


def long_table(names: Iterable[str]) -> record.Table:
    """Valid times at both horizons, and how many forecasts never left the truth."""
    known = record.metrics()

    def cell(name: str, reach: str) -> str:
        never = known[name]["value"] >= known[reach]["value"] - 1e-9
        return "≥ " * never + record.show(name, ".2f")

    return record.Table(
        ["valid time, Lyapunov times", "printed horizon", "long horizon", "never left", "left box"],
        [
            [
                LABELS[name],
                cell(f"{name}_valid_time", "horizon_lyapunov"),
                cell(f"{name}_valid_time_long", "long_horizon_lyapunov"),
                record.show(f"{name}_valid_time_long_censored", "d"),
                record.show(f"{name}_left_attractor", ".0%")
                if f"{name}_left_attractor" in known
                else "",
            ]
            for name in names
        ],
    )


def noise_table(names: Iterable[str], levels: Mapping[str, float]) -> record.Table:
    """Valid times by the noise on the data, of the methods that were fitted to noisy data.

    `levels` are suffixes of metrics -> shares of the spread.
    """
    known = record.metrics()
    fitted = [n for n in names if any(f"{n}_valid_time{suffix}" in known for suffix in levels)]
    noisy = {f"noise {level:.0e}": f"valid_time{key}:.2f" for key, level in levels.items()}
    columns = {"clean": "valid_time:.2f"} | noisy
    return record.metrics_table({name: LABELS[name] for name in fitted}, columns, "method")
