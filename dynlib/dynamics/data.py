"""A reader's own measurements: trajectories from a file, at equal times and without gaps."""

from __future__ import annotations

import csv
import itertools
import reprlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from dynlib.dynamics.checks import check_array, check_flag, check_number
from dynlib.dynamics.pairs import constant

#: What a column or an array of times may be called.
TIMES = ("t", "time")
#: Files round their times, which count as even if they are off by at most this share of a step.
EVEN = 0.03


@dataclass(frozen=True)
class Trajectories:
    """Measured trajectories at equal times.

    Parameters
    ----------
    parts : tuple of numpy.ndarray
        Stretches without a gap, (T_i, d) each, float64.
    origin : tuple of int
        Of each part the number of the trajectory that it belongs to, in the order of time.
    names : tuple of str
        Of the coordinates.
    tau : float
        Time between two states.
    notes : tuple of str
        What was done to the data, in sentences.
    """

    parts: tuple[np.ndarray, ...]
    origin: tuple[int, ...]
    names: tuple[str, ...]
    tau: float
    notes: tuple[str, ...] = ()

    @property
    def states(self) -> np.ndarray:
        """All states, (sum of T_i, d)."""
        return np.concatenate(self.parts)


def read_trajectories(path: str | Path, *, resample: bool = False) -> Trajectories:
    """Trajectories from a file of numbers.

    A ``.csv`` file has a header. A column ``t`` or ``time`` holds times, a column ``trajectory``
    says which trajectory a line belongs to, every other column is a coordinate. A ``.npy`` file
    holds one array (T, d), or (n, T, d) for n trajectories. A ``.npz`` file holds one or several
    of these, of any lengths. In it ``t`` holds the times of each, ``t_a`` those of the array
    ``a``, and ``names`` the names of the coordinates. Without times a step counts 1.

    Times within 3 % of a step of even ones are taken as even. A much longer step is a gap: it
    splits the trajectory. Where eight of ten steps agree within a fifth, one of 1.5 usual ones is
    much longer, elsewhere one of three times the 0.9 quantile.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    resample : bool
        Whether states at uneven times are interpolated, by cubic splines, at equal ones.

    Returns
    -------
    Trajectories
        The stretches between gaps, at equal times.

    Raises
    ------
    ValueError
        If the file is not there or not of this form, has a value that is not a finite number,
        times that do not increase, a coordinate that is constant or a trajectory of one state, or
        if times are uneven and `resample` is false. The message names line and column.
    """
    if not isinstance(path, (str, Path)):
        raise TypeError(
            f"path must be the path of a file, got {reprlib.repr(path)}; write it in quotes"
        )
    check_flag("resample", resample)
    file = Path(path).expanduser()
    readers = {".csv": _from_csv, ".npy": _from_npy, ".npz": _from_npz}
    if file.suffix.lower() not in readers:
        raise ValueError(
            f"the file must be .csv, .npy or .npz, got {reprlib.repr(str(path))}; save the data as "
            "one of these"
        )
    if not file.is_file():
        raise ValueError(
            f"the file of data must exist, got {str(path)!r}, and there is none at "
            f"{file.absolute()}; correct the path, or write all of it from / on"
        )
    names, records = readers[file.suffix.lower()](file)
    for where, _, states in records:
        check_array(f"the states of {where}", states, ("T", "d"), scale=True)
        if len(states) < 2:
            raise ValueError(
                f"a trajectory must have two states or more, got one in {where}; leave it out"
            )
    if still := constant(np.concatenate([states for _, _, states in records])):
        raise ValueError(
            f"every coordinate must vary, got {names[still[0]]}, which is constant; leave it out"
        )
    return _even(names, records, resample)


#: What a file holds of a trajectory: what it is called, its times if it has any, its states.
_Record = tuple[str, np.ndarray | None, np.ndarray]


