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

from dynlib.dynamics.checks import check_choice, check_count
from dynlib.measure.forecaster import last_states

FORCINGS = ("zero", "held", "oracle")
#: The ratio of spread to mean that a record must exceed. The mean is the first singular direction;
#: the others are found to its machine precision, and here half of the digits of the spread remain.
NEAREST = float(np.sqrt(np.finfo(np.float64).eps))


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
        record = _record(trajectory, delays, rank)
        if not 0 < dt < np.inf:
            raise ValueError(f"dt must be a positive number, got {dt}")
        if not 1 <= num_chaos < rank:
            raise ValueError(f"num_chaos must be from 1 to rank - 1 = {rank - 1}, got {num_chaos}")
        model = pydmd.HAVOK(svd_rank=rank, delays=delays, num_chaos=num_chaos)
        return cls(model.fit(record.T, float(dt)), record.shape[1])

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

    def encode(self, windows: np.ndarray) -> np.ndarray:
        """Delay coordinates (S, r) at the last states of windows (S, delays, dim) or longer."""
        last = last_states(windows, 1, self.dim, self.model.delays)
        return last.reshape(len(last), -1) @ (self.model.modes / self.model.singular_vals)

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
        needed = (starts, n_steps, self.dim) if forcing == "oracle" else ()
        given = () if true_future is None else np.shape(true_future)
        if given != needed:
            raise ValueError(
                f"forcing {forcing!r} takes a true_future of shape {needed or None}, got "
                f"{None if true_future is None else given}"
            )
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
        record = _record(trajectory, delays, rank)
        windows = sliding_window_view(record, delays, axis=0)  # (T - d + 1, dim, d)
        columns = windows.swapaxes(1, 2).reshape(len(windows), -1).T
        u, values, v = np.linalg.svd(columns[:, :-1], full_matrices=False)
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

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """States (S, n_steps, dim) after windows (S, delays, dim), or longer, of true states."""
        last = last_states(windows, n_steps, self.dim, self.delays)
        start = last.reshape(len(last), -1) @ self.modes
        return _march(start, self.operator.T, np.zeros((n_steps, 1, 1)), self.modes[-self.dim :])


def _march(states: np.ndarray, step: np.ndarray, pushes: np.ndarray, newest: np.ndarray):
    """Linear steps of rows (S, r), one for each push, read out as states (S, n_steps, dim)."""
    coordinates = np.empty((len(pushes), *states.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for k, push in enumerate(pushes):
            coordinates[k] = states = states @ step + push
        return (coordinates @ newest.T).swapaxes(0, 1)


def _record(trajectory: np.ndarray, delays: int, rank: int) -> np.ndarray:
    """A finite record (T, dim) long enough for the delays and the rank."""
    record = np.asarray(trajectory, dtype=np.float64)
    if record.ndim != 2 or not record.size or not np.isfinite(record).all():
        raise ValueError(
            f"the trajectory must be finite, of shape (T, dim), not empty, got {record.shape}"
        )
    mean = record.mean(axis=0)
    size, spread = np.linalg.norm(mean), np.sqrt(((record - mean) ** 2).sum() / len(record))
    if spread <= NEAREST * size:
        raise ValueError(
            f"the record varies by {spread:.3g} about a mean of size {size:.3g}: windows that are "
            f"not centred need a spread above {NEAREST:.1e} of the mean; subtract the mean first, "
            "or leave a constant record out"
        )
    largest = min(delays * record.shape[1], len(record) - delays)
    if not 1 <= rank <= largest or delays < 1:
        raise ValueError(
            f"delays must be at least 1 and rank from 1 to {largest}, the smaller side of the "
            f"matrix of windows, got delays={delays}, rank={rank}; a longer record allows more"
        )
    return record
