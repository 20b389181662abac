"""What a comparison of forecasts records of every method, and its names, colours and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.integrate import odeint
from torch import nn

from dynlib.dynamics.flows import Flow
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.taylor import lorenz_series
from dynlib.identify.sindy import SparseField
from dynlib.measure.forecaster import Forecaster, forecasts
from dynlib.measure.rollout import accumulated_mse, failures, step_errors, valid_time
from dynlib.measure.timing import microseconds
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.count import total
from dynlib.networks.forecaster import NetworkForecaster, feed_back
from dynlib.report import record, style

#: Names in tables and figures; here the structured network has six branches throughout.
LABELS = style.LABELS | {"stnn": style.LABELS["stnn_p6"], "control": f"plain-{style.PLAIN[6]}"}
#: Accumulated errors that the authors released, by steps. HAVOK's row has 500 points.
RELEASED = {
    "stnn": {100: 0.5704, 600: 5.544},
    "ffnn": {100: 0.2910, 600: 0.7495},
    "sindy": {100: 2.448, 600: 27.71},
    "havok": {100: 0.00299, 500: 16.13},
}
#: Methods whose long forecasts are compared start by start.
PAIRS = (("control", "stnn"), ("ffnn", "stnn"), ("stnn", "sindy_fd6"))
#: Relative and absolute tolerance by which the released notebook of each network integrates.
RELEASED_TOLERANCES = {"stnn": (1e-12, 1e-12), "ffnn": (1e-10, 1e-11)}


#: Coefficients of the Lorenz system, of 1, x, y, z, xx, xy, xz, yy, yz and zz.
TRUE_COEFFICIENTS = np.array(
    [
        [0, -10, 10, 0, 0, 0, 0, 0, 0, 0],
        [0, 28, -1, 0, 0, 0, -1, 0, 0, 0],
        [0, 0, 0, -8 / 3, 0, 1, 0, 0, 0, 0],
    ]
)


def record_rule(
    truth: np.ndarray, again: np.ndarray, *, spread: float, dt: float, exponent: float
) -> None:
    """Record what forecasts are measured by.

    Metrics: ``spread``, ``horizon_lyapunov``, ``truth_difference``. `again` is the truth of a
    second solver, as `truth` (starts, steps, dim).
    """
    reach = truth.shape[1] * dt * exponent
    record.metric("spread", spread, tolerance=0.05)
    record.metric("horizon_lyapunov", reach, unit="Lyapunov times", tolerance=0.0)
    record.metric("truth_difference", np.abs(again - truth).max(), tolerance=100.0)


def record_settings(chosen: Mapping[str, Mapping[str, float]]) -> None:
    """Record the settings that a search chose, ``<method>_<setting>``."""
    for name, settings in chosen.items():
        for setting, value in settings.items():
            record.metric(f"{name}_{setting}", value, tolerance=0.0)


def record_equations(name: str, model: SparseField) -> tuple[bool, float]:
    """Record whether SINDy found the terms of the Lorenz system, and how far off it is.

    Metrics: ``_terms_right`` (1 or 0) and ``_coefficient_error``, the largest of a coefficient.
    Both are returned.
    """
    right = bool((model.active == (TRUE_COEFFICIENTS != 0)).all())
    error = float(np.abs(model.coefficients - TRUE_COEFFICIENTS).max())
    record.metric(f"{name}_terms_right", int(right), tolerance=0.0)
    record.metric(f"{name}_coefficient_error", error, tolerance=2.0)
    return right, error


def equation_table(
    models: Mapping[str, SparseField], found: Mapping[str, tuple[bool, float]]
) -> record.Table:
    """The equations that SINDy found, one below the other, so that a phone can show them.

    Both arguments are by the names of the methods; `found` holds what :func:`record_equations`
    returned.
    """
    return record.Table(
        [
            "derivatives", "equations found", "the seven true terms",
            "largest error of a coefficient",
        ],
        [
            [
                LABELS[name].removeprefix("SINDy, "),
                "<br>".join(f"`{each}`" for each in model.equations(4)),
                "yes" if found[name][0] else "no",
                f"{found[name][1]:.1e}",
            ]
            for name, model in models.items()
        ],
    )  # fmt: skip


def true_field(dt: float) -> SparseField:
    """The true equations, in the form of SINDy's."""
    return SparseField(TRUE_COEFFICIENTS, dt)


