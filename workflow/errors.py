"""The error that the machinery raises for a request that it cannot carry out."""

from pydantic import ValidationError


class Refused(ValueError):
    """The reason, in one sentence."""


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong: its place, what is allowed, and what was given."""
    first = error.errors(include_url=False)[0]
    return f"{', '.join(map(str, first['loc']))}: {first['msg']}, got {first['input']!r:.60}"
