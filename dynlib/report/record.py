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

from dynlib.dynamics.checks import check_array, check_flag, check_is, check_number
from dynlib.measure.intervals import by_unit, denominators, summarise

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
    per: Sequence[float] | np.ndarray | None = None,
    over: str | None = None,
    unit: str = "1",
    tolerance: float = 0.05,
    share: bool = False,
    timing: bool = False,
) -> dict[str, Any]:
    """Record a metric.

    Parameters
    ----------
    name : str
        ``<method>_<measure>``, lower case; each name once a run.
    samples : float, sequence of float, numpy.ndarray, or None
        One value per independent unit, or a single value; None for a value that does not
        exist (say why with a metric ``<name>_failures`` or ``<name>_censored``). An array of
        shape (S, B) has the same B units in a row for each of S training seeds. The entry then
        keeps the means over seeds as ``samples``, and the medians over units as ``by_seed``.
    per : sequence of float, optional
        Denominators of the same units; samples are divided by their median
        (:func:`dynlib.measure.intervals.summarise`).
    over : str, optional
        What the units are: ``"seeds"``, ``"starts"``, ``"batches"``, ``"trajectories"``;
        required with more than one.
    unit : str
        Physical unit, ``"1"`` for none.
    tolerance : float
        Relative band within which a rerun on another machine agrees; absolute where the
        value is 0. It is widened to twice the half-range of the samples where that is more.
    share : bool
        Whether it is a share of a whole, whose interval ends at 0 and at 1.
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
    _check_new(name)
    _check_text("over", "" if over is None else over)
    _check_text("unit", unit)
    check_number("tolerance", tolerance, least=0)
    check_flag("timing", timing)
    _check_samples(name, samples, per, over)
    empty: dict[str, Any]
    empty = {"low": None, "high": None, "level": None, "n": 0, "over": over, "samples": []}
    if samples is None:
        entry = {"value": None, **empty, "unit": unit, "tolerance": tolerance}
    else:
        each = np.atleast_1d(samples)
        summary, table = summarise(each, per, share=share), by_unit(each)
        middle = 1.0 if per is None else float(np.median(per))
        values: list[Any] = (table.mean(axis=0) / middle).tolist()
        if per is None and np.asarray(samples).dtype.kind in "iu" and len(table) == 1:
            values = [int(value) for value in values]  # a count stays one
        spread = (max(values) - min(values)) / (abs(summary.value) or 1.0)
        entry = {
            "value": values[0] if len(values) == 1 else summary.value,
            "low": summary.low,
            "high": summary.high,
            "level": summary.level,
            "n": summary.n,
            "over": over,
            "samples": values if len(values) <= 64 else [],
            "unit": unit,
            "tolerance": max(tolerance, spread),
        }
        if np.ndim(samples) == 2:
            entry["by_seed"] = (np.median(table, axis=1) / middle).tolist()
        _check_spread(name, values, spread)
    entry["timing"] = timing
    _record["metrics"][name] = entry
    _flush()
    return entry


def context(**facts: Any) -> None:
    """Note how the run was made: ``device``, ``threads``, ``seeds``."""
    _check_facts(facts)
    _record["context"].update(facts)
    _flush()


def named(method: str, measure: str) -> str:
    """Name of a method's measure; a measure without a method is the main model's own.

    Examples
    --------
    >>> named("model", "w1_ratio"), named("markov", "w1_ratio")
    ('w1_ratio', 'markov_w1_ratio')
    """
    _check_text("method", method)
    _check_text("measure", measure)
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
    """A recorded metric as text: its value, and in brackets its interval or range, if any."""
    _check_known(name)
    entry = _record["metrics"][name]
    _check_form(form, entry["value"])
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
        _check_table(header, rows)
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
    _check_words("methods", methods)
    _check_words("columns", columns)
    _check_text("head", head)
    return Table([head, *columns], [
        [label, *(_cell(method, column) for column in columns.values())]
        for method, label in methods.items()
    ])  # fmt: skip


def _cell(method: str, column: str) -> str:
    place, _, form = column.partition(":")
    measure, _, part = place.partition(".")
    if part not in ("", "value"):
        raise ValueError(
            f"a column must be measure[.value][:format], got {column!r}; leave out {part!r}"
        )
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


def _check_text(name: str, value: Any) -> None:
    check_is(name, value, str, "a text", "write it in quotes")


def _check_new(name: str) -> None:
    _check_text("name", name)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"name must be of lower case letters, digits and _, got {name!r}; begin with a letter"
        )
    if name in _record["metrics"]:
        raise ValueError(
            f"name must be new, for each is recorded once a run, got {name!r} again; choose "
            "another, or clear() the record for a second run in one kernel"
        )


def _check_samples(name: str, samples: Any, per: Any, over: str | None) -> None:
    if samples is None:
        return
    what = f"samples of {name}"
    check_array(what, samples, (...,), allow="any", empty=True)
    axes = ("S", "B") if np.ndim(samples) > 1 else ("n",) * np.ndim(samples)
    check_array(what, samples, axes, remedy="give one value a unit, or a row of them a seed")
    if per is not None:
        denominators(per, np.shape(np.atleast_1d(samples))[-1])
    if np.size(samples) > 1 and over is None:
        raise ValueError(
            f"over must be what the {np.size(samples)} samples of {name} are taken over, got None; "
            "such as over='seeds'"
        )


def _check_spread(name: str, values: list[Any], spread: float) -> None:
    if not np.isfinite(spread):
        raise ValueError(
            f"samples of {name} must be of comparable sizes, got {min(values)} to {max(values)}; "
            "record their logarithms"
        )


def _check_facts(facts: dict[str, Any]) -> None:
    try:
        json.dumps(facts, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"facts must be texts, finite numbers and lists of them, got {facts!r:.200} ({error}); "
            "convert them"
        ) from error


def _check_known(name: str) -> None:
    if name not in _record["metrics"]:
        raise ValueError(
            f"name must be that of a recorded metric, got {name!r}; record it first, there are "
            f"{', '.join(_record['metrics']) or 'none yet'}"
        )


def _check_form(form: str, value: Any) -> None:
    try:
        format(0 if value is None else value, form)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"form must be a format of numbers, got {form!r} for {value} ({error}); such as '.3g'"
        ) from error


def _check_table(header: Any, rows: Any) -> None:
    _check_texts("header", header, "names of columns")
    check_is("rows", rows, (list, tuple), "a list of rows", "write it in square brackets")
    for row in rows:
        _check_texts("each of rows", row, "texts, one a column", len(header))


def _check_texts(name: str, line: Any, what: str, length: int | None = None) -> None:
    check_is(name, line, (list, tuple), f"a list of {what}", "write it in square brackets")
    for each in line:
        _check_text(f"each text of {name}", each)
    if len(line) != (len(line) if length is None else length):
        raise ValueError(f"{name} must be {length} {what}, got {line}; add or drop some")


def _check_words(name: str, words: Any) -> None:
    check_is(name, words, Mapping, "texts by name", f"such as {name}={{'name': 'text'}}")
    for pair in words.items():
        for each in pair:
            _check_text(f"each of {name}", each)
