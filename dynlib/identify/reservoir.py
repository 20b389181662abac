r"""An echo state network as a one-step predictor, through reservoirpy.

reservoirpy draws the weights and fits the readout. Rolling out is a product of matrices a step
for all starts together; reservoirpy's own loop takes one start and one step at a time.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from reservoirpy.mat_gen import bernoulli
from reservoirpy.nodes import Reservoir, Ridge
from scipy import sparse
from scipy.linalg import LinAlgError, LinAlgWarning

from dynlib.dynamics.checks import check_array, check_count, check_number, check_seed, check_varies
from dynlib.measure.forecaster import last_states


@dataclass(frozen=True)
class EchoState:
    r"""A fitted echo state network with leaky units and a linear readout.

    .. math:: h_t = (1 - a) h_{t-1} + a \tanh(W h_{t-1} + W_{in} z_t + b), \qquad
              \hat z_{t+1} = W_{out}^T h_t + c

    with the standardised state :math:`z = (x - \mu) / s`. Use :func:`fit_reservoir`.

    Parameters
    ----------
    recurrent : scipy.sparse.csr_array
        W, shape (units, units).
    inputs, bias : numpy.ndarray
        :math:`W_{in}`, shape (units, dim), and b, shape (units,).
    readout, offset : numpy.ndarray
        :math:`W_{out}`, shape (units, dim), and c, shape (dim,).
    leak : float
        a, in (0, 1].
    mean, scale : numpy.ndarray
        :math:`\mu` and s, shape (dim,), in state units.
    """

    recurrent: sparse.csr_array
    inputs: np.ndarray
    bias: np.ndarray
    readout: np.ndarray
    offset: np.ndarray
    leak: float
    mean: np.ndarray
    scale: np.ndarray

    @property
    def parameters(self) -> int:
        """Number of fitted weights, those of the readout; all others are drawn at random."""
        return self.readout.size + self.offset.size

    @property
    def flops(self) -> int:
        """Operations of one step, 2 for every weight between units, into them and out of them.

        Biases, leaks and the units of measurement do not count.
        """
        return 2 * self.recurrent.nnz + 2 * self.inputs.size + 2 * self.readout.size

    @np.errstate(over="ignore", invalid="ignore")
    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """Predictions from the network's own predictions, from all starts at once.

        Parameters
        ----------
        windows, n_steps
            As for :meth:`dynlib.measure.forecaster.Forecaster.rollout`. The network reads every
            state, from rest. It forgets its rest within some 100 states, depending on its options.

        Returns
        -------
        numpy.ndarray
            States at steps 1 to `n_steps`, shape (S, n_steps, dim).
        """
        dim = len(self.mean)
        windows = last_states(windows, n_steps, dim, count=0)
        heard = ((windows - self.mean) / self.scale).transpose(1, 2, 0)  # (T, dim, S)
        units = np.zeros((len(self.bias), len(windows)))
        for state in heard:
            units = self._hear(units, state)
        rollout = np.empty((n_steps, dim, len(windows)))
        for k in range(n_steps):
            rollout[k] = self.readout.T @ units + self.offset[:, None]
            units = self._hear(units, rollout[k])
        return rollout.transpose(2, 0, 1) * self.scale + self.mean

    def _hear(self, units: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Units (units, S) after one more standardised state (dim, S)."""
        drive = self.recurrent @ units + self.inputs @ state + self.bias[:, None]
        return (1 - self.leak) * units + self.leak * np.tanh(drive)