def _from_csv(file: Path) -> tuple[tuple[str, ...], list[_Record]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"a CSV file must be UTF-8 text, got byte {error.start} of {file.name} that is not; "
            "save it as UTF-8"
        ) from None
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)  # the first of those that are equally frequent
    lines = csv.reader(text.splitlines(), delimiter=mark, skipinitialspace=True)
    rows = [(lines.line_num, row) for row in lines if any(map(str.strip, row))]
    header = [each.strip() for each in rows[0][1]] if rows else []
    _check_header(file.name, header)
    lower = [each.lower() for each in header]
    label = lower.index("trajectory") if "trajectory" in lower else None
    clock = next((lower.index(each) for each in TIMES if each in lower), None)
    columns = [i for i in range(len(header)) if i not in (label, clock)]
    found: dict[str, list[list[float]]] = {}
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(
                f"every line must have {len(header)} values, as the header has, got {len(row)} in "
                f"line {number}; complete it, or leave it out"
            )
        of = row[label].strip() if label is not None else ""
        numbers = [
            _number(row[i], number, header[i])
            for i in (*columns, *([] if clock is None else [clock]))
        ]
        before = found.setdefault(of, [])
        if clock is not None and before and numbers[-1] <= before[-1][-1]:
            raise ValueError(
                f"times must increase from each line to the next, got {numbers[-1]} after "
                f"{before[-1][-1]} in line {number}, column {header[clock]}; sort the lines, keep "
                "one of those that are equal, and give each trajectory its own value in a column "
                "'trajectory'"
            )
        before.append(numbers)
    if not found or not columns:
        raise ValueError(
            f"a CSV file must have a column of numbers and two lines below the header, got "
            f"{len(columns)} columns besides time and trajectory and {len(rows[1:])} lines; add "
            "them"
        )
    end = len(columns)
    records: list[_Record] = []
    for name, values in found.items():
        array = np.array(values)
        where = f"trajectory {name}" if name else file.name
        records.append((where, None if clock is None else array[:, end], array[:, :end]))
    return tuple(header[i] for i in columns), records


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _check_header(name: str, header: list[str]) -> None:
    if not header or not all(header) or any(map(_is_number, header)):
        raise ValueError(
            f"the first line of {name} must name every column, got {reprlib.repr(header)}; write a "
            "header, such as t,x,y"
        )
    if len(set(map(str.lower, header))) < len(header):
        raise ValueError(
            f"columns must have different names, got {', '.join(header)} in the first line; rename "
            "one"
        )


def _number(field: str, line: int, column: str) -> float:
    """The number in a field of a CSV file."""
    field = field.strip()
    try:
        if not field.isascii() or "_" in field:
            raise ValueError
        value = float(field)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        remedy = "fill it in, or leave the line out: a longer step is a gap"
        if "," in field:
            remedy = "write a decimal point, not a comma"
        raise ValueError(
            f"every value must be a finite number, got {field!r} in line {line}, column {column}; "
            f"{remedy}"
        )
    return value


def _loaded(file: Path) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{file.name} must be a file of arrays of numbers, got {error}; write it with np.save "
            "or np.savez"
        ) from None


def _from_npy(file: Path) -> tuple[tuple[str, ...], list[_Record]]:
    loaded = _loaded(file)
    if not isinstance(loaded, np.ndarray):
        raise ValueError(f"{file.name} must hold one array, got several; name it .npz")
    records = list(_records(file.name, loaded, None))
    return _named(None, records), records


def _from_npz(file: Path) -> tuple[tuple[str, ...], list[_Record]]:
    loaded = _loaded(file)
    if isinstance(loaded, np.ndarray):
        raise ValueError(f"{file.name} must hold named arrays, got one without; name it .npy")
    try:
        arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"every array of {file.name} must be one of numbers, got {error}; write it with "
            "np.savez, one array of floats each"
        ) from None
    given = arrays.pop("names", None)
    clocks = {n: arrays.pop(n) for n in list(arrays) if n.partition("_")[0] in TIMES}
    common = next((clocks.pop(each) for each in TIMES if each in clocks), None)
    own = {each.partition("_")[2]: clock for each, clock in clocks.items()}
    if not arrays or own.keys() - arrays.keys():
        raise ValueError(
            f"{file.name} must hold arrays of states, and times t_NAME of an array NAME, got "
            f"{', '.join(loaded.files) or 'nothing'}; write np.savez(path, a=states, t=times)"
        )
    records = [
        each
        for name, states in arrays.items()
        for each in _records(f"array {name}", states, own.get(name, common))
    ]
    return _named(given, records), records


def _records(where: str, states: np.ndarray, times: np.ndarray | None) -> Iterator[_Record]:
    """The trajectories in an array (T, d) or (n, T, d), which share their times."""
    if states.ndim not in (2, 3):
        raise ValueError(
            f"{where} must have shape (T, d) or (n, T, d), got {states.shape}; one coordinate "
            "measured T times is series[:, None]"
        )
    if times is not None:
        check_array(f"the times of {where}", times, (states.shape[-2],), scale=True)
        if not (np.diff(times) > 0).all():
            at = int(np.argmin(np.diff(times) > 0)) + 1
            raise ValueError(
                f"the times of {where} must increase from each to the next, got {times[at]} after "
                f"{times[at - 1]} at index {at}; sort them and keep one of those that are equal"
            )
        times = np.asarray(times, dtype=np.float64)
    check_array(f"the states of {where}", states, (..., "T", "d"), scale=True)
    for i, each in enumerate(states.reshape(-1, *states.shape[-2:])):
        yield f"{where}, trajectory {i}", times, np.asarray(each, dtype=np.float64)


def _named(given: Any, records: Sequence[_Record]) -> tuple[str, ...]:
    """Names of the coordinates: those given, or x, y, z, or x1, x2, ..."""
    sizes = sorted({states.shape[1] for _, _, states in records})
    if len(sizes) > 1:
        raise ValueError(
            f"all arrays must have as many coordinates, got {sizes}; leave out those that are not "
            "states"
        )
    dim = sizes[0]
    if given is None:
        return tuple("xyz"[:dim]) if dim <= 3 else tuple(f"x{i + 1}" for i in range(dim))
    names = tuple(map(str, np.ravel(given)))
    if len(set(names)) != dim or len(names) != dim:
        raise ValueError(f"names must be {dim} different texts, got {names}; give one a coordinate")
    return names


