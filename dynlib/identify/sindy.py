r"""Sparse identification of a differential equation, through pysindy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pysindy
from scipy.integrate import DOP853

from dynlib.dynamics.checks import check_array, check_choice, check_count, check_is, check_number
from dynlib.identify.polynomial import Monomials
from dynlib.measure.forecaster import last_states

DERIVATIVES = ("fd2", "smoothed", "fd4", "fd6", "weak")


@dataclass(frozen=True)
class SparseField:
    r"""A differential equation with a quadratic right-hand side, most of it zero.

    .. math:: \dot x = \Xi \, m(x), \qquad m = (1, x, y, z, x^2, xy, xz, y^2, yz, z^2)

    in three coordinates. Use :func:`fit_sindy`; the constructor is for known fields.

    Parameters
    ----------
    coefficients : numpy.ndarray
        :math:`\Xi`, shape (dim, number of monomials): (3, 10) in three coordinates.
    dt : float
        Time between two states of a rollout.

    Raises
    ------
    ValueError
        For another shape, a coefficient that is not finite, or a dt that is not positive.

    Examples
    --------
    >>> decay = SparseField(np.array([[0.0, -1.0, 0.0]]), dt=0.5)
    >>> decay.equations(), decay.parameters
    (["x' = -1.000 x"], 1)
    >>> decay.rollout(np.ones((1, 1, 1)), n_steps=2).round(6).ravel()
    array([0.606531, 0.367879])
    """

    coefficients: np.ndarray
    dt: float

    def __post_init__(self) -> None:
        check_array("coefficients", self.coefficients, ("dim", "monomials"))
        dim = len(self.coefficients)
        axes = (dim, (dim + 1) * (dim + 2) // 2)
        remedy = "there is a row a coordinate, and a column a monomial"
        check_array("coefficients", self.coefficients, axes, remedy=remedy)
        check_number("dt", self.dt, above=0)
        object.__setattr__(self, "coefficients", np.asarray(self.coefficients, np.float64))

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.coefficients)

    @property
    def active(self) -> np.ndarray:
        """Which coefficients are not zero, in the shape of `coefficients`."""
        return self.coefficients != 0

    @property
    def parameters(self) -> int:
        """Number of coefficients that are not zero."""
        return int(self.active.sum())

    @property
    def flops(self) -> int:
        r"""Operations of one classical Runge–Kutta step, :math:`4(2n - d + q) + 13d`.

        Four velocities, each of q products of coordinates and n terms that are added up in d
        equations, and what combines them. :meth:`runge_kutta` takes such steps.
        """
        return 4 * self._velocity_flops() + 13 * self.dim

    @property
    def flops_run(self) -> int:
        r"""Operations of one sample of a :meth:`rollout`, two steps of order eight.

        .. math:: 2\,(12\,(2n - d + q) + 2dw)

        Each step takes twelve velocities, n, d and q as for :attr:`flops`. It combines them with
        w weights that are not zero, a product and a sum each in every coordinate.
        """
        weights = int((DOP853.A != 0).sum() + (DOP853.B != 0).sum())
        return 2 * (len(DOP853.B) * self._velocity_flops() + 2 * self.dim * weights)

    def _velocity_flops(self) -> int:
        """Operations of one velocity."""
        products = int(self.active[:, 1 + self.dim :].any(axis=0).sum())
        return 2 * self.parameters - self.dim + products

    def equations(self, digits: int = 3) -> list[str]:
        """The equations with so many digits after the point, one string a coordinate."""
        check_count("digits", digits, least=0, most=30)
        names = "xyz"[: self.dim] if self.dim <= 3 else [f"x{i}" for i in range(self.dim)]
        words = ["", *(f" {word}" for word in Monomials(self.dim, 2).names(names)[1:])]
        equations = []
        for name, row in zip(names, self.coefficients, strict=True):
            terms = [f"{c:+.{digits}f}{word}" for c, word in zip(row, words, strict=True) if c]
            right = " ".join(terms).removeprefix("+") or "0"
            equations.append(f"{name}' = {right.replace(' +', ' + ').replace(' -', ' - ')}")
        return equations

    def rollout(self, windows: np.ndarray, n_steps: int, *, substeps: int = 2) -> np.ndarray:
        r"""Solutions from all starts at once, by equal steps of order eight.

        Equal steps cost the same whatever the field does: a solution that overflows neither
        delays nor changes the others. On the Lorenz attractor two steps of 0.005
        a sample are off by some :math:`10^{-9}` after 600 samples, LSODA at a tolerance of
        :math:`10^{-12}` by more.

        Parameters
        ----------
        windows, n_steps
            As for :meth:`dynlib.measure.forecaster.Forecaster.rollout`; only the last state of a
            window counts.
        substeps : int
            Steps of the integrator between two samples, at least 1.

        Returns
        -------
        numpy.ndarray
            States at times dt, 2 dt, ..., shape (S, n_steps, dim); infinities and
            not-a-numbers where a solution has left.

        References
        ----------
        Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, section
        II.10: the formula of DOP853, with scipy's coefficients.
        """
        check_count("substeps", substeps)
        states = last_states(windows, n_steps, self.dim)[:, -1].T.copy()  # (dim, S)
        monomials, shape = Monomials(self.dim, 2), states.shape
        inner, outer = self.dt / substeps * DOP853.A, self.dt / substeps * DOP853.B
        slopes = np.empty((len(outer), states.size))
        rollout = np.empty((n_steps, *shape))
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(n_steps):
                for _ in range(substeps):
                    for stage in range(len(outer)):
                        moved = states + (inner[stage, :stage] @ slopes[:stage]).reshape(shape)
                        slopes[stage] = (self.coefficients @ monomials(moved)).ravel()
                    states = states + (outer @ slopes).reshape(shape)
                rollout[k] = states
        return rollout.transpose(2, 0, 1)

    def runge_kutta(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        r"""As :meth:`rollout`, by one classical Runge–Kutta step a sample, which `flops` counts."""
        states = last_states(windows, n_steps, self.dim)[:, -1].T  # (dim, S)
        monomials, h = Monomials(self.dim, 2), self.dt
        rollout = np.empty((n_steps, *states.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(n_steps):
                slopes = [self.coefficients @ monomials(states)]
                for ahead in (h / 2, h / 2, h):
                    slopes.append(self.coefficients @ monomials(states + ahead * slopes[-1]))
                first, second, third, last = slopes
                states = states + h / 6 * (first + 2 * (second + third) + last)
                rollout[k] = states
        return rollout.transpose(2, 0, 1)


def fit_sindy(
    trajectories: np.ndarray | Sequence[np.ndarray],
    dt: float,
    derivative: str = "fd2",
    *,
    threshold: float = 0.1,
    seed: int = 0,
) -> SparseField:
    r"""Sequentially thresholded least squares for the derivative on all quadratic monomials.

    .. math:: \min_\Xi \lVert \dot X - \Xi \, m(X) \rVert_F^2, \qquad
              \Xi_{ij} = 0 \text{ or } |\Xi_{ij}| \ge \theta

    with the threshold :math:`\theta`. Where the last, unregularised fit of pysindy takes a
    coefficient below the threshold, that coefficient becomes 0 and the others are fitted again.
    The result depends on the estimate of the derivative. ``"fd2"``, pysindy's default, errs by
    :math:`O(\Delta t^2)` however many data there are; ``"fd4"`` and ``"fd6"`` by higher powers.
    ``"smoothed"`` first fits cubics to windows of eleven samples. ``"weak"`` differentiates no
    data: it integrates the equation against bumps :math:`(1 - t^2)^4` on 200 random windows.

    Parameters
    ----------
    trajectories : numpy.ndarray or sequence of numpy.ndarray
        One trajectory (T, dim), or several: (batch, T, dim) or a sequence of (T_i, dim).
    dt : float
        Time between two samples.
    derivative : str
        ``"fd2"``, ``"smoothed"``, ``"fd4"``, ``"fd6"`` or ``"weak"``.
    threshold : float
        Smallest coefficient that stays, at least 0.
    seed : int
        Of the windows of ``"weak"``; the others draw nothing.

    Returns
    -------
    SparseField
        The identified field.

    Raises
    ------
    ValueError
        For impossible shapes, values or numbers, another `derivative`, fewer than 20 samples (22
        with ``"weak"``), or trajectories of different lengths with ``"weak"``.

    Warns
    -----
    UserWarning
        Where the field follows the data much worse than such a field can, because they lie far
        from the origin: the ridge and the threshold act on the coefficients of raw coordinates.

    Examples
    --------
    >>> t = 0.01 * np.arange(400)
    >>> circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    >>> fit_sindy(circle, dt=0.01, derivative="fd6").equations(digits=4)
    ["x' = -1.0000 y", "y' = 1.0000 x"]

    References
    ----------
    Brunton, Proctor & Kutz (2016), PNAS 113, 3932-3937; Messenger & Bortz (2021), Multiscale
    Model. Simul. 19, 1474-1497 (weak form); Kaptanoglu et al. (2022), J. Open Source Softw. 7,
    3994 (pysindy).
    """
    check_choice("derivative", derivative, DERIVATIVES)
    check_number("dt", dt, above=0)
    check_number("threshold", threshold, least=0)
    check_count("seed", seed, least=0, most=2**32 - 1)
    _check_records(trajectories, derivative, dt)
    dt = float(dt)  # pysindy takes other numbers for times
    records = [np.asarray(record, dtype=np.float64) for record in _several(trajectories)]
    library, method = pysindy.PolynomialLibrary(degree=2), None
    if derivative == "weak":
        library = _windows(library, dt * np.arange(len(records[0])), seed)
    elif derivative == "smoothed":
        # Its default options are one dictionary for the whole process: give it a new one.
        method = pysindy.SmoothedFiniteDifference(smoother_kws={})
    else:
        method = pysindy.FiniteDifference(order=int(derivative[2:]))
    optimizer = _Thresholded(threshold=threshold)
    with warnings.catch_warnings():  # a complaint of the weak form about an array of its own
        warnings.filterwarnings("ignore", message=".* axes labeled for array")
        model = pysindy.SINDy(optimizer, library, method).fit(records, t=dt)
    field = SparseField(np.array(model.coefficients(), dtype=np.float64), dt)
    _check_fit(field, records)
    return field


# Mean over spread up to which quadratic monomials of raw coordinates can be told apart: at 100 the
# fitted ones are collinear to 1e-4, their squares in least squares to 1e-8, half of all digits.
FARTHEST = 100


class _Thresholded(pysindy.STLSQ):
    """STLSQ whose coefficients stay above the threshold in its last fit too.

    pysindy thresholds ridge regressions, then fits the survivors once more without the
    ridge. Where monomials are nearly collinear, that fit can make one arbitrarily small.
    """

    def _unbias(self, x: np.ndarray, y: np.ndarray) -> None:
        super()._unbias(x, y)
        while (small := (self.coef_ != 0) & (np.abs(self.coef_) < self.threshold)).any():
            self.ind_ &= ~small  # fewer each time: it ends
            super()._unbias(x, y)


def _windows(
    library: pysindy.PolynomialLibrary, times: np.ndarray, seed: int
) -> pysindy.WeakPDELibrary:
    """The library integrated over 200 windows, drawn with pysindy's generator, numpy's global."""
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        return pysindy.WeakPDELibrary(library, spatiotemporal_grid=times, K=200, p=4)
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _several(trajectories: Any) -> list[np.ndarray]:
    """One trajectory (T, dim) or several as a list."""
    one_or_several = [trajectories], list(trajectories)
    return one_or_several[np.ndim(trajectories[0]) - 1]


def _check_records(
    trajectories: np.ndarray | Sequence[np.ndarray], derivative: str, dt: float
) -> None:
    allowed = "one array (T, dim), or a list of them"
    check_is(
        "trajectories", trajectories, (np.ndarray, list, tuple), allowed, "see pairs.integrate"
    )
    if isinstance(trajectories, np.ndarray):
        check_array("trajectories", trajectories, (..., "T", "dim"), allow="any")
    else:
        for each in trajectories:
            check_array("each of trajectories", each, (..., "dim"), allow="any")
    if len(trajectories) == 0:
        raise ValueError(f"trajectories must be {allowed}, got {trajectories}; give one at least")
    if np.ndim(trajectories[0]) > 2:
        raise ValueError(
            f"trajectories must be {allowed}, got {np.ndim(trajectories[0])} axes in the first; "
            "write several as a list"
        )
    records = _several(trajectories)
    axes: tuple[str | int, ...] = ("T", "dim")
    for each in records:
        check_array("each of trajectories", each, axes, scale=True)
        axes = ("T", np.shape(each)[1])
    lengths = sorted(map(len, records))
    least = 22 if derivative == "weak" else 20  # windows of the weak form are a twentieth
    if lengths[0] < least:
        raise ValueError(
            f"each of trajectories must be {least} samples or more with {derivative=}, got "
            f"{lengths[0]}; take longer ones, or another derivative"
        )
    if derivative == "weak" and lengths[0] < lengths[-1]:
        raise ValueError(
            "trajectories must be equally long for 'weak', which lays one set of windows over all, "
            f"got {lengths} samples; cut them to one length"
        )
    _check_scales([np.asarray(each) for each in records], dt)


def _check_scales(records: list[np.ndarray], dt: float) -> None:
    """Raise for data far from the origin, and for differences that are rounding."""
    states = np.concatenate(records).astype(np.float64)
    mean, scale = np.abs(states.mean(axis=0)), states.std(axis=0)
    if (mean >= FARTHEST * scale).any():
        axis = int(np.argmax(mean - FARTHEST * scale))
        raise ValueError(
            f"coordinate {axis} must lie within {FARTHEST} spreads of 0, or the products of "
            f"coordinates are all but collinear, got a mean of {mean[axis]:.3g} "
            f"and a spread of {scale[axis]:.3g}; subtract the mean, or leave a constant out"
        )
    largest = float(np.abs(states).max())
    for name, size in (("trajectories", largest), ("trajectories over dt", largest / float(dt))):
        check_number(f"the largest of {name}", size, least=1e-70, most=1e70, remedy="change units")
    kind = np.result_type(*records)
    digits = np.finfo(kind if kind.kind == "f" else np.float64).eps * np.abs(states).max(axis=0)
    steps = np.concatenate([np.diff(each.astype(np.float64), axis=0) for each in records])
    lost = np.sqrt(np.square(steps).mean(axis=0)) < 100 * digits
    if lost.any():
        axis = int(np.argmax(lost))
        raise ValueError(
            f"coordinate {axis} must differ from sample to sample by two digits of {kind} or more, "
            f"got values up to {largest:.3g} and differences of rounding; subtract the mean "
            "where it is exact, in float64, or take every tenth sample"
        )


def _check_fit(field: SparseField, records: list[np.ndarray]) -> None:
    """Warn of a poor fit to data that lie farther than a spread from the origin.

    There the threshold and pysindy's ridge act on coefficients of nearly collinear monomials. The
    Lorenz system, ten spreads off: velocities are wrong by half, with or without noise; within
    seven by 0.3 %. With the weak form they are wrong from two on. A short arc is right at eighteen.
    """
    states = np.concatenate(records)
    mean, scale = states.mean(axis=0), states.std(axis=0)
    if not field.parameters or not (np.abs(mean) > scale).any():
        return
    monomials = Monomials(field.dim, 2)
    velocities = np.concatenate([np.gradient(each, field.dt, axis=0) for each in records])
    about_mean = monomials(((states - mean) / scale).T).T
    best = about_mean @ np.linalg.lstsq(about_mean, velocities)[0]
    found = monomials(states.T).T @ field.coefficients.T
    size, least, missed = (
        np.sqrt(np.square(each).mean(axis=0))
        for each in (velocities, velocities - best, velocities - found)
    )
    if (missed > 2 * least + 0.1 * size).any():
        missed, least = (each / np.where(size > 0, size, 1) for each in (missed, least))
        axis = int(np.argmax(missed - least))
        warnings.warn(
            f"the field misses {missed[axis]:.0%} of the velocity of coordinate {axis}, where the "
            f"same monomials about the mean miss {least[axis]:.0%}: "
            f"the mean is {mean[axis]:.3g} and the spread {scale[axis]:.3g}. Subtract the mean "
            "first, or lower the threshold",
            stacklevel=3,
        )