def record_rollout(
    name: str,
    predictions: np.ndarray,
    truth: np.ndarray,
    *,
    spread: float,
    dt: float,
    exponent: float,
    suffix: str = "",
) -> np.ndarray:
    """Record how well a method forecasts from every start, and return its errors by step.

    Metrics: ``_accumulated_mse_100`` and ``_accumulated_mse_horizon`` (at 100 steps and at the
    horizon), ``_valid_time`` with ``_valid_time_censored``, ``_failures``. A rollout that is
    not finite ranks worst; where half of them are not, the median does not exist.

    Parameters
    ----------
    name : str
        Of the method.
    predictions : numpy.ndarray
        States at steps 1, 2, …, shape (seeds, starts, steps, dim). For every start the median
        seed counts.
    truth : numpy.ndarray
        Shape (starts, steps, dim).
    spread, dt, exponent : float
        As for :func:`dynlib.measure.rollout.valid_time`.
    suffix : str
        Of the metrics' names, for a variant of the data.

    Returns
    -------
    numpy.ndarray
        Mean squared error of every start and step, median over seeds, (starts, steps).
    """
    steps = truth.shape[1]
    over: dict[str, Any] = {"over": "starts", "tolerance": 1.0}
    errors = np.array([step_errors(each, truth) for each in predictions])
    for count, label in ((min(100, steps), "100"), (steps, "horizon")):
        found = np.array([accumulated_mse(each, count) for each in errors])
        found = np.median(found, axis=0)
        worst = np.minimum(found, 1e30)  # infinity keeps its rank
        exists = np.isfinite(np.median(found))
        record.metric(f"{name}_accumulated_mse_{label}{suffix}", worst if exists else None, **over)
    scored = [
        valid_time(np.where(np.isfinite(each), each, np.inf), truth, spread, dt, exponent)
        for each in predictions
    ]
    times = np.median([times for times, _ in scored], axis=0)
    record.metric(f"{name}_valid_time{suffix}", times, unit="Lyapunov times", **over)
    censored = sum(int(marked.sum()) for _, marked in scored)
    record.metric(f"{name}_valid_time_censored{suffix}", censored, tolerance=1.0)
    lost = sum(failures(each) for each in predictions)
    record.metric(f"{name}_failures{suffix}", lost, tolerance=1.0)
    return np.median(errors, axis=0)


def record_rollouts(
    predictions: Mapping[str, np.ndarray], truth: np.ndarray, **options: Any
) -> dict[str, np.ndarray]:
    """:func:`record_rollout` of several methods: name -> errors by step, (starts, steps)."""
    return {
        name: record_rollout(name, found, truth, **options) for name, found in predictions.items()
    }


def record_starts_above(
    names: Iterable[str], predictions: Mapping[str, np.ndarray], truth: np.ndarray
) -> None:
    """Record the share of starts from which a method forecasts badly, ``_starts_above_bound``.

    The bound is a hundredth of the error of the mean state, ``"climatology"``, from the same start,
    both accumulated over the horizon. Arguments are as for :func:`record_rollouts`; the share is
    that of each seed.
    """

    def errors(name: str) -> np.ndarray:
        steps = np.array([step_errors(each, truth) for each in predictions[name]])
        return steps.mean(axis=2)  # (seeds, starts)

    bound = 0.01 * errors("climatology")
    for name in names:
        shares = (errors(name) > bound).mean(axis=1)
        record.metric(f"{name}_starts_above_bound", shares, over="seeds", share=True, tolerance=1.0)


def record_forecasts(
    methods: Mapping[str, Sequence[Forecaster]],
    windows: np.ndarray,
    truth: np.ndarray,
    **options: Any,
) -> None:
    """:func:`record_rollout` of several methods, which forecast from windows (starts, T, dim)."""
    record_rollouts(forecasts(methods, windows, truth.shape[1]), truth, **options)


