"""Refusals of bad input, all in one form: what is allowed, what was given, what to do.

Every function here raises a TypeError or a ValueError, or returns nothing. A name is the
argument's own, so that the message says which one to change.
"""

from __future__ import annotations

import math
import numbers
import reprlib
import sys
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any

import numpy as np

#: Axes of an array: a name, or a length; ``...`` first stands for any axes before the others.
Axes = Sequence[str | int | EllipsisType]

#: Sizes whose squares are still numbers with all their digits, and can be added up.
SMALLEST, LARGEST = 1e-140, 1e140

#: The largest count: beyond it no loop ends and no array fits.
MOST = 2**31 - 1

#: The largest seed that torch takes.
SEEDS = 2**64 - 1


def check_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    remedy: str = "",
) -> None:
    """Raise for what is not a finite real number in a range.

    Examples
    --------
    >>> check_number("tau", 0.5, above=0)
    >>> check_number("tau", "0.5", above=0)
    Traceback (most recent call last):
    ...
    TypeError: tau must be a finite number above 0, got '0.5'; write it as a number, without quotes
    """
    limits = (
        f" above {above}" * (above > -math.inf)
        or f" from {least} to {most}" * (most < math.inf)
        or f" of {least} or more" * (least > -math.inf)
    ) + f" and below {below}" * (below < math.inf)
    allowed = f"a finite number{limits}"
    _check_type(name, value, numbers.Real, allowed)
    value = value.item() if isinstance(value, np.generic) else value  # float32 has a smaller range
    if not abs(value) <= sys.float_info.max:
        raise ValueError(
            f"{name} must be {allowed}, got {value}; {remedy or 'give a finite number'}"
        )
    if not above < value < below or not least <= value <= most:
        remedy = remedy or "choose one in this range"
        raise ValueError(f"{name} must be {allowed}, got {value}; {remedy}")


def check_count(
    name: str, value: Any, *, least: int = 1, most: int = MOST, remedy: str = ""
) -> None:
    """Raise for what is not a whole number in a range: 2.0 is not one, nor is True.

    Examples
    --------
    >>> check_count("n_steps", 2.0)
    Traceback (most recent call last):
    ...
    TypeError: n_steps must be a whole number from 1 to 2147483647, got 2.0; write int(...) around \
it if it is meant as one
    """
    allowed = f"a whole number from {least} to {most}"
    _check_type(name, value, numbers.Integral, allowed)
    if not least <= value <= most:
        remedy = remedy or "choose one in this range"
        raise ValueError(f"{name} must be {allowed}, got {reprlib.repr(value)}; {remedy}")


def check_counts(name: str, values: Any, *, least: int, most: int, remedy: str = "") -> None:
    """Raise for what is not a sequence of one or more whole numbers in a range."""
    if _array(name, values).ndim != 1 or len(values) == 0:
        raise ValueError(
            f"{name} must be one or more whole numbers from {least} to {most}, got "
            f"{reprlib.repr(values)}; write one alone as [{name}]"
        )
    for value in values:
        check_count(f"each of {name}", value, least=least, most=most, remedy=remedy)


def check_seed(name: str, value: Any) -> None:
    """Raise for a seed that numpy and torch do not both take."""
    check_count(name, value, least=0, most=SEEDS)


def check_generator(name: str, value: Any) -> None:
    """Raise for what is not a generator of numpy."""
    check_is(name, value, np.random.Generator, "a generator", "np.random.default_rng(0) makes one")


def check_draw(n: Any, rng: Any) -> None:
    """Raise for a number of initial states that is not a count, or what does not draw them."""
    check_count("n", n)
    check_generator("rng", rng)


def check_flag(name: str, value: Any) -> None:
    """Raise for what is not True or False: the text "no" would count as true."""
    check_is(name, value, bool | np.bool_, "True or False", "write the word without quotes")