def fit_reservoir(
    trajectory: np.ndarray,
    units: int = 300,
    *,
    spectral_radius: float = 0.9,
    leak: float = 0.5,
    input_scaling: float = 0.1,
    ridge: float = 1e-8,
    washout: int = 100,
    seed: int = 0,
) -> EchoState:
    r"""Draw a reservoir and fit its readout to the next state by ridge regression.

    .. math:: \min_{W_{out}, c} \sum_{t > w} \lVert W_{out}^T h_t + c - z_{t+1} \rVert_2^2
              + \gamma \lVert W_{out} \rVert_F^2

    A tenth of W is normal and scaled to the spectral radius. Every unit receives every coordinate
    with a weight of plus or minus the input scaling, and its bias is plus or minus 1. Without
    biases (reservoirpy's default) the units are odd functions of their inputs. The Lorenz system
    is not odd, and forecasts are far worse.

    Parameters
    ----------
    trajectory : numpy.ndarray
        The record, shape (T, dim).
    units : int
        Number of units, at least 3.
    spectral_radius : float
        Largest absolute eigenvalue of W, above 0.
    leak : float
        a, in (0, 1]; 1 forgets at once all that W does not keep.
    input_scaling : float
        Absolute value of the input weights, above 0.
    ridge : float
        :math:`\gamma`, at least 0. Where it is too small beside the units' products to be resolved,
        below some :math:`10^{-9}`, it is refused.
    washout : int
        w, the first states of the record, not fitted to.
    seed : int
        Of the weights.

    Returns
    -------
    EchoState
        The fitted network.

    Raises
    ------
    ValueError
        For shapes or numbers that are impossible, values that are not finite, or a constant
        coordinate.

    Examples
    --------
    >>> t = 0.1 * np.arange(600)
    >>> circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    >>> fit = fit_reservoir(circle[:500], units=50)
    >>> rollout = fit.rollout(circle[None, 400:500], n_steps=100)
    >>> bool(np.abs(rollout[0] - circle[500:]).max() < 0.01)
    True

    References
    ----------
    Jaeger & Haas (2004), Science 304, 78-80; Trouvain et al. (2020), ICANN, 494-505
    (reservoirpy); Herteux & Räth (2020), Chaos 30, 123142 (symmetry and bias).
    """
    _check_record(trajectory)
    check_count("units", units, least=3)
    check_number("spectral_radius", spectral_radius, above=0)
    check_number("leak", leak, above=0)
    check_number("leak", leak, most=1)
    check_number("input_scaling", input_scaling, above=0)
    check_number("ridge", ridge, least=0, remedy="1e-8 is a common choice")
    remedy = "it leaves two states or more to fit to"
    check_count("washout", washout, least=0, most=len(trajectory) - 2, remedy=remedy)
    check_seed("seed", seed)
    record = np.asarray(trajectory, dtype=np.float64)
    mean, scale = record.mean(axis=0), record.std(axis=0)

    standard = (record - mean) / scale
    reservoir = Reservoir(
        units, sr=spectral_radius, lr=leak, input_scaling=input_scaling,
        input_connectivity=1.0, bias=bernoulli, seed=seed,
    )  # fmt: skip
    heard = reservoir.run(standard[:-1])
    _check_ridge(ridge, heard, standard[1:], washout)
    readout = Ridge(ridge=ridge).fit(heard, standard[1:], warmup=washout)
    return EchoState(
        sparse.csr_array(reservoir.W), np.asarray(reservoir.Win), np.asarray(reservoir.bias),
        readout.Wout, readout.bias, leak, mean, scale,
    )  # fmt: skip


def _check_record(trajectory: np.ndarray) -> None:
    check_array("trajectory", trajectory, ("T", "dim"), scale=True)
    if len(trajectory) < 2:
        raise ValueError(
            f"trajectory must be two states or more, got {len(trajectory)}; take a longer one"
        )
    check_varies("trajectory", trajectory)


def _check_ridge(ridge: float, heard: np.ndarray, following: np.ndarray, washout: int) -> None:
    """Raise for a ridge with which the regression cannot be solved; it costs little to solve."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", LinAlgWarning)
        try:
            Ridge(ridge=ridge).fit(heard, following, warmup=washout)
        except (LinAlgWarning, LinAlgError) as error:
            raise ValueError(
                "ridge must be so large that float64 resolves it beside the products of the units, "
                f"got {ridge} and an ill-conditioned matrix; take ten times as much"
            ) from error