def long_truth(
    system: Lorenz,
    starts: np.ndarray,
    n_steps: int,
    *,
    spread: float,
    dt: float,
    exponent: float,
    agreement: float = 1e-3,
) -> np.ndarray:
    """The truth of long forecasts, (starts, steps, 3), to where two Taylor series agree.

    Metrics: ``long_horizon_lyapunov``, where the first start ends at which the two differ by the
    share `agreement` of the spread, and ``long_truth_difference``, how much they differ until
    there.
    """
    one = lorenz_series(system, starts, n_steps, dt)
    other = lorenz_series(system, starts, n_steps, dt, order=16, substeps=2)
    difference = np.abs(one - other).max(axis=(0, 2))
    apart = np.flatnonzero(difference > agreement * spread)
    steps = int(apart[0]) if len(apart) else n_steps
    reach = steps * dt * exponent
    record.metric("long_horizon_lyapunov", reach, unit="Lyapunov times", tolerance=0.1)
    record.metric("long_truth_difference", difference[:steps].max(), tolerance=100.0)
    return one[:, :steps]


def record_long(
    predictions: Mapping[str, np.ndarray], truth: np.ndarray, **rule: float
) -> dict[str, np.ndarray]:
    """Record ``_valid_time_long`` and its ``_censored`` of several methods.

    Both as in :func:`record_rollout`, over the length of `truth`; predictions may be longer. What
    returns are the times, by the same names, (seeds, starts).
    """
    found = {}
    for name, paths in predictions.items():
        cut = paths[:, :, : truth.shape[1]]
        finite = np.where(np.isfinite(cut), cut, np.inf)
        scored = [valid_time(each, truth, **rule) for each in finite]
        found[name] = np.array([times for times, _ in scored])
        times = np.median(found[name], axis=0)
        record.metric(
            f"{name}_valid_time_long", times, over="starts", unit="Lyapunov times", tolerance=1.0
        )
        censored = sum(int(marked.sum()) for _, marked in scored)
        record.metric(f"{name}_valid_time_long_censored", censored, tolerance=1.0)
    return found


def record_paired(
    times: Mapping[str, np.ndarray], pairs: Iterable[tuple[str, str]] = PAIRS
) -> None:
    """Record two methods compared start by start, from what :func:`record_long` returns.

    Both begin at the same starts, so how hard a start is cancels. Seeds cannot be paired: of each
    start the median seed counts, and the interval is over starts. It covers no other trainings.

    Metrics: ``<first>_minus_<second>_valid_time_long``; ``<first>_outlasts_<second>``, the share of
    starts at which the first stays for longer; and ``<first>_outlasts_<second>_by_seed``, the share
    of starts and seeds of the second, for each seed of the first.
    """
    for first, second in pairs:
        one, other = times[first], times[second]
        difference = np.median(one, axis=0) - np.median(other, axis=0)
        name, beats = f"{first}_minus_{second}_valid_time_long", f"{first}_outlasts_{second}"
        record.metric(name, difference, over="starts", unit="Lyapunov times", tolerance=1.0)
        record.metric(beats, float((difference > 0).mean()), share=True, tolerance=0.5)
        shares = (one[:, None] > other).mean(axis=(1, 2))
        record.metric(f"{beats}_by_seed", shares, over="seeds", share=True, tolerance=0.5)