def check_is(name: str, value: Any, kind: Any, allowed: str, remedy: str) -> None:
    """Raise TypeError for what is not an instance of a type, or of one of several.

    Examples
    --------
    >>> check_is("rng", 0, np.random.Generator, "a generator", "np.random.default_rng(0) makes one")
    Traceback (most recent call last):
    ...
    TypeError: rng must be a generator, got 0; np.random.default_rng(0) makes one
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {allowed}, got {reprlib.repr(value)}; {remedy}")


def check_callable(name: str, value: Any) -> None:
    """Raise for what cannot be called."""
    if not callable(value):
        raise TypeError(
            f"{name} must be a function, got {reprlib.repr(value)}; write its name without brackets"
        )


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise for a text that is not among those allowed.

    Examples
    --------
    >>> check_choice("cost", "cosine", ("euclidean", "squared"))
    Traceback (most recent call last):
    ...
    ValueError: cost must be 'euclidean' or 'squared', got 'cosine'; choose one of these
    """
    if not isinstance(value, str) or value not in allowed:
        *others, last = map(repr, allowed)
        error = ValueError if isinstance(value, str) else TypeError
        raise error(
            f"{name} must be {', '.join(others)} or {last}, got {reprlib.repr(value)}; choose one "
            "of these"
        )


def check_array(
    name: str,
    value: Any,
    axes: Axes,
    *,
    allow: str = "finite",
    empty: bool = False,
    scale: bool = False,
    remedy: str = "",
) -> None:
    """Raise for what is not an array of real numbers with these axes.

    Parameters
    ----------
    name : str
        What the array is called.
    value : object
        The array, or lists of numbers.
    axes : sequence of str, int or ...
        Its axes by name, or by length where that is fixed; ``...`` first for any others.
    allow : str
        Values besides finite ones: ``"infinite"``, or ``"any"``, which includes NaN.
    empty : bool
        Whether an axis may have the length 0.
    scale : bool
        Whether values are squared, so that all may not be below 1e-140 nor one above 1e140.
    remedy : str
        What to do about another shape, if this is not the usual.

    Examples
    --------
    >>> check_array("points", np.zeros((4, 3)), ("n", 3))
    >>> check_array("points", np.zeros(3), ("n", 3))
    Traceback (most recent call last):
    ...
    ValueError: points must have shape (n, 3), got (3,); one alone is points[None]
    """
    array = _array(name, value)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be an array of real numbers, got {array.dtype}; {_REAL[array.dtype.kind]}"
        )
    _check_shape(name, array.shape, axes, empty, remedy)
    if allow == "any" or array.dtype.kind != "f":
        bad = None
    else:
        bad = ~np.isfinite(array) if allow == "finite" else np.isnan(array)
    if bad is not None and bad.any():
        place = tuple(map(int, np.argwhere(bad)[0]))
        raise ValueError(
            f"{name} must be {'finite' if allow == 'finite' else 'numbers'}, got {array[place]} at "
            f"index {place} ({int(bad.sum())} of {bad.size} are not); leave those out or fill them "
            "in"
        )
    if scale and array.size:
        _check_scale(name, array)


