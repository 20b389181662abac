"""What the notebook on a user-defined system records and says, whether that is chaotic or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynlib.dynamics.flows import TimeMap
from dynlib.measure.distribution import SHARES, Reference, rollout_measures
from dynlib.measure.rollout import accumulated_mse, failures, step_errors
from dynlib.report import record, style
from dynlib.report.forecast_tables import show_row
from dynlib.report.forecasts import LABELS, record_rollout


def rests(late: np.ndarray, first: np.ndarray) -> bool:
    """Whether trajectories after the transient have a range of less than a thousandth.

    Parameters
    ----------
    late, first : numpy.ndarray
        Trajectories (n, T, d) after the transient, and from their initial states on.

    Examples
    --------
    >>> decay = np.exp(-np.arange(2000.0))[None, :, None]
    >>> rests(decay[:, 1000:], decay[:, :1000])
    True
    """
    ranges, at_first = np.ptp(late, axis=1), np.ptp(first, axis=(0, 1))
    return bool((ranges < 1e-3 * at_first).all())


#: What is said of a system that keeps volumes.
CONSERVATIVE = (
    "The system is conservative: it keeps volumes. It has no attractor, and what is found holds "
    "for the energies and regions about its start."
)


def conservative(step: Any, trajectories: np.ndarray) -> bool:
    """Whether a map or a flow keeps volumes at all states of trajectories (n, T, d).

    Examples
    --------
    >>> from dynlib.dynamics.own import OwnMap
    >>> turn = OwnMap(lambda x, y: (y, -x), ("x", "y"), (1.0, 0.0))
    >>> conservative(turn, np.ones((1, 5, 2)))
    True
    """
    states = trajectories[:, :: max(1, trajectories.shape[1] // 20)]
    if isinstance(step, TimeMap):
        slopes = step.flow.jacobian(states)
        change = np.trace(slopes, axis1=-2, axis2=-1)
        return bool((np.abs(change) <= 1e-7 * np.abs(slopes).max()).all())
    change = np.abs(np.linalg.det(step.jacobian(states)))
    return bool((np.abs(change - 1) <= 1e-6).all())


def record_system(dim: int, tau: float, spread: float, at_rest: bool, settling: str) -> None:
    """Record what is studied: ``dim``, ``tau``, ``spread``, ``at_rest`` and ``settled``."""
    record.metric("dim", dim, tolerance=0.0)
    record.metric("tau", tau, tolerance=0.0)
    record.metric("at_rest", int(at_rest), tolerance=0.0)
    record.metric("settled", int(not settling), tolerance=0.0)
    record.metric("spread", spread, unit="state", tolerance=0.1)


def grows(exponents: np.ndarray, n_steps: int, tau: float) -> bool:
    r"""Whether neighbours part faster than on a straight line.

    Where the largest exponent is zero, as on a limit cycle or a torus, the distance of
    neighbours may still grow in proportion to time, and estimates over n steps of either sign
    up to :math:`\ln n / n\tau` are found. An exponent counts as positive when the lower
    end of its interval, the smaller quartile of the orbits, is above that.

    Parameters
    ----------
    exponents : numpy.ndarray
        Largest exponents, one an orbit, per unit of time; with a minus infinity among them none
        counts as positive.
    n_steps : int
        Steps over which they were measured.
    tau : float
        Time of a step.

    Examples
    --------
    >>> grows(np.array([0.9, 1.0]), 1000, 0.03), grows(np.array([1e-3, -1e-3]), 1000, 0.1)
    (True, False)
    """
    if np.ndim(exponents) != 1:
        raise ValueError(
            f"exponents must have shape (orbits,), got {np.shape(exponents)}; the largest of each "
            "orbit are exponents[:, 0]"
        )
    if np.isneginf(exponents).any():  # no mean over the orbits, and no Lyapunov time
        return False
    return bool(np.quantile(exponents, 0.25) * n_steps * tau > np.log(n_steps))


def settling(trajectories: np.ndarray, names: Sequence[str]) -> str:
    r"""Which coordinate still decays or grows after the transient, in words; empty if none.

    The record of trajectory i of n begins i/n of its length later than that of the first, so
    that records of a cycle begin at different phases. With the ranges (largest minus
    smallest value) :math:`r_1, r_2, r_3` of a coordinate in the three thirds of a record, it
    decays where in *every* trajectory

    .. math:: r_3 \le 0.9\, r_1, \qquad r_3 \le 1.02\, r_2, \qquad r_2 \le 1.02\, r_1,

    and it grows where the same holds backwards. A cycle has equal ranges and chaos those of
    either sign, so that neither is named where a third holds a cycle or more; a decay by less
    than a tenth over two thirds of a record is not seen.

    Parameters
    ----------
    trajectories : numpy.ndarray
        States after the transient, shape (n, 2 T, d): twice as long as a record. Two dozen
        are enough to tell chance from a trend.
    names : sequence of str
        Of the coordinates.

    Raises
    ------
    ValueError
        If the trajectories are not of that shape, with n of 1 and T of 6 or more.

    Examples
    --------
    >>> times = 0.1 * np.arange(2000)
    >>> waves = np.stack([np.cos(times + phase) for phase in range(4)])[:, :, None]
    >>> settling(waves, ["x"])
    ''
    >>> settling(np.exp(-0.01 * times)[:, None] * waves, ["x"]).partition(",")[0]
    'the range of x still decays'
    """
    if trajectories.ndim != 3 or not len(trajectories) or trajectories.shape[1] < 12:
        raise ValueError(
            "trajectories must have shape (n, 2 T, d) with n of 1 and T of 6 or more, got "
            f"{trajectories.shape}; simulate twice the length of a record"
        )
    n, length = len(trajectories), trajectories.shape[1] // 2
    begin = np.arange(n) * length // n
    records = np.stack([row[b : b + length] for row, b in zip(trajectories, begin, strict=True)])
    third = length // 3
    thirds = records[:, : 3 * third].reshape(n, 3, third, -1)
    ranges = np.ptp(thirds, axis=2)  # (n, 3, d)
    for ordered, what in ((ranges, "decays"), (ranges[:, ::-1], "grows")):
        before, between, after = np.moveaxis(ordered, 1, 0)
        falls = (after < 0.9 * before) & (after <= 1.02 * between) & (between <= 1.02 * before)
        if falls.all(axis=0).any():
            i = int(falls.all(axis=0).argmax())
            change = np.median(ranges[:, 2, i] / ranges[:, 0, i].clip(min=np.finfo(float).tiny))
            return (
                f"the range of {names[i]} still {what}, by a factor of {change:.2g} in a record; "
                "take a longer transient, or longer trajectories if it has slow cycles"
            )
    return ""


def exponents(groups: np.ndarray) -> list[str]:
    """Record ``lyapunov_1``, ``lyapunov_2``, ... of groups of orbits (n, d); how to show each.

    An exponent of minus infinity is None, and ``_failures`` counts the groups that have it.
    """
    if np.ndim(groups) != 2:
        raise ValueError(
            f"groups must have shape (n, d), got {np.shape(groups)}; one group is group[None]"
        )
    shown = []
    for i, column in enumerate(groups.T, start=1):
        name, lost = f"lyapunov_{i}", int(np.isneginf(column).sum())
        values = None if lost else column
        record.metric(name, values, over="trajectories", unit="nats/time", tolerance=0.05)
        if lost:
            record.metric(f"{name}_failures", lost, tolerance=0.0)
        where = "" if lost == len(column) else f" in {lost} of {len(column)} groups"
        words = f"minus infinity{where}: the map folds, or orbits meet a point where it is flat"
        shown.append(words if lost else record.show(name, ".4f"))
    return shown


def record_chaos(groups: np.ndarray, chaotic: bool, tau: float) -> tuple[float | None, float]:
    """Record ``chaotic``, ``lyapunov_time`` and ``entropy_rate`` of groups of orbits (n, d).

    Returns
    -------
    exponent : float or None
        The largest one, None where it is not positive.
    entropy : float
        Nats a token.
    """
    record.metric("chaotic", int(chaotic), tolerance=0.0)
    inverse = 1 / groups[:, 0] if chaotic else None
    record.metric("lyapunov_time", inverse, over="trajectories", unit="time", tolerance=0.05)
    if not chaotic:
        record.metric("lyapunov_time_failures", len(groups), tolerance=0.0)
    entropy = float(tau * np.median(groups, axis=0).clip(min=0).sum() if chaotic else 0)
    record.metric("entropy_rate", entropy, unit="nats/token")
    return (record.metrics()["lyapunov_1"]["value"] if chaotic else None), entropy


def exponent_table(words: Sequence[str]) -> record.Table:
    """The exponents, as :func:`exponents` shows them, and the Lyapunov time."""
    rows = [[f"exponent {i}", each] for i, each in enumerate(words, start=1)]
    time = record.show("lyapunov_time", ".3f")
    return record.Table(["", "value"], [*rows, ["Lyapunov time", time]])


def prediction_table(order: int) -> record.Table:
    """How well the next token is predicted; `order` is that of the best n-gram."""
    rows = [
        [
            label,
            record.show(record.named(method, "cross_entropy")),
            record.show(record.named(method, "top1_accuracy")),
        ]
        for method, label in _token_methods(order).items()
    ]
    if "entropy_rate" in record.metrics():
        rows.append(["entropy rate of the system", record.show("entropy_rate"), ""])
    return record.Table(["", "nats a token", "likeliest token right"], rows)


def _token_methods(order: int) -> dict[str, str]:
    best = f"n-gram, {order} tokens"
    return {"model": "GPT-2", "markov": "Markov chain", "best_ngram": best}


def record_distances(
    samples: Mapping[str, Sequence[np.ndarray]],
    reference: Reference,
    matched: np.ndarray,
    learned: np.ndarray,
) -> record.Table:
    """Record how far every method's tokens are from true ones; the table.

    As :func:`dynlib.report.tokens.rollouts` with the Euclidean cost alone. Where two true
    samples are equal, as on a short cycle, there is no scale: ratios are None, and counted in
    ``_w1_ratio_failures``.
    """
    record.metric("w1_true_true", reference.true_true, over="batches", tolerance=0.5)
    cell = np.ptp(reference.centres, axis=0).max() / len(reference.centres)
    exists = np.median(reference.true_true) > 1e-9 * cell
    for method, each in samples.items():
        measured = rollout_measures(each, reference, None, matched, learned) if exists else {}
        for measure in ("w1_ratio", "unseen_transitions", "periodic_fraction"):
            if exists or measure == "w1_ratio":
                name = record.named(method, measure)
                share = measure in SHARES
                record.metric(
                    name, measured.get(measure), over="batches", tolerance=0.5, share=share
                )
        if not exists:
            record.metric(record.named(method, "w1_ratio_failures"), len(each), tolerance=0.0)
    known = record.metrics()
    return record.Table(
        ["", "distance over that of truth from truth", "in a cycle at the end", "steps never seen"],
        [
            [style.LABELS[method]]
            + [
                record.show(name) if name in known else ""
                for name in (
                    record.named(method, measure)
                    for measure in ("w1_ratio", "periodic_fraction", "unseen_transitions")
                )
            ]
            for method in samples
        ],
    )


def record_forecast(
    name: str,
    predictions: np.ndarray,
    truth: np.ndarray,
    *,
    spread: float,
    dt: float,
    exponent: float | None,
) -> None:
    """As :func:`dynlib.report.forecasts.record_rollout`; without an exponent no valid time.

    ``_valid_time`` is then None, and ``_valid_time_failures`` counts the starts.
    """
    if exponent is not None:
        record_rollout(name, predictions, truth, spread=spread, dt=dt, exponent=exponent)
        return
    errors = np.array([step_errors(each, truth) for each in predictions])
    for count, label in ((min(100, truth.shape[1]), "100"), (truth.shape[1], "horizon")):
        found = np.median([accumulated_mse(each, count) for each in errors], axis=0)
        exists = np.isfinite(np.median(found))
        record.metric(
            f"{name}_accumulated_mse_{label}",
            np.minimum(found, 1e30) if exists else None,
            over="starts",
            tolerance=1.0,
        )
    record.metric(f"{name}_valid_time", None, over="starts", unit="Lyapunov times")
    record.metric(f"{name}_valid_time_failures", len(truth), tolerance=0.0)
    lost = sum(failures(each) for each in predictions)
    record.metric(f"{name}_failures", lost, tolerance=1.0)


def equations(field: Any, names: Sequence[str]) -> str:
    """Equations that SINDy found, and which coordinates their letters are."""
    lines = field.equations()
    letters = ", ".join(
        f"{line.partition(chr(39))[0]} for {n}" for n, line in zip(names, lines, strict=True)
    )
    return "\n".join(["SINDy finds, with " + letters + ":", *lines])


def labels(methods: Iterable[str], branches: int) -> dict[str, str]:
    """What the methods that forecast are called."""
    return {name: (LABELS | {"stnn": f"StNN, p = {branches}"})[name] for name in methods}


def forecast_table(labels: Mapping[str, str], horizon: int) -> record.Table:
    """Parameters, errors and valid times of the methods that forecast."""
    known = record.metrics()
    rows = []
    for name, label in labels.items():
        size = f"{name}_parameters"
        rows.append([label, record.show(size, "d") if size in known else "", *show_row(name)])
    errors = [f"accumulated MSE, {min(100, horizon)} steps", f"{horizon} steps"]
    times = ["valid time, Lyapunov times", "failures"]
    return record.Table(["method", "parameters", *errors, *times], rows)


def summary(
    order: int | None,
    labels: Mapping[str, str],
    horizon: int,
    tau: float,
    exponent: float | None,
    settling: str,
) -> list[str]:
    """What was found, in sentences; what was not measured is not mentioned.

    Parameters
    ----------
    order : int or None
        Of the best n-gram, if there is one.
    labels : mapping of str to str
        Methods that forecast, and what they are called.
    horizon, tau : int, float
        Steps of a forecast, and the time of a step.
    exponent : float or None
        The largest, None where it is not positive.
    settling : str
        Which coordinate still decays or grows.
    """
    methods, known = _token_methods(order or 0), record.metrics()
    rivals = {name: label for name, label in labels.items() if name != "persistence"}
    entropies = {record.named(m, "cross_entropy"): label for m, label in methods.items()}
    ratios = {record.named(m, "w1_ratio"): label for m, label in methods.items()}
    errors = {f"{name}_accumulated_mse_horizon": label for name, label in labels.items()}
    said = {
        "Predicts the next token best: {}.": (best, entropies),
        "Write states no further from true ones than these are from each other: {}.": (
            level, ratios
        ),
        f"Has the smallest error over {horizon} steps: {{}}.": (best, errors),
    }  # fmt: skip
    times = {f"{name}_valid_time": label for name, label in rivals.items()}
    found = [
        sentence.format(in_words(names))
        for sentence, (in_words, names) in said.items()
        if names and names.keys() <= known.keys()
    ]
    lost = {label: known.get(f"{name}_failures", {}).get("value") for name, label in labels.items()}
    if any(lost.values()):
        counted = ", ".join(f"{label} {count}" for label, count in lost.items() if count)
        found.append(f"Forecasts that did not stay finite, which rank last: {counted}.")
    if exponent is not None and times:
        found.append(longest(times, horizon * tau * exponent))
    if settling:
        found.append(f"Not an attractor yet: {settling}.")
    return found


def longest(names: Mapping[str, str], reach: float) -> str:
    """Which methods forecast longest, in a sentence; those that reach the end are not ranked.

    Parameters
    ----------
    names : mapping of str to str
        Names of metrics of valid times -> what their methods are called.
    reach : float
        The horizon, in the same unit. A median that equals it is a lower bound.

    Examples
    --------
    >>> record.clear()
    >>> for name, value in {"a": 9.0, "b": 9.0, "c": 4.5}.items():
    ...     _ = record.metric(name, value)
    >>> longest({"a": "A", "b": "B", "c": "C"}, 9.0)  # doctest: +NORMALIZE_WHITESPACE
    'Half of the forecasts or more stay valid to the end, 9.0 Lyapunov times: A, B. A longer
     horizon would rank them. The longest of the others: C (4.5).'
    >>> record.clear()
    """
    metrics = record.metrics()
    values = {label: metrics[name]["value"] for name, label in names.items()}
    ended = [label for label, value in values.items() if value and value >= reach * (1 - 1e-9)]
    others = {name: label for name, label in names.items() if label not in ended}
    if not ended:
        return f"Forecasts longest, of {reach:.1f} Lyapunov times: {best(others, largest=True)}."
    said = [
        f"Half of the forecasts or more stay valid to the end, {reach:.1f} Lyapunov times: "
        f"{', '.join(ended)}.",
        *(["A longer horizon would rank them."] if len(ended) > 1 else []),
        *([f"The longest of the others: {best(others, largest=True)}."] if others else []),
    ]
    return " ".join(said)


def level(names: Mapping[str, str]) -> str:
    """Which methods have a ratio of 1 or less, within their intervals, in words.

    Examples
    --------
    >>> record.clear()
    >>> _ = record.metric("a", [0.9, 1.1], over="batches"), record.metric("b", 1.5)
    >>> level({"a": "A", "b": "B"})
    'A (1)'
    >>> record.clear()
    """
    found = {label: record.metrics()[name] for name, label in names.items()}
    near = [
        f"{label} ({entry['value']:.3g})"
        for label, entry in found.items()
        if entry["value"] is not None and _ends(entry)[0] <= 1
    ]
    return ", ".join(near) or "none"


def _ends(entry: dict) -> tuple[float, float]:
    """The interval of a metric, its value twice where it has none."""
    if entry["low"] is None:
        return entry["value"], entry["value"]
    return entry["low"], entry["high"]


def best(names: Mapping[str, str], *, largest: bool = False, form: str = ".3g") -> str:
    """Which of some metrics is the best, in words, and which cannot be distinguished from it.

    Parameters
    ----------
    names : mapping of str to str
        Names of metrics -> what their methods are called.
    largest : bool
        Whether larger is better.
    form : str
        Of the numbers.

    Returns
    -------
    str
        The best value's method, and those whose intervals overlap with its interval.

    Examples
    --------
    >>> record.clear()
    >>> for name, values in {"a": [1.0, 2.0], "b": [1.8, 2.4], "c": [7.0, 9.0]}.items():
    ...     _ = record.metric(name, values, over="starts")
    >>> best({"a": "A", "b": "B", "c": "C"})
    'A (1.5), not distinguishable from B (2.1)'
    >>> record.clear()
    """
    metrics = record.metrics()
    found = [(metrics[name], label) for name, label in names.items()]
    found = [(entry, label) for entry, label in found if entry["value"] is not None]
    if not found:
        return "none, since nothing was measured"
    found.sort(key=lambda each: each[0]["value"], reverse=largest)
    low, high = _ends(found[0][0])
    said = [f"{label} ({entry['value']:{form}})" for entry, label in found]
    alike = [
        text
        for (entry, _), text in zip(found[1:], said[1:], strict=True)
        if _ends(entry)[0] <= high and _ends(entry)[1] >= low
    ]
    return said[0] + (f", not distinguishable from {', '.join(alike)}" if alike else "")