def record_left(
    nets: Mapping[str, Sequence[Forecaster]],
    starts: np.ndarray,
    known: np.ndarray,
    n_steps: int,
    *,
    margin: float = 0.2,
) -> None:
    """Record the share of long rollouts that leave the attractor, ``_left_attractor``.

    A rollout (of every seed, from states (starts, dim)) leaves where it is not finite, or outside
    the box of the `known` states (..., dim), widened by the share `margin` of its size on every
    side, or where it comes to rest: its last tenth is narrower than a hundredth of the box.
    """
    points = known.reshape(-1, known.shape[-1])
    low, high = points.min(0), points.max(0)
    size = high - low
    for name, models in nets.items():
        shares = []
        for model in models:
            path = model.rollout(starts[:, None], n_steps)
            inside = (path >= low - margin * size) & (path <= high + margin * size)
            out = ~inside.all(axis=(1, 2))
            end = np.where(out[:, None, None], 0, path[:, -max(2, n_steps // 10) :])
            shares.append((out | (np.ptp(end, axis=1) < 0.01 * size).all(axis=1)).mean())
        record.metric(f"{name}_left_attractor", shares, over="seeds", tolerance=3.0)


def record_single(name: str, prediction: np.ndarray, truth: np.ndarray) -> None:
    """Record the accumulated errors of one rollout (steps, dim), at 100 steps and at its end.

    Metrics: ``_mse_100`` and ``_mse_horizon``.
    """
    errors = step_errors(prediction[None], truth[None])
    for count, label in ((min(100, len(truth)), "100"), (len(truth), "horizon")):
        found = accumulated_mse(errors, count)[0]
        record.metric(f"{name}_mse_{label}", found, tolerance=2.0)


def record_one_start(methods: Mapping[str, Sequence[Forecaster]], future: np.ndarray) -> None:
    """Record errors of one start, compared with the truth in line and one step late.

    Metrics: of ``single_truth``, ``single_stnn`` and ``single_ffnn``, ``_misaligned`` and
    ``_aligned``; ``single_sindy_aligned``; each as :func:`record_single`.

    Parameters
    ----------
    methods : mapping of str to sequence of Forecaster
        By name, with ``"stnn"``, ``"ffnn"`` and ``"sindy_fd2"``; the first model of each counts.
    future : numpy.ndarray
        True states from the start on, shape (steps + 1, dim).
    """
    late, aligned = future[:-1], future[1:]
    single = {"truth": aligned}
    for name in ("stnn", "ffnn", "sindy_fd2"):
        single[name] = methods[name][0].rollout(future[None, :1], len(aligned))[0]
    for name in ("truth", "stnn", "ffnn"):
        record_single(f"single_{name}_misaligned", single[name], late)
        record_single(f"single_{name}_aligned", single[name], aligned)
    record_single("single_sindy_aligned", single["sindy_fd2"], aligned)


def record_released() -> None:
    """Record the errors that the authors released: ``released_<method>_mse_<steps>``."""
    for name, values in RELEASED.items():
        for steps, value in values.items():
            record.metric(f"released_{name}_mse_{steps}", value, tolerance=0.0)


def record_own_truths(system: Flow, initial: np.ndarray, start: int, dt: float) -> None:
    """Record the truth of each released network, scored as the network was: one step late.

    Each notebook of the authors integrates the record by itself, with its own tolerances, and
    takes the state of index `start`. By then chaos has made these records differ.

    Metrics: ``stnn_truth_misaligned_mse_100`` and ``ffnn_truth_misaligned_mse_100``.
    """
    clock, equations = np.arange(start + 101) * dt, system.equations()
    for name, (relative, absolute) in RELEASED_TOLERANCES.items():
        path = odeint(lambda x, _: equations(*x), initial, clock, rtol=relative, atol=absolute)
        moved = np.square(np.diff(path[start:], axis=0)).mean()
        # It is one point of a chaotic record: other digits of the solver give another point.
        record.metric(f"{name}_truth_misaligned_mse_100", moved, tolerance=2.0)


def record_cost(
    name: str,
    model: Forecaster,
    windows: np.ndarray,
    network: nn.Module | None = None,
    n_steps: int = 50,
) -> None:
    """Record what a step of a model costs, counted and by the clock.

    Metrics: ``_parameters``, ``_flops``, and microseconds a step ``_step_us`` for one state and
    ``_step_us_batch1000`` for a thousand.

    Parameters
    ----------
    name : str
        Of the method.
    model : Forecaster
        Its model; what is timed is a rollout of `n_steps` steps.
    windows : numpy.ndarray
        A thousand windows, (1000, T, dim).
    network : torch.nn.Module, optional
        Timed instead, fed with its own outputs.
    n_steps : int
        Steps of a timing.
    """
    record.metric(f"{name}_parameters", model.parameters, tolerance=0.1)
    record.metric(f"{name}_flops", model.flops, tolerance=0.1)
    for batch, suffix in ((1, ""), (1000, "_batch1000")):
        if network is None:
            call = partial(model.rollout, windows[:batch], n_steps)
        else:
            call = partial(feed_back, network, batch, n_steps)
        taken = microseconds(call) / n_steps
        record.metric(f"{name}_step_us{suffix}", taken, unit="us", tolerance=3.0, timing=True)


def record_costs(
    methods: Mapping[str, Sequence[Forecaster]],
    nets: Mapping[str, Sequence[NetworkForecaster]],
    windows: np.ndarray,
) -> None:
    """:func:`record_cost` of the first model of every method, and ``stnn_flops_coded``.

    A network, which `nets` holds too, is timed by its bare evaluation; the structured one with
    its factors multiplied out. The `windows` are repeated until there are a thousand.
    """
    thousand = np.repeat(windows, -(-1000 // len(windows)), axis=0)[:1000]
    bare: dict[str, Any] = {name: models[0].model for name, models in nets.items()}
    coded = total(bare["stnn"], "flops_coded")
    bare["stnn"] = AssembledStNN(bare["stnn"])
    for name, (model, *_) in methods.items():
        record_cost(name, model, thousand, network=bare.get(name))
    record.metric("stnn_flops_coded", coded, tolerance=0.0)


def record_single_steps(
    fields: Mapping[str, SparseField], windows: np.ndarray, truth: np.ndarray, **rule: float
) -> None:
    """Record SINDy by the single step that ``_flops`` counts, and what its usual forecasts take.

    Metrics: ``_flops_run``, operations of a sample of a rollout, and those of
    :func:`record_rollout` by one classical Runge–Kutta step a sample, with the suffix ``_rk4``.
    """
    paths = {}
    for name, field in fields.items():
        record.metric(f"{name}_flops_run", field.flops_run, tolerance=0.1)
        paths[name] = field.runge_kutta(windows, truth.shape[1])[None]
    record_rollouts(paths, truth, suffix="_rk4", **rule)


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
        As for :func:`record_rollout`.
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


def cost_table(names: Iterable[str]) -> record.Table:
    """What a step of some methods costs: parameters, operations, microseconds."""
    columns = {
        "parameters": "parameters:d",
        "operations a step": "flops:d",
        "as forecast": "flops_run:d",
        "µs a step, one state": "step_us",
        f"{record.number(1000, 'd')} states": "step_us_batch1000",
    }
    return record.metrics_table({name: LABELS[name] for name in names}, columns, "method")


def protocol_table() -> record.Table:
    """Errors at 100 steps from one start, as released, and ours scored in both ways."""
    rows = [
        ("the truth itself", "", "single_truth_misaligned", "single_truth_aligned"),
        ("the truth, in the notebook of StNN", "", "stnn_truth_misaligned", ""),
        ("the truth, in the notebook of FFNN", "", "ffnn_truth_misaligned", ""),
        (LABELS["stnn"], "released_stnn", "single_stnn_misaligned", "single_stnn_aligned"),
        (LABELS["ffnn"], "released_ffnn", "single_ffnn_misaligned", "single_ffnn_aligned"),
        (LABELS["sindy_fd2"], "released_sindy", "", "single_sindy_aligned"),
        ("HAVOK, reconstruction in sample", "released_havok", "", "havok_insample_accumulated"),
    ]

    def cell(name: str, form: str) -> str:
        return record.show(f"{name}_mse_100", form) if name else ""

    return record.Table(
        [
            "accumulated MSE at 100 steps, one start", "released", "ours, out of line as released",
            "ours, in line",
        ],
        [
            [label, cell(given, ".3g"), cell(late, ".2g"), cell(aligned, ".2g")]
            for label, given, late, aligned in rows
        ],
    )  # fmt: skip