def _even(names: tuple[str, ...], records: Sequence[_Record], resample: bool) -> Trajectories:
    """The stretches between gaps, at equal times."""
    notes, stretches = [], []
    if any(times is None for _, times, _ in records):
        notes.append("There is no column of times: a step counts 1.")
    gaps = short = uneven = 0
    for number, (where, given, states) in enumerate(records):
        times = np.arange(len(states)) * 1.0 if given is None else given
        steps = np.diff(times)
        breaks = np.flatnonzero(steps > _longest_step(steps)) + 1
        gaps += len(breaks)
        for first, last in itertools.pairwise((0, *breaks.tolist(), len(times))):
            if last - first > 1:
                stretches.append((number, where, times[first:last], states[first:last]))
            else:
                short += 1
    if not stretches:
        raise ValueError(
            "two states or more must follow each other without a gap, got gaps only; check the "
            "times"
        )
    tau = float(np.median([(t[-1] - t[0]) / (len(t) - 1) for _, _, t, _ in stretches]))
    parts = []
    for _, where, times, states in stretches:
        own = (times[-1] - times[0]) / (len(times) - 1)
        off = np.abs(times - times[0] - own * np.arange(len(times))) > EVEN * tau
        if not off.any() and abs(own / tau - 1) <= EVEN:
            parts.append(states)
            continue
        if not resample:
            at = max(1, int(np.argmax(off)))
            raise ValueError(
                f"times must be even, got a step of {times[at] - times[at - 1]:.6g} to time "
                f"{times[at]:.6g} of {where}, where {tau:.6g} is the mean; take resample=True, "
                "which interpolates between the states"
            )
        uneven += 1
        new = times[0] + tau * np.arange(int((times[-1] - times[0]) / tau + 1e-9) + 1)
        parts.append(CubicSpline(times, states)(new))
    if gaps:
        notes.append(f"Trajectories were split at {gaps} gaps.".replace(" 1 gaps", " one gap"))
    if short:
        notes.append(f"States left out, since they stand alone between gaps: {short}.")
    if uneven:
        notes.append(
            f"Times are uneven: states were interpolated, by cubic splines, at steps of {tau:.4g}, "
            "the mean step."
        )
    origin = tuple(number for number, *_ in stretches)
    return Trajectories(tuple(parts), origin, names, tau, tuple(notes))


def _longest_step(steps: np.ndarray) -> float:
    """The step above which there is a gap."""
    usual = np.median(steps)
    if np.mean(np.abs(steps / usual - 1) <= 0.2) >= 0.8:
        return 1.5 * usual
    return 3 * np.quantile(steps, 0.9)


def hold_out(
    parts: Sequence[np.ndarray], origin: Sequence[int], share: float
) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    """Hold out about a share of the measured states, without overlap.

    With five trajectories or more, the last whole ones are held out. With fewer, the end of each
    part is held out, so that no trajectory is in the test alone.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        Stretches (T_i, d).
    origin : sequence of int
        The number of the trajectory of each.
    share : float
        What is held out, between 0 and 1.

    Returns
    -------
    origin : list of int
        Of the parts that are kept.
    kept, held_out : list of numpy.ndarray
        Parts to learn from, and those held out.

    Examples
    --------
    >>> hold_out([np.arange(10.0)[:, None]], [0], 0.2)[2][0].ravel()
    array([8., 9.])
    """
    check_number("share", share, above=0, most=1)
    given: dict[str, Any] = {"parts": parts, "origin": origin}
    for name, value in given.items():
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TypeError(
                f"{name} must be a list, got {reprlib.repr(value)}; read_trajectories gives it"
            )
    if not parts or len(parts) != len(origin):
        raise ValueError(
            f"parts must be one or more, with an origin each, got {len(parts)} and {len(origin)}; "
            "read_trajectories gives both"
        )
    for part in parts:
        check_array("a part", part, ("T", "d"))
    whole = sorted(set(origin))
    if len(whole) >= 5:
        sizes = [sum(len(p) for p, o in zip(parts, origin, strict=True) if o == w) for w in whole]
        after = np.cumsum(sizes[::-1])[::-1]  # states from each trajectory on
        first = int(np.argmin(np.abs(after[1:] - share * after[0]))) + 1
        test = set(whole[first:])
        kept = [(o, p) for p, o in zip(parts, origin, strict=True) if o not in test]
        held = [p for p, o in zip(parts, origin, strict=True) if o in test]
    else:
        cuts = [len(p) - round(share * len(p)) for p in parts]
        kept = [(o, p[:cut]) for p, o, cut in zip(parts, origin, cuts, strict=True)]
        held = [p[cut:] for p, cut in zip(parts, cuts, strict=True)]
    return [o for o, _ in kept], [p for _, p in kept], [p for p in held if len(p)]
