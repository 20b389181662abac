"""Two ways to compute the same thing: first whether they agree, then how long each takes.

A ratio above one means that ours is that many times faster than the peer beside it. Both take turns
in one process, on one thread, and each turn gives a ratio. The row holds their median and an
interval (:func:`dynlib.measure.intervals.summarise`): two order statistics at 95 % for six turns or
more, else the range.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dynlib.measure.intervals import summarise
from workflow.book.speed import clock
from workflow.files import write_whole

Call = Callable[[], Any]
#: Turns that are taken at least and at most, and the shortest time of a timing in seconds.
FEWEST, MOST, SHORTEST = 3, 9, 0.02


class Different(Exception):
    """The two sides do not compute the same."""


def check_same(what: str, ours: float, theirs: float, tolerance: float = 0.02) -> None:
    """Raise where two numbers differ by more than rounding, relative to the peer's."""
    if not abs(ours - theirs) <= tolerance * abs(theirs):
        raise Different(f"{what} is {ours:.4f} here and {theirs:.4f} there")


def check_close(ours: Any, theirs: Any, tolerance: float) -> None:
    """Raise where two arrays differ by more than a share of the peer's largest entry."""
    a, b = (np.asarray(each, dtype=np.float64) for each in (ours, theirs))
    if a.shape != b.shape:
        raise Different(f"the shape is {a.shape} here and {b.shape} there")
    off = np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)
    if not off <= tolerance:
        raise Different(
            f"the results are {off:.1e} apart, of the largest; {tolerance:.0e} is wanted"
        )


def close(tolerance: float) -> Callable[[Any, Any], None]:
    """A check of two results by :func:`check_close`."""
    return lambda ours, theirs: check_close(ours, theirs, tolerance)


def check_share(ours: Any, theirs: Any, share: float = 1.0) -> None:
    """Raise where fewer than a share of the entries of two arrays are equal."""
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape:
        raise Different(f"the shape is {a.shape} here and {b.shape} there")
    found = float((a == b).mean())
    if not found >= share:
        raise Different(f"{found:.6f} of the entries are equal; {share} is wanted")


def over(peer: Sequence[float], ours: Sequence[float]) -> list[float]:
    """The ratio of each repetition."""
    return [a / b for a, b in zip(peer, ours, strict=True)]


def row(
    name: str, against: str, ratios: list[float], aim: float | None = None, note: str = ""
) -> dict[str, Any]:
    """A row of the table; `aim` is the least ratio that is wanted."""
    found = summarise(ratios) if ratios else None
    value = found and found.value
    return {
        "name": name,
        "against": against,
        "ratio": value,
        "low": found and found.low,
        "high": found and found.high,
        "aim": aim,
        "reached": None if aim is None or value is None else value >= aim,
        "note": note or ("" if found else "not measured"),
    }


def keep(file: Path, new: dict[str, Any]) -> None:
    """Put what was found into a file, beside what others have measured there."""
    write_whole(file, json.dumps(kept(file) | new, indent=1, allow_nan=False) + "\n")


