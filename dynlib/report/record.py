"""What a run found: named metrics with intervals, handed to the runner.

Under the runner the record is kept in the file named by ``$DYNLIB_RECORD``, to which the
runner adds provenance when the kernel ends; by hand it stays in memory.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynlib.measure.intervals import summarise

_record: dict[str, Any] = {"metrics": {}, "context": {}}


def _flush() -> None:
    target = os.environ.get("DYNLIB_RECORD")
    if target:
        part = Path(target + ".part")
        part.write_text(json.dumps(_record, allow_nan=False), encoding="utf-8")
        part.rename(target)


def metric(
    name: str,
    samples: float | Sequence[float] | np.ndarray | None,
    *,
    over: str | None = None,
    unit: str = "1",
    tolerance: float = 0.05,
    timing: bool = False,
) -> dict[str, Any]:
    """Record a metric.

    Parameters
    ----------
    name : str
        ``<method>_<measure>``, lower case; each name once a run.
    samples : float, sequence of float, numpy.ndarray, or None
        One value per independent unit, or a single value; None for a value that does not
        exist (say why with a metric ``<name>_failures`` or ``<name>_censored``).
    over : str, optional
        What the units are: ``"seeds"``, ``"starts"``, ``"batches"``, ``"trajectories"``;
        required with more than one.
    unit : str
        Physical unit, ``"1"`` for none.
    tolerance : float
        Relative band within which a rerun on another machine agrees; absolute where the
        value is 0. It is widened to twice the half-range of the samples where that is more.
    timing : bool
        Whether it measures time, or depends on such measurements. These metrics differ from run
        to run on one machine, and no comparison of runs fails by them.

    Returns
    -------
    dict
        The entry, as it stands in the results file.

    Raises
    ------
    ValueError
        For a malformed or repeated name, values that are not finite, or several samples
        without `over`.

    Examples
    --------
    >>> metric("example_ratio", [0.9, 1.0, 1.2], over="seeds")["value"]
    1.0
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"metric names are lower case letters, digits and _, got {name!r}")
    if name in _record["metrics"]:
        raise ValueError(f"metric {name!r} is recorded already; every name is recorded once a run")
    empty: dict[str, Any]
    empty = {"low": None, "high": None, "level": None, "n": 0, "over": over, "samples": []}
    if samples is None:
        entry = {"value": None, **empty, "unit": unit, "tolerance": tolerance}
    else:
        values: list[Any]  # mypy cannot know what np.ndim does
        values = [samples] if np.ndim(samples) == 0 else list(samples)  # type: ignore[arg-type]
        values = [int(v) if isinstance(v, (int, np.integer)) else float(v) for v in values]
        if len(values) > 1 and over is None:
            raise ValueError(f"{name!r} has {len(values)} samples; say over what (over='seeds')")
        summary = summarise(values)
        value = values[0] if len(values) == 1 else summary.value
        spread = (max(values) - min(values)) / (abs(summary.value) or 1.0)
        entry = {
            "value": value,
            "low": summary.low,
            "high": summary.high,
            "level": summary.level,
            "n": summary.n,
            "over": over,
            "samples": values if len(values) <= 64 else [],
            "unit": unit,
            "tolerance": max(tolerance, spread),
        }
    entry["timing"] = timing
    _record["metrics"][name] = entry
    _flush()
    return entry


def context(**facts: Any) -> None:
    """Note how the run was made: ``device``, ``threads``, ``seeds``."""
    _record["context"].update(facts)
    _flush()


def named(method: str, measure: str) -> str:
    """Name of a method's measure; a measure without a method is the main model's own.

    Examples
    --------
    >>> named("model", "w1_ratio"), named("markov", "w1_ratio")
    ('w1_ratio', 'markov_w1_ratio')
    """
    return measure if method == "model" else f"{method}_{measure}"


def number(value: float, form: str = ".3g") -> str:
    """A number as text; narrow spaces, at which no line breaks, stand between thousands.

    Examples
    --------
    >>> number(12_345, "d"), number(12.345)
    ('12\u202f345', '12.3')
    """
    return format(value, form.replace("d", ",d")).replace(",", "\u202f")


def show(name: str, form: str = ".3g") -> str:
    """A recorded metric as text: its value, and its interval in brackets where it has one."""
    entry = _record["metrics"][name]
    if entry["value"] is None:
        return "none"
    text = number(entry["value"], form)
    if entry["low"] is None:
        return text
    return f"{text} [{number(entry['low'], form)}, {number(entry['high'], form)}]"


class Table:
    """A small table that a notebook displays: Markdown on pages, aligned text elsewhere.

    Examples
    --------
    >>> print(Table(["method", "ratio"], [["GPT-2", "1.02"]]))
    method  ratio
    GPT-2    1.02
    """

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.header, self.rows = list(header), [list(row) for row in rows]

    def __repr__(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                text.rjust(width) if i else text.ljust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )

    def _repr_markdown_(self) -> str:
        ruler = [":---", *["---:"] * (len(self.header) - 1)]
        return "\n".join(
            "| " + " | ".join(line) + " |" for line in [self.header, ruler, *self.rows]
        )


def metrics_table(methods: Mapping[str, str], columns: Mapping[str, str], head: str = "") -> Table:
    """A row a method, a column a recorded measure, as :func:`show` has it.

    Parameters
    ----------
    methods : mapping
        The label of each method, by its name in metrics (``"model"`` for the main model).
    columns : mapping
        ``measure[.value][:format]`` by heading; with ``.value`` the interval is left out.
        A cell is empty where a method has no such metric.
    head : str
        Heading of the labels.

    Examples
    --------
    >>> _ = metric("sindy_mse_test", [1e-4, 3e-4, 2e-4], over="seeds")
    >>> print(metrics_table({"sindy": "SINDy"}, {"test MSE": "mse_test.value:.1e"}, "method"))
    method  test MSE
    SINDy    2.0e-04
    """
    return Table([head, *columns], [
        [label, *(_cell(method, column) for column in columns.values())]
        for method, label in methods.items()
    ])  # fmt: skip


def _cell(method: str, column: str) -> str:
    place, _, form = column.partition(":")
    measure, _, part = place.partition(".")
    if part not in ("", "value"):
        raise ValueError(f"a column is measure[.value][:format], got {column!r}")
    name = named(method, measure)
    if name not in _record["metrics"]:
        return ""
    text = show(name, form or ".3g")
    return text.partition(" ")[0] if part else text


def metrics() -> dict[str, dict[str, Any]]:
    """All metrics recorded so far, by name."""
    return dict(_record["metrics"])


def clear() -> None:
    """Forget everything recorded so far, for a second run in one kernel."""
    _record["metrics"].clear()
    _record["context"].clear()
