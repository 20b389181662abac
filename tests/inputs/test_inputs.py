"""Every public function against every kind of input: a right value, or a refusal in words.

``ROWS`` is the table: a function, a method or a constructor, with a small right value for each
argument. The kinds of input follow from what an argument is (``Array``, ``Tokens``, ``Count`` …).
A cell is right if the call gives the value of the plain call (another form of the same numbers),
or raises a ValueError or TypeError of dynlib's own, whose message says what must be, what was got
and, after a semicolon, what to do. Where an odd input makes sense, ``fine`` says why.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib
import inspect
import itertools
import pkgutil
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from kinds import CLOSE, REFUSED, SAME, Array, Row, Tokens

import dynlib
from dynlib.dynamics.flows import Flow
from dynlib.measure import (
    context,
    distribution,
    timing,
)
from dynlib.operators import bestfit, hankel

#: Every room of dynlib.
ROOMS = sorted(each.name for each in pkgutil.iter_modules(dynlib.__path__) if each.ispkg)
TABLES = [importlib.import_module(f"rows_{room}") for room in ROOMS]
ROWS = [one for table in TABLES for one in table.ROWS]
EXEMPT = {name: why for table in TABLES for name, why in table.EXEMPT.items()}


def refused(error: BaseException) -> bool:
    """Whether it is a refusal in the three parts, raised by dynlib's own code."""
    home = Path(dynlib.__file__).parent
    last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    form = re.search(r"must .*, got .*; .", str(error), flags=re.DOTALL)
    return type(error) in (ValueError, TypeError) and form is not None and home in last.parents


def same(found: Any, plain: Any, tolerance: float) -> bool:
    if isinstance(plain, hankel.Hankel):
        found, plain = found.symbol, plain.symbol
    if isinstance(plain, (bestfit.BestFit, distribution.Reference)):
        names = [each.name for each in dataclasses.fields(plain)]
        found, plain = ([getattr(x, n) for n in names] for x in (found, plain))
    if isinstance(plain, dict):
        return list(found) == list(plain) and same(
            list(found.values()), list(plain.values()), tolerance
        )
    if isinstance(plain, (tuple, list)):
        pairs = itertools.zip_longest(found, plain)
        return all(same(a, b, tolerance) for a, b in pairs)
    if isinstance(plain, (np.ndarray, torch.Tensor, float, int)):
        return np.allclose(found, plain, rtol=tolerance, atol=tolerance, equal_nan=True)
    return found == plain


def outcome(one: Row, argument: str, value: Any) -> tuple[Any, BaseException | None]:
    """The value of a call with one argument changed, or what it raises; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return one.run(**{argument: value}), None
        except Exception as error:
            return None, error


def table() -> Iterator[Any]:
    for one in ROWS:
        for name, argument in one.arguments.items():
            for kind, value, expected in argument.cells():
                label = f"{one.name}-{name}-{kind}"
                yield pytest.param(one, name, kind, value, expected, id=label.replace(" ", "_"))


@pytest.mark.parametrize(("one", "argument", "kind", "value", "expected"), list(table()))
def test_a_cell_is_a_right_value_or_a_refusal(one, argument, kind, value, expected):
    if one.needs and (expected != REFUSED or kind == "number's"):
        return
    found, error = outcome(one, argument, value)
    if error is not None:
        assert expected in (REFUSED, "safe", SAME, CLOSE), f"{kind} is fine, but {error!r}"
        assert refused(error), "".join(traceback.format_exception(error))
        return
    assert expected != REFUSED, f"{kind} is taken: {found!r}"
    if expected in (SAME, CLOSE):
        plain = one.plain()
        assert same(found, plain, 1e-12 if expected == SAME else 1e-4), f"{found!r} != {plain!r}"
    degree = getattr(one.arguments[argument], "degree", None)
    if kind in ("huge", "tiny") and degree is not None:
        factor = (1e300 if kind == "huge" else 1e-300) ** degree
        flat = [np.asarray(each).ravel() for each in (found, one.plain())]
        np.testing.assert_allclose(flat[0], flat[1] * factor, rtol=1e-9)


@pytest.mark.parametrize("one", [one for one in ROWS if not one.needs], ids=lambda one: one.name)
def test_the_plain_call_is_taken(one):
    one.plain()


def fuzzed() -> Iterator[Any]:
    for one in ROWS:
        for name, argument in one.arguments.items():
            if isinstance(argument, (Array, Tokens)):
                yield pytest.param(one, name, id=f"{one.name}-{name}")


ANY_SHAPE = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ANY_ARRAY = st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16"]).flatmap(
    lambda dtype: arrays.arrays(dtype, ANY_SHAPE)
)


@pytest.mark.parametrize(("one", "argument"), list(fuzzed()))
@settings(
    max_examples=12, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(value=ANY_ARRAY)
def test_any_array_is_taken_without_a_warning_or_refused(one, argument, value):
    _, error = outcome(one, argument, value)
    assert error is None or refused(error), "".join(traceback.format_exception(error))


def test_every_public_function_has_a_row():
    public = set()
    for room in ROOMS:
        package = importlib.import_module(f"dynlib.{room}")
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(each.name)
            public |= {f"{each.name.removeprefix('dynlib.')}.{n}" for n in names_of(module)}
    exempt = {each: set(fnmatch.filter(public, each)) for each in EXEMPT}
    assert public - set().union(*exempt.values()) == {one.name for one in ROWS}
    assert all(exempt.values())


def names_of(module: Any) -> Iterator[str]:
    """Public functions, classes, and methods that take something; checks refuse on purpose."""
    for name, thing in vars(module).items():
        if getattr(thing, "__module__", "") != module.__name__ or name.startswith(("_", "check")):
            continue
        if inspect.isclass(thing):
            yield name
            for method, each in inspect.getmembers(thing, callable):
                inherited = issubclass(thing, Flow) and hasattr(Flow, method) and thing is not Flow
                kept = vars(thing).get(method) is each or not inherited
                public = not method.startswith("_") or method == "__matmul__"
                if public and kept and inspect.isroutine(each) and takes(each):
                    yield f"{name}.{method}"
        elif callable(thing) and inspect.signature(thing).parameters:
            yield name


def takes(method: Callable) -> bool:
    try:
        parameters = list(inspect.signature(method).parameters)
    except ValueError:
        return False
    ours = (getattr(method, "__module__", "") or "").startswith("dynlib.")
    return ours and parameters not in ([], ["self"])


def test_the_arguments_of_a_row_are_all_of_the_function():
    for one in ROWS:
        if "<lambda>" in getattr(one.call, "__qualname__", ""):
            continue
        assert list(one.arguments) == list(inspect.signature(one.call).parameters), one.name


def test_nothing_is_called_before_a_refusal():
    def never(*_):
        raise AssertionError("called")

    with pytest.raises(ValueError, match="columns"):
        context.context_curve(never, np.zeros((2, 10), dtype=int), [1], [10])
    with pytest.raises(TypeError, match="repeats"):
        timing.microseconds(never, repeats=2.0)