def kept(file: Path) -> dict[str, Any]:
    """What a file holds, nothing where there is none."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def turns(calls: Sequence[Call], seconds: float, fewest: int = FEWEST) -> np.ndarray:
    """Seconds of each call, shape (turns, number of calls), as many turns as fit in `seconds`.

    Each was called before. A call is repeated until a timing is long enough. The order of the calls
    is reversed in every other turn, so that none always comes after the same one.
    """
    numbers, found, start = [1] * len(calls), [], time.perf_counter()
    while len(found) < fewest or (
        len(found) < MOST and (time.perf_counter() - start) * (1 + 1 / len(found)) < seconds
    ):
        order = range(len(calls))
        times = [0.0] * len(calls)
        for i in reversed(order) if len(found) % 2 else order:
            times[i] = timed(calls, numbers, i, SHORTEST if seconds else 0.0)
        found.append(times)
    return np.array(found)


def timed(calls: Sequence[Call], numbers: list[int], i: int, shortest: float) -> float:
    """Seconds of a call; how often it is called in a timing grows until that is long enough."""
    while True:
        began = time.perf_counter()
        for _ in range(numbers[i]):
            calls[i]()
        elapsed = max(time.perf_counter() - began, 1e-9)
        if elapsed >= shortest:
            return elapsed / numbers[i]
        numbers[i] = math.ceil(numbers[i] * min(10.0, 1.3 * shortest / elapsed))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a straight line by least squares on logarithms.

    Examples
    --------
    >>> round(exponent([1, 2, 4], [3, 12, 48]), 12)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


@dataclass(frozen=True)
class Side:
    """One of the ways in a curve: `call` makes what is timed at a size, up to a `largest` size.

    `cost` is the theoretical cost up to a factor, which `words` name.
    """

    name: str
    call: Callable[[int], Call]
    words: str
    cost: Callable[[float], float]
    largest: float = math.inf


@dataclass
class Bench:
    """The rows and curves of a subject, with how large everything is.

    A `tiny` bench goes through every line and proves that both sides agree; its times mean nothing.
    A `long` one also takes what does not fit into ten minutes.
    """

    subject: str
    tiny: bool = False
    long: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)

    def size(self, full: Any, tiny: Any) -> Any:
        """A size, or whatever differs, of the bench itself and of a tiny one."""
        return tiny if self.tiny else full

    def turns(self, calls: Sequence[Call], seconds: float) -> np.ndarray:
        """Seconds of each call, (turns, calls); a tiny bench takes two turns."""
        return turns(calls, 0.0, 2) if self.tiny else turns(calls, seconds)

    def compare(
        self,
        name: str,
        against: str,
        ours: Call,
        peer: Call,
        same: Callable[[Any, Any], None],
        *,
        aim: float | None = None,
        note: str = "",
        limit: str = "",
        times: float = 1.0,
        seconds: float = 5.0,
    ) -> np.ndarray:
        """Check that both sides agree, time them, add a row; the seconds (turns, 2).

        Parameters
        ----------
        name, against : str
            What is computed how by ours, and the peer.
        ours, peer : callable
            Both sides. The first call of each compiles what is to be compiled and is not timed.
        same : callable
            Raises :class:`Different` where the results of the first calls do not agree.
        aim : float, optional
            The least ratio that is wanted.
        note, limit : str
            What a reader must know of the comparison; what stands in the way of the aim.
        times : float
            By which the peer's time is multiplied, where the peer did a part of the work.
        seconds : float
            How long the turns may take together; three are taken at least.
        """
        same(ours(), peer())
        found = self.turns([ours, peer], seconds) * [1.0, times]
        self.add(name, against, found, aim=aim, note=note, limit=limit)
        return found

    def add(
        self,
        name: str,
        against: str,
        found: np.ndarray,
        *,
        aim: float | None = None,
        note: str = "",
        limit: str = "",
        timed: bool = True,
    ) -> None:
        """Add a row, from seconds (or what else costs) of ours and of the peer, and print it."""
        ratios = (found[:, 1] / found[:, 0]).tolist()
        new = row(name, against, ratios, aim, note) | {
            "subject": self.subject,
            "limit": limit,
            "level": summarise(ratios).level,
            "turns": len(ratios),
            "seconds": np.median(found, axis=0).tolist() if timed else None,
        }
        self.rows.append(new)
        print(words(new), flush=True)

    def curve(
        self,
        name: str,
        label: str,
        sizes: Sequence[int],
        sides: Sequence[Side],
        same: Callable[[Any, Any], None],
        *,
        fitted_from: int = 0,
        seconds: float = 1.0,
    ) -> dict[str, np.ndarray]:
        """Time every side at every size, after a check that all agree with the first.

        Parameters
        ----------
        name, label : str
            What is computed, and what the size is.
        sizes : sequence of int
            Sizes, ascending.
        sides : sequence of Side
            Ours first.
        same : callable
            As for :meth:`compare`.
        fitted_from : int
            The exponent is fitted to sizes from this on.
        seconds : float
            How long the turns of a size may take together.

        Returns
        -------
        dict
            By the name of a side: seconds, (sizes, turns), of equal sizes as many as it was timed
            at.
        """
        found: dict[str, list[np.ndarray]] = {side.name: [] for side in sides}
        for size in sizes:
            here = [side for side in sides if size <= side.largest]
            calls = [side.call(size) for side in here]
            first = calls[0]()
            for call in calls[1:]:
                same(first, call())
            for side, times in zip(here, self.turns(calls, seconds).T, strict=True):
                found[side.name].append(times)
        lines = [line(side, sizes, found[side.name], fitted_from) for side in sides]
        self.curves.append(
            {
                "subject": self.subject, "name": name, "label": label, "fitted_from": fitted_from,
                "lines": lines,
            }
        )  # fmt: skip
        for each in lines:
            print(
                f"{name}, {each['name']}: time as size to the power {shown(each['exponent'])} "
                f"(theory, {each['words']}: {shown(each['theory'])})",
                flush=True,
            )
        return found


def line(
    side: Side, sizes: Sequence[int], found: Sequence[np.ndarray], fitted_from: int
) -> dict[str, Any]:
    """A curve of one side, with the exponent of its times and of its theoretical cost.

    Both exponents are fitted to the same sizes, of which three are needed.
    """
    timed_at = list(sizes)[: len(found)]
    seconds = [float(np.median(times)) for times in found]
    late = [i for i, size in enumerate(timed_at) if size >= fitted_from]
    enough = len(late) >= 3
    return {
        "name": side.name,
        "sizes": timed_at,
        "seconds": seconds,
        "low": [float(times.min()) for times in found],
        "high": [float(times.max()) for times in found],
        "exponent": exponent([timed_at[i] for i in late], [seconds[i] for i in late])
        if enough else None,
        "theory": exponent([timed_at[i] for i in late], [side.cost(timed_at[i]) for i in late])
        if enough else None,
        "words": side.words,
    }  # fmt: skip


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def words(one: Mapping[str, Any]) -> str:
    """A row in one line."""
    if one["ratio"] is None:
        return f"{one['name']} / {one['against']}: -; {one['note']}"
    span = "" if one["low"] is None else f" [{one['low']:.2f}, {one['high']:.2f}]"
    reached = {True: ", reached", False: ", MISSED", None: ""}[one["reached"]]
    wanted = "" if one["aim"] is None else f" (wanted: {one['aim']:g}{reached})"
    times = " against ".join(map(clock, one["seconds"])) if one["seconds"] else one["note"]
    return f"{one['name']} / {one['against']}: {one['ratio']:.2f}{span}{wanted}; {times}"


def seconds_of(call: Call) -> float:
    """How long a call takes, for a word on what stands in the way of an aim."""
    call()
    return median(turns([call], 0.5, 3)[:, 0])


def median(values: Sequence[float] | np.ndarray) -> float:
    return statistics.median(np.asarray(values).tolist())
