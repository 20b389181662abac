"""What the notebook on a user-defined system studies: equations, or measurements from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynlib.dynamics.data import hold_out, read_trajectories
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.catalogue import from_dysts
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.dynamics.trial import prepared
from dynlib.measure.rollout import spread
from dynlib.report import own, record
from dynlib.tokens.grid import Grid


class Equations:
    """A system that can be simulated: new trajectories at will, from streams of random numbers.

    Parameters
    ----------
    system : object
        A flow or a map, as for :func:`dynlib.dynamics.trial.prepared`.
    tau : float
        Time between two states of a flow.
    seed, length, transient : int
        Of the initial states; states of a trajectory; states passed over before, none if the
        system comes to rest.
    """

    def __init__(self, system: Any, tau: float, *, seed: int, length: int, transient: int) -> None:
        self.system, self.map = system, prepared(system, tau)
        self.flow = isinstance(system, Flow)
        self.length, self._streams = length, np.random.default_rng(seed).spawn(6)
        first = self.trajectories(8, length, 5, 0)
        late = self.trajectories(24, 2 * length, 5, transient)
        self.at_rest = own.rests(late[:8, :length], first)
        self.settling = "" if self.at_rest else own.settling(late, system.names)
        self.skip = 0 if self.at_rest else transient
        self.conservative = own.conservative(self.map, first)

    def trajectories(self, n: int, length: int, stream: int, skip: int | None = None) -> np.ndarray:
        """`n` new trajectories (n, length, dim), `skip` steps after their initial states."""
        initial = self.system.initial_states(n, self._streams[stream])
        return simulate(self.map, initial, length, transient=self.skip if skip is None else skip)

    def exponents(self, n: int, n_steps: int) -> np.ndarray:
        """Lyapunov exponents of `n` new orbits, (n, dim).

        Orbits on an attractor start at random times. On a limit cycle they are then at all phases,
        so that what an exponent of zero shows over a finite time differs between them, and has a
        mean of zero. Orbits of the same phase would all be off alike.
        """
        if self.at_rest:
            return tangent_exponents(self.map, self.trajectories(n, 1, 2)[:, 0], n_steps)
        paths = self.trajectories(n, self.length, 2)
        orbits = paths[np.arange(n), self._streams[2].integers(0, self.length, n)]
        return tangent_exponents(self.map, orbits, n_steps, alignment=100)

    def fresh(self, grid: Grid, n: int, length: int) -> np.ndarray:
        """Tokens (n, length) of new trajectories, each from a random time on."""
        paths = self.trajectories(n, self.length, 3)
        begin = self._streams[3].integers(0, self.length - length + 1, n)
        parts = [row[b : b + length] for row, b in zip(paths, begin, strict=True)]
        return grid.encode(np.stack(parts), unseen="nearest")

    @property
    def notes(self) -> list[str]:
        """What is to be said of the system, in sentences."""
        return [
            *(["It comes to rest: everything below starts at the initial states."] * self.at_rest),
            *([f"This is not an attractor yet: {self.settling}."] if self.settling else []),
            *([own.CONSERVATIVE] * self.conservative),
        ]


@dataclass(frozen=True)
class Studied:
    """Trajectories (T_i, d) to learn from, to choose with and to test with.

    Parameters
    ----------
    names : tuple of str
        Of the coordinates.
    tau : float
        Time between two states.
    flow : bool
        Whether states follow each other closely, as those of a differential equation do.
    learn, held_out, test : sequence of numpy.ndarray
        The trajectories.
    notes : sequence of str
        What is to be said of them, in sentences.
    equations : Equations, optional
        Where they are known.
    """

    names: tuple[str, ...]
    tau: float
    flow: bool
    learn: Sequence[np.ndarray]
    held_out: Sequence[np.ndarray]
    test: Sequence[np.ndarray]
    notes: Sequence[str]
    equations: Equations | None = None

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.names)

    @property
    def spread(self) -> float:
        """RMS distance of the training states from their mean."""
        return spread(np.concatenate([*self.learn, *self.held_out]))

    def pairs(self, which: str) -> tuple[np.ndarray, np.ndarray]:
        """States of ``"learn"`` or ``"held_out"`` that have a successor, and those."""
        parts = getattr(self, which)
        before, after = (np.concatenate([p[cut] for p in parts]) for cut in (_BEFORE, _AFTER))
        return before, after

    def learnt_pairs(self, n: int, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """`n` pairs to learn from, drawn by chance; of fewer as many as whole batches hold."""
        inputs, successors = self.pairs("learn")
        order = np.random.default_rng(seed).spawn(6)[4].permutation(len(inputs))
        some = order[: min(n, len(order) // batch * batch or len(order))]
        return inputs[some], successors[some]

    def starts(self, n: int, warm: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """States given before a forecast, (n', warm, dim), and what follows, (n', horizon, dim).

        Measurements give up to `n` starts, whose forecasts do not overlap, and a shorter horizon
        where no test trajectory is long enough. There are no starts if it is below ten steps.
        """
        if self.equations:
            paths = self.equations.trajectories(n, warm + horizon, 2)
        else:
            horizon = min(horizon, max(map(len, self.test)) - warm)
            if horizon < 10:
                return np.empty((0, warm, self.dim)), np.empty((0, 10, self.dim))
            paths = np.stack([
                part[first : first + warm + horizon]
                for part in self.test
                for first in range(0, len(part) - warm - horizon + 1, horizon)
            ])  # fmt: skip
            paths = paths[np.linspace(0, len(paths) - 1, min(n, len(paths))).round().astype(int)]
        return paths[:, :warm], paths[:, warm:]

    def record(self) -> None:
        """Record ``dim``, ``tau`` and ``spread``, and whether a system is at rest and settled."""
        known = self.equations
        if known:
            own.record_system(self.dim, self.tau, self.spread, known.at_rest, known.settling)
            return
        record.metric("dim", self.dim, tolerance=0.0)
        record.metric("tau", self.tau, tolerance=0.0)
        record.metric("spread", self.spread, unit="state", tolerance=0.1)
        for name in ("learn", "held_out", "test"):
            record.metric(f"{name}_states", sum(map(len, getattr(self, name))), tolerance=0.0)


_BEFORE, _AFTER = slice(None, -1), slice(1, None)


def simulated(equations: Equations, train: int, test: int) -> Studied:
    """`train` trajectories to learn from, a quarter of them held out, and `test` for the test."""
    states = equations.trajectories(train, equations.length, 0)
    n_learn = train - train // 4
    return Studied(
        tuple(equations.system.names),
        equations.map.tau if equations.flow else 1.0,
        equations.flow,
        list(states[:n_learn]),
        list(states[n_learn:]),
        list(equations.trajectories(test, equations.length, 1)),
        equations.notes,
        equations,
    )


def measured(path: str, *, resample: bool) -> Studied:
    """Trajectories from a file: a fifth of them for the test, a quarter of the others held out."""
    found = read_trajectories(path, resample=resample)
    origin, rest, test = hold_out(found.parts, found.origin, 0.2)
    _, learn, held_out = hold_out(rest, origin, 0.25)
    if not test or not held_out or min(map(len, (*learn, *held_out, *test))) < 1:
        raise ValueError(
            f"the data must hold five states or more to be split, got {len(found.states)}; "
            "measure longer"
        )
    steps = np.concatenate([np.diff(part, axis=0) for part in found.parts])
    scale = found.states.std(axis=0)
    n, sizes = len(set(found.origin)), [sum(map(len, each)) for each in (learn, held_out, test)]
    how = "Whole trajectories are" if n >= 5 else "The end of each stretch is"
    notes = [
        f"The file has {n} {'trajectory' if n == 1 else 'trajectories'} of {', '.join(found.names)}"
        f" in {len(found.parts)} stretches without a gap, {len(found.states)} states at steps of "
        f"{found.tau:.4g}.",
        *found.notes,
        f"{how} held out: {sizes[0]} states are learnt from, {sizes[1]} choose settings and "
        f"{sizes[2]} are the test. They do not overlap.",
    ]
    flow = bool((np.sqrt((steps**2).mean(axis=0)) < 0.7 * scale).all())
    return Studied(found.names, found.tau, flow, learn, held_out, test, notes)


def named(system: str, dysts_name: str) -> tuple[Any, float]:
    """A system by its name, and a fitting time between two states."""
    known = {"lorenz": (Lorenz(), 0.03), "rossler": (Rossler(), 0.1), "henon": (Henon(), 1.0)}
    return from_dysts(dysts_name) if system == "dysts" else known[system]


def check_source(data: str, system: str) -> None:
    """Raise ValueError for a file of data next to another system than the reader's own."""
    if data and system != "own":
        raise ValueError(
            f"system must be 'own' where a file of data is studied, got system={system!r} and "
            f"data={data!r}; leave one of them out"
        )