def check_tokens(
    name: str,
    value: Any,
    axes: Axes,
    *,
    vocabulary: int | None = MOST,
    shortest: int = 1,
    empty: bool = False,
    remedy: str = "",
) -> None:
    """Raise for what is not an array of tokens, whole numbers from 0 to below the vocabulary.

    Without a vocabulary the values are not looked at: tokens are cut, not read.

    Examples
    --------
    >>> check_tokens("tokens", np.array([[0, 1, 5]]), ("B", "T"), vocabulary=3)
    Traceback (most recent call last):
    ...
    ValueError: tokens must be whole numbers from 0 to 2, got 5; encode them with the grid of these
    3 cells
    """
    array = _array(name, value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(
            f"{name} must be whole numbers, got {array.dtype}; encode states with a grid, or use "
            "np.asarray(..., dtype=int) if they are tokens already"
        )
    _check_shape(name, array.shape, axes, empty, remedy)
    if array.ndim and array.shape[-1] < shortest and not empty:
        raise ValueError(
            f"{name} must be sequences of {shortest} tokens or more, got shape {array.shape}; take "
            "longer ones"
        )
    if vocabulary is None:
        return
    for token in (array.min(), array.max()) if array.size else ():
        if not 0 <= token < vocabulary:
            raise ValueError(
                f"{name} must be whole numbers from 0 to {vocabulary - 1}, got {token}; encode "
                f"them with the grid of these {vocabulary} cells"
            )


def check_each(
    name: str, values: Any, axes: Axes, check: Callable[..., None], **options: Any
) -> None:
    """Check an array, or each of a list of arrays whose first axes differ in length.

    Examples
    --------
    >>> check_each("tokens", [[0, 1], [1, 0, 1]], ("M", "T"), check_tokens, vocabulary=2)
    >>> check_each("tokens", [[0, 1], [[1], [0]]], ("M", "T"), check_tokens, vocabulary=2)
    Traceback (most recent call last):
    ...
    ValueError: each of tokens must have shape (T,), got (2, 1); reshape or transpose it to (T,)
    """
    try:
        np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        if isinstance(values, (list, tuple)):
            for each in values:
                check(f"each of {name}", each, axes[1:], **options)
            return
    check(name, values, axes, **options)


def check_tensor(
    name: str,
    value: Any,
    axes: Axes = (...,),
    *,
    dtype: Any = None,
    device: Any = None,
    empty: bool = True,
    remedy: str = "",
) -> None:
    """Raise for what is not a tensor with these axes, of float32 or float64 or of one type.

    Its values are not looked at. A `device` is where it has to be.
    """
    allowed = ("torch.float32", "torch.float64") if dtype is None else (str(dtype),)
    kind = str(getattr(value, "dtype", ""))
    if kind not in allowed or (device is not None and value.device != device):
        wanted = " or ".join(allowed).replace("torch.", "") + f" on {device}" * (device is not None)
        got = f"{kind} on {value.device}" if kind.startswith("torch.") else type(value).__name__
        raise TypeError(
            f"{name} must be a tensor of {wanted}, got {got}; use torch.as_tensor(..., "
            f"dtype={allowed[-1]})"
        )
    _check_shape(name, tuple(value.shape), axes, empty, remedy)


def check_times(name: str, value: Any) -> None:
    """Raise for times that do not increase from each to the next.

    Examples
    --------
    >>> check_times("times", [0.0, 0.5, 0.5])
    Traceback (most recent call last):
    ...
    ValueError: times must increase from each to the next, got 0.5 after 0.5 at index 2; sort them
    and keep one of those that are equal
    """
    check_array(name, value, ("T",), scale=True)
    if len(value) < 2:
        raise ValueError(f"{name} must be two or more, got {value}; add the time of the start")
    steps = np.diff(value)
    if not (steps > 0).all():
        at = int(np.argmin(steps > 0))
        raise ValueError(
            f"{name} must increase from each to the next, got {value[at + 1]} after {value[at]} at "
            f"index {at + 1}; sort them and keep one of those that are equal"
        )


def check_coordinates(states: Any, dim: int, axes: int | None = None, name: str = "states") -> None:
    """Raise for states that are not real numbers (..., dim), or have another number of axes.

    Values are not looked at: this stands in inner loops, and orbits may go to infinity.

    Examples
    --------
    >>> check_coordinates(np.zeros((5, 3)), 3, axes=2)
    """
    right = isinstance(states, np.ndarray) and states.dtype.kind in "fiu"
    if right and states.shape[-1:] == (dim,) and states.ndim == (axes or states.ndim):
        return
    wanted = ("batch", dim) if axes == 2 else (..., dim)
    remedy = "" if axes == 2 else f"the last axis holds the {dim} coordinates"
    check_array(name, states, wanted, allow="any", empty=True, remedy=remedy)


def check_floats(name: str, states: Any) -> None:
    """Raise TypeError for what is not an array of floats: products of integers overflow."""
    if not isinstance(states, np.ndarray) or states.dtype.kind != "f":
        got = states.dtype if isinstance(states, np.ndarray) else type(states).__name__
        raise TypeError(
            f"{name} must be an array of floats, got {got}; use np.asarray({name}, dtype=float)"
        )


def check_varies(name: str, states: Any) -> None:
    """Raise for states (M, dim) with a coordinate that varies by less than 1000 last digits.

    Examples
    --------
    >>> check_varies("states", np.array([[0.0, 0.1], [1.0, 0.1]]))
    Traceback (most recent call last):
    ...
    ValueError: coordinate 1 is constant: each coordinate of states must vary by three digits of \
float64 or more, got 0.1 to 0.1; leave it out
    """
    states = np.asarray(states)
    kind = states.dtype if states.dtype.kind == "f" else np.dtype(float)
    low, high = (np.asarray(end, np.float64) for end in (states.min(axis=0), states.max(axis=0)))
    digits = 1000 * np.finfo(kind).eps * np.maximum(abs(low), abs(high))
    lost = high - low <= np.maximum(digits, SMALLEST)
    if lost.any():
        at = int(np.argmax(lost))
        still = low[at] == high[at]
        what = "is constant" if still else "varies too little"
        remedy = "subtract its mean where it is exact, in float64, or change its units"
        raise ValueError(
            f"coordinate {at} {what}: each coordinate of {name} must vary by three digits of "
            f"{kind} or more, got {low[at]} to {high[at]}; "
            f"{'leave it out' if still else remedy}"
        )


def check_alike(names: Sequence[str], *arrays: Any, remedy: str) -> None:
    """Raise for arrays that do not have one and the same shape."""
    shapes = [np.shape(each) for each in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{' and '.join(names)} must have the same shape, got "
            f"{' and '.join(map(str, shapes))}; {remedy}"
        )


def check_room(what: str, *sizes: int) -> None:
    """Raise for an array of float64 numbers that takes more than 64 GiB.

    Examples
    --------
    >>> check_room("trajectories", 10**6, 10**6, 3)
    Traceback (most recent call last):
    ...
    ValueError: trajectories must take at most 64 GiB, got 22352 GiB of shape (1000000, 1000000, 3);
    take fewer or shorter ones
    """
    gibibytes = math.prod(map(int, sizes)) / 2**27
    if gibibytes > 64:
        raise ValueError(
            f"{what} must take at most 64 GiB, got {gibibytes:.0f} GiB of shape {sizes}; take "
            "fewer or shorter ones"
        )


_REAL = {
    "c": "take the real part, x.real",
    "b": "convert it with x.astype(float)",
} | dict.fromkeys("OSUVmMT", "convert it with np.asarray(x, dtype=float), all rows of one length")


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        got = type(value).__name__
    raise ValueError(
        f"{name} must be an array, got a {got} that numpy cannot make one of; give all rows one "
        "length"
    )


def _check_type(name: str, value: Any, kind: type, allowed: str) -> None:
    if isinstance(value, kind) and value is not True and value is not False:
        return
    remedy = "give a single number"
    if isinstance(value, str):
        remedy = "write it as a number, without quotes"
    elif isinstance(value, (float, np.floating)):
        remedy = "write int(...) around it if it is meant as one"
    raise TypeError(f"{name} must be {allowed}, got {reprlib.repr(value)}; {remedy}")


def _check_shape(name: str, shape: tuple[int, ...], axes: Axes, empty: bool, remedy: str) -> None:
    leading = bool(axes) and axes[0] is Ellipsis
    fixed = axes[1:] if leading else axes
    before = len(shape) - len(fixed)
    fits = before == 0 or (leading and before > 0)
    for size, axis in zip(shape[before:] if fits else (), fixed, strict=False):  # inner loops
        fits = fits and (size == axis or not isinstance(axis, int))
    if fits and (empty or 0 not in shape):
        return
    wanted = f"({', '.join('...' if axis is ... else str(axis) for axis in axes)}"
    wanted += ",)" if len(axes) == 1 else ")"
    if not fits:
        lacks = before == -1
        usual = f"one alone is {name}[None]" if lacks else f"reshape or transpose it to {wanted}"
        raise ValueError(f"{name} must have shape {wanted}, got {shape}; {remedy or usual}")
    raise ValueError(
        f"{name} must have shape {wanted}, none of it 0, got {shape}; give one at least"
    )


def _check_scale(name: str, array: np.ndarray) -> None:
    largest = max(abs(float(array.min())), abs(float(array.max())))
    if largest and not SMALLEST <= largest <= LARGEST:
        raise ValueError(
            f"the largest of {name} must be 0 or between {SMALLEST} and {LARGEST} in size, got "
            f"{largest}; change its units"
        )
