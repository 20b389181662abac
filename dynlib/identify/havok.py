r"""Linear models of delay coordinates: HAVOK, through pydmd, and plain delay DMD.

Both take windows of the last d states and project them on the r leading singular vectors of all
windows of the record. They start from d - 1 states more than a model of the state does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pydmd
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import expm

from dynlib.dynamics.checks import check_array, check_choice, check_count, check_is, check_number
from dynlib.measure.forecaster import last_states

FORCINGS = ("zero", "held", "oracle")
#: The smallest singular value that is used, as a share of the largest. Values near 1e-16 are
#: rounding errors, which HAVOK can use as a forcing like any other; below this, they are zeros.
SMALLEST = 1e-20


@dataclass(frozen=True)
class Havok:
    r"""Hankel alternative view of Koopman: a linear system of delay coordinates, forced.

    .. math:: \dot v = A v + B u, \qquad
              \begin{bmatrix} v \\ u \end{bmatrix} = S^{-1} U^T (x_{t-d+1}, \dots, x_t)

    The last delay coordinates u, the forcing, have no equation: a forecast must assume them.
    Use :meth:`fit`.

    Parameters
    ----------
    model : pydmd.HAVOK
        The fitted model, of states with `dim` coordinates.
    dim : int
        Number of coordinates.

    Examples
    --------
    >>> t = 0.1 * np.arange(200)
    >>> record = np.stack([np.cos(t), np.sin(t), np.sin(2 * t)], axis=1)
    >>> fit = Havok.fit(record, dt=0.1, delays=5, rank=4)
    >>> fit.rollout(record[None, :5], n_steps=3).shape
    (1, 3, 3)

    References
    ----------
    Brunton et al. (2017), Nat. Commun. 8, 19; Ichinaga et al. (2024), J. Mach. Learn. Res. 25,
    417 (pydmd).
    """

    model: pydmd.HAVOK
    dim: int

    @classmethod
    def fit(
        cls, trajectory: np.ndarray, dt: float, delays: int, rank: int, num_chaos: int = 1
    ) -> Havok:
        r"""Delay coordinates by singular values, A and B by least squares for their derivatives.

        Parameters
        ----------
        trajectory : numpy.ndarray
            The record, shape (T, dim).
        dt : float
            Time between two samples.
        delays, rank, num_chaos : int
            States in a window, delay coordinates, and how many of those are forcing.

        Raises
        ------
        ValueError
            For impossible shapes or numbers, values that are not finite, or a record whose spread
            is negligible against its mean.
        """
        _check_record(trajectory, delays, rank)
        check_number("dt", dt, above=0)
        check_count("num_chaos", num_chaos, most=rank - 1, remedy="at least one is not forcing")
        record = np.asarray(trajectory, dtype=np.float64)
        delays, rank, num_chaos = int(delays), int(rank), int(num_chaos)
        model = pydmd.HAVOK(svd_rank=rank, delays=delays, num_chaos=num_chaos)
        model.fit(record.T, float(dt))
        _check_directions(model.singular_vals)
        return cls(model, record.shape[1])

    @property
    def parameters(self) -> int:
        """Entries of A, B and the basis of the delay coordinates."""
        return self.model.A.size + self.model.B.size + self.model.modes.size

    @property
    def flops(self) -> int:
        r"""Operations of one step without forcing, :math:`2n^2 + 2dn`.

        A product with a matrix of the n delay coordinates that are not forcing, and the d
        coordinates of the newest state out of them.
        """
        n = len(self.model.A)
        return 2 * n * n + 2 * self.dim * n

    @np.errstate(over="ignore", invalid="ignore")
    def encode(self, windows: np.ndarray) -> np.ndarray:
        """Delay coordinates (S, r) at the last states of windows (S, delays, dim) or longer."""
        last = last_states(windows, 1, self.dim, self.model.delays)
        return last.reshape(len(last), -1) @ (self.model.modes / self.model.singular_vals)

    @np.errstate(over="ignore", invalid="ignore")
    def rollout(
        self,
        windows: np.ndarray,
        n_steps: int,
        forcing: str = "zero",
        true_future: np.ndarray | None = None,
    ) -> np.ndarray:
        r"""Predictions from all starts at once, the forcing linear between samples as in pydmd.

        Parameters
        ----------
        windows : numpy.ndarray
            True states, the start last, shape (S, delays, dim) or longer.
        n_steps : int
            Number of steps, at least 1.
        forcing : str
            ``"zero"``: none. ``"held"``: its value at the start, throughout. ``"oracle"``: its
            true values, computed from the true states of the future, which is not a forecast.
        true_future : numpy.ndarray, optional
            For ``"oracle"`` alone: true states at steps 1 to `n_steps`, (S, n_steps, dim).

        Returns
        -------
        numpy.ndarray
            States at steps 1 to `n_steps`, shape (S, n_steps, dim).

        Raises
        ------
        ValueError
            For impossible shapes or numbers, another `forcing`, or a future missing or unused.
        """
        check_choice("forcing", forcing, FORCINGS)
        check_count("n_steps", n_steps)
        start = self.encode(windows)
        linear, starts = len(self.model.A), len(start)
        self._check_future(forcing, true_future, (starts, n_steps, self.dim))
        forced = np.zeros((n_steps + 1, starts, self.model.r - linear))
        if forcing == "held":
            forced[:] = start[:, linear:]
        elif forcing == "oracle":
            delays = self.model.delays
            known = np.concatenate([np.asarray(windows)[:, -delays:], true_future], axis=1)
            views = sliding_window_view(known, delays, axis=1).swapaxes(2, 3)
            true = self.encode(views.reshape(-1, delays, self.dim))[:, linear:]
            forced[:] = true.reshape(starts, n_steps + 1, -1).swapaxes(0, 1)
        step, before, after = self._discrete()
        driven = forced[:-1] @ before + forced[1:] @ after
        newest = self.model.modes[-self.dim :, :linear] * self.model.singular_vals[:linear]
        return _march(start[:, :linear], step, driven, newest)

    @staticmethod
    def _check_future(forcing: str, future: np.ndarray | None, shape: tuple[int, ...]) -> None:
        if forcing == "oracle":
            remedy = "forcing='oracle' takes the true states of every step"
            what = f"true states of shape {shape}"
            check_is("true_future", future, (np.ndarray, list, tuple), what, remedy)
            check_array("true_future", future, shape, scale=True, remedy=remedy)
        elif future is not None:
            raise ValueError(
                f"true_future must be None where forcing is {forcing!r}, got shape "
                f"{np.shape(future)}; leave it out, or use forcing='oracle'"
            )

    def reconstruct(self) -> np.ndarray:
        """pydmd's reconstruction (T, dim) of the record: its first window, its true forcing."""
        return np.reshape(self.model.reconstructed_data, (self.dim, -1)).T

    def _discrete(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        r"""What a step does to rows v, u at its beginning and u at its end."""
        (n, q), dt = self.model.B.shape, self.model.time[1] - self.model.time[0]
        generator = np.zeros((n + 2 * q, n + 2 * q))
        generator[:n, : n + q] = dt * np.concatenate([self.model.A, self.model.B], axis=1)
        generator[n : n + q, n + q :] = np.eye(q)
        step = expm(generator.T)
        after = step[n + q :, :n]
        return step[:n, :n], step[n : n + q, :n] - after, after


@dataclass(frozen=True)
class DelayDMD:
    r"""Dynamic mode decomposition of windows: one linear step in their leading directions.

    .. math:: z_{t+1} = U^T H' V S^{-1} z_t, \qquad z_t = U^T (x_{t-d+1}, \dots, x_t)

    with the windows :math:`H \approx U S V^T` as columns, followed by H'. Use :meth:`fit`.

    Parameters
    ----------
    operator, modes, delays
        :math:`U^T H' V S^{-1}`, shape (r, r); U, shape (d dim, r); states in a window, d.

    Examples
    --------
    >>> t = 0.1 * np.arange(100)
    >>> circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    >>> fit = DelayDMD.fit(circle[:50], delays=2, rank=2)
    >>> np.allclose(fit.rollout(circle[None, 50:52], 40)[0], circle[52:92])
    True

    References
    ----------
    Tu et al. (2014), J. Comput. Dyn. 1, 391-421; Arbabi & Mezić (2017), SIAM J. Appl. Dyn.
    Syst. 16, 2096-2126 (delays).
    """

    operator: np.ndarray
    modes: np.ndarray
    delays: int

    @classmethod
    def fit(cls, trajectory: np.ndarray, delays: int, rank: int) -> DelayDMD:
        """Fit windows of `delays` states of a record (T, dim); a ValueError as from HAVOK's."""
        _check_record(trajectory, delays, rank)
        record = np.asarray(trajectory, dtype=np.float64)
        windows = sliding_window_view(record, delays, axis=0)  # (T - d + 1, dim, d)
        columns = windows.swapaxes(1, 2).reshape(len(windows), -1).T
        u, values, v = np.linalg.svd(columns[:, :-1], full_matrices=False)
        _check_directions(values[:rank])
        u = u[:, :rank]
        return cls(u.T @ columns[:, 1:] @ (v[:rank].T / values[:rank]), u, delays)

    @property
    def parameters(self) -> int:
        """Entries of the operator and of the basis."""
        return self.operator.size + self.modes.size

    @property
    def dim(self) -> int:
        """Number of coordinates of a state."""
        return len(self.modes) // self.delays

    @property
    def flops(self) -> int:
        r"""Operations of one step, :math:`2r^2 + 2dr`, as for :attr:`Havok.flops`."""
        r = len(self.operator)
        return 2 * r * r + 2 * self.dim * r

    @np.errstate(over="ignore", invalid="ignore")
    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """States (S, n_steps, dim) after windows (S, delays, dim), or longer, of true states."""
        last = last_states(windows, n_steps, self.dim, self.delays)
        start = last.reshape(len(last), -1) @ self.modes
        return _march(start, self.operator.T, np.zeros((n_steps, 1, 1)), self.modes[-self.dim :])


def _march(states: np.ndarray, step: np.ndarray, pushes: np.ndarray, newest: np.ndarray):
    """Linear steps of rows (S, r), one for each push, read out as states (S, n_steps, dim)."""
    coordinates = np.empty((len(pushes), *states.shape))
    for k, push in enumerate(pushes):
        coordinates[k] = states = states @ step + push
    return (coordinates @ newest.T).swapaxes(0, 1)


def _check_record(trajectory: np.ndarray, delays: int, rank: int) -> None:
    check_array("trajectory", trajectory, ("T", "dim"), scale=True)
    given, (length, dim) = np.asarray(trajectory), np.shape(trajectory)
    record = given.astype(np.float64)
    mean = record.mean(axis=0)
    size, spread = np.linalg.norm(mean), np.sqrt(((record - mean) ** 2).sum() / len(record))
    # The mean is the first singular direction. The others are found to its machine precision, and
    # here half of the digits of the spread remain.
    nearest = np.sqrt(np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps)
    if spread <= nearest * size:
        raise ValueError(
            f"windows are not centred, so the spread of the trajectory must be above {nearest:.1e} "
            f"of its mean, got {spread:.3g} about a mean of size {size:.3g}; subtract the mean "
            "first, or leave a constant record out"
        )
    check_count("delays", delays, most=length - 1, remedy="take a longer record for more")
    largest = min(delays * dim, length - delays)
    remedy = f"the matrix of {delays=} has a side of {largest}; a longer record allows more"
    check_count("rank", rank, most=largest, remedy=remedy)


def _check_directions(values: np.ndarray) -> None:
    found = int((values > SMALLEST * values[0]).sum())
    check_count("rank", len(values), most=found, remedy="the record varies in no more directions")