def tokenised(
    found: Studied, n_cells: int, *, context: int, memory: int, prompt: int
) -> tuple[tuple[Grid, list, list, list] | None, str]:
    """A grid, and the tokens to learn from, held out and for the test; or why there are none.

    Parameters
    ----------
    found : Studied
        The trajectories. Those that are too short for a window are left out.
    n_cells : int
        Cells per axis.
    context, memory, prompt : int
        The longest input of GPT-2, the longest memory of n-grams, and true tokens before a text.
    """
    longest = max(context + context // 2, memory + context - context // 2) + 1
    needs = {
        "training": (found.learn, max(context, memory) + 1),
        "held-out": (found.held_out, max(context + 101, longest)),
        "test": (found.test, max(longest, prompt)),
    }
    kept = {
        name: [each for each in parts if len(each) >= least]
        for name, (parts, least) in needs.items()
    }
    for name, (parts, least) in needs.items():
        if not kept[name]:
            longest = max(map(len, parts))
            return None, (
                f"a {name} trajectory must have {least} states or more, and the longest has "
                f"{longest}"
            )
    try:
        grid = Grid.fit([*kept["training"], *kept["held-out"]], n_cells)
    except ValueError as error:
        if found.equations:
            raise
        return None, str(error)
    learn, held_out, test = (
        [grid.encode(each, unseen="nearest") for each in parts] for parts in kept.values()
    )
    return (grid, learn, held_out, test), ""
