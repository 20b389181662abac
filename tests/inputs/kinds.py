"""Kinds of input, and a row of the table: a public name with a right value for each argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch

SAME, CLOSE, REFUSED, ANY = "same", "close", "refused", "any"
Cell = tuple[str, Any, str]
WORDS = {"text": "2", "unicode digits": "２", "None": None, "object": object()}


@dataclass(frozen=True)
class Argument:
    """A right value, and kinds of input that are fine though odd, each with the reason."""

    value: Any
    fine: dict[str, str] = field(default_factory=dict)

    def odd(self) -> Iterator[tuple[str, Any]]:
        """Inputs that are refused, unless `fine` says otherwise."""
        yield from WORDS.items()

    def forms(self) -> Iterator[Cell]:
        """Other forms of the right value."""
        return iter(())

    def cells(self) -> Iterator[Cell]:
        yield from self.forms()
        for kind, value in self.odd():
            yield kind, value, ANY if kind in self.fine else REFUSED


@dataclass(frozen=True)
class Array(Argument):
    """Real numbers; `degree` if a factor s of the input is s**degree of the output."""

    degree: int | None = None
    values: ClassVar[dict[str, float]] = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}

    def forms(self):
        a = self.value
        yield "list", a.tolist(), SAME
        yield "Fortran order", np.asfortranarray(a), SAME
        yield "not contiguous", np.repeat(a, 2, axis=-1)[..., ::2], SAME
        fixed = a.copy()
        fixed.flags.writeable = False
        yield "read-only", fixed, SAME
        yield "float32", a.astype(np.float32), CLOSE
        if (a == a.astype(np.int64)).all():
            yield "integers", a.astype(np.int64), SAME
            yield "short integers", a.astype(np.int8), SAME

    def odd(self):
        a = self.value
        yield from WORDS.items()
        for kind, value in self.values.items():
            changed = a.copy()
            changed.flat[-1] = value
            yield kind, changed
        yield "empty", a[:0]
        yield "axis too many", a[None]
        yield "axis too few", a[0]
        yield "longer", np.concatenate([a, a[..., :1]], axis=-1)
        yield "complex", a.astype(complex)
        yield "texts", a.astype(str)
        yield "objects", np.full(a.shape, None)
        yield "ragged", [[1.0, 2.0], [3.0]]
        yield "huge", a * 1e300
        yield "tiny", a * 1e-300


@dataclass(frozen=True)
class Tokens(Argument):
    """Whole numbers from 0 to below the vocabulary."""

    def forms(self):
        a = self.value
        yield "list", a.tolist(), SAME
        yield "Fortran order", np.asfortranarray(a), SAME
        yield "not contiguous", np.repeat(a, 2, axis=-1)[..., ::2], SAME
        yield "short integers", a.astype(np.uint8), SAME
        yield "int32", a.astype(np.int32), SAME

    def odd(self):
        a = self.value
        yield from WORDS.items()
        for kind, value in (("negative", -1), ("out of range", 10**6)):
            changed = a.copy()
            changed.flat[-1] = value
            yield kind, changed
        yield "floats", a.astype(float)
        yield "nan", np.full(a.shape, np.nan)
        yield "complex", a.astype(complex)
        yield "bool", a.astype(bool)
        yield "texts", a.astype(str)
        yield "empty", a[:0]
        yield "axis too many", a[None]
        yield "axis too few", a[0]


@dataclass(frozen=True)
class Times(Array):
    """Increasing times."""

    def odd(self):
        yield from super().odd()
        a = self.value
        yield "not increasing", a[::-1]
        yield "repeated", np.concatenate([a[:1], a])
        yield "with a gap", np.delete(a, 1)
        yield "one time", a[:1]


TIMES = {"with a gap": "uneven times are as good as even ones"}


@dataclass(frozen=True)
class Tensor(Argument):
    """A tensor of float32 or float64, whose values are not looked at."""

    def forms(self):
        a = self.value
        yield "not contiguous", a.repeat_interleave(2, -1)[..., ::2], SAME

    def odd(self):
        a = self.value
        yield from WORDS.items()
        yield "list", a.tolist()
        yield "array", a.numpy()
        for dtype in (torch.int64, torch.complex128, torch.float16, torch.bool):
            yield str(dtype), a.to(dtype)
        yield "longer", torch.cat([a, a[..., :1]], -1)
        yield "no axis", a.sum()
        yield "empty", a[..., :0]
        yield "nan", a * torch.nan
        yield "inf", a * torch.inf


@dataclass(frozen=True)
class Number(Argument):
    """A finite number, above `low` (or from it on, with `reaches`)."""

    low: float = -np.inf
    reaches: bool = False

    def forms(self):
        yield "numpy's", np.float64(self.value), SAME
        yield "float32", np.float32(self.value), CLOSE
        if self.value == int(self.value):
            yield "integer", int(self.value), SAME

    def odd(self):
        yield from WORDS.items()
        yield from Array.values.items()
        yield "bool", True
        yield "complex", 1j
        yield "list", [self.value]
        yield "beyond numbers", 10**400
        if self.low > -np.inf:
            yield "negative", -1.0
        if self.low == 0 and not self.reaches:
            yield "zero", 0.0

    def cells(self):
        yield from super().cells()
        yield "huge", 1e30, "safe"
        yield "tiny", 1e-30, "safe"
        if self.low < 0 or self.reaches:
            yield "zero", 0.0, "safe"


@dataclass(frozen=True)
class Span(Number):
    """A number whose size decides how long a call takes: tests of its own have small and large."""

    def cells(self):
        yield from Argument.cells(self)


@dataclass(frozen=True)
class Count(Argument):
    """A whole number from `least` on."""

    least: int = 1

    def forms(self):
        yield "numpy's", np.int64(self.value), SAME

    def odd(self):
        yield from WORDS.items()
        yield from Array.values.items()
        yield "float", 2.7
        yield "whole float", float(self.value)
        yield "bool", True
        yield "list", [self.value]
        yield "too small", self.least - 1
        yield "negative", -1
        yield "huge", 10**30


@dataclass(frozen=True)
class Seed(Count):
    least: int = 0

    def odd(self):
        yield from super().odd()
        yield "above torch's", 2**64


@dataclass(frozen=True)
class Flag(Argument):
    def odd(self):
        yield from WORDS.items()
        yield from {"no": "no", "number": 1, "nan": np.nan}.items()


@dataclass(frozen=True)
class Choice(Argument):
    def odd(self):
        yield from WORDS.items()
        yield from {"number": 1, "list": [self.value], "upper case": self.value.upper()}.items()


@dataclass(frozen=True)
class Thing(Argument):
    """A system, a function, a generator: other inputs that are refused may be given."""

    others: dict[str, Any] = field(default_factory=dict)

    def odd(self):
        yield from WORDS.items()
        yield "number", 3
        yield from self.others.items()


# --- the table


@dataclass(frozen=True)
class Row:
    """A public name below ``dynlib``, its call, and its arguments."""

    name: str
    call: Callable[..., Any]
    arguments: dict[str, Argument]
    needs: bool = False  # something optional: the plain call cannot be made

    @cache  # noqa: B019 (a table of the test's own)
    def plain(self) -> Any:
        return self.run()

    def run(self, **changed: Any) -> Any:
        return self.call(**{k: a.value for k, a in self.arguments.items()} | changed)

    __hash__ = object.__hash__


def row(
    name: str, call: Callable[..., Any], /, *, needs: bool = False, **arguments: Argument
) -> Row:
    return Row(name, call, arguments, needs)


A = np.arange(1.0, 13.0)
POINT = "the values of a state are not looked at in inner loops: what is not finite goes through"
PROPAGATES = dict.fromkeys(("nan", "inf", "-inf", "huge"), POINT) | {"tiny": "a right value"}
ANY_AXES = {"axis too many": "any leading axes", "axis too few": "any leading axes"}
SIZE = {"longer": "any size of this axis"}
SCALED = {"huge": "a right value", "tiny": "a right value"}
FLAT = np.array([[0.0, 1.0], [1.0, 1.0]])
FORECAST = A.reshape(2, 3, 2)
