"""Numbers of the runs: read from the results files of the staged tree, for use in prose."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from workflow.runs.experiments import declared_runs

log = logging.getLogger(__name__)

PRESET = os.environ.get("COMPANION_PRESET", "cpu")
#: With stale or missing runs allowed, a number that is not there is a question mark.
STALE_ALLOWED = os.environ.get("COMPANION_ALLOW_STALE") == "1"

# The staged tree stands still while a book is rendered, so that each file is parsed once.
parsed_json = cache(lambda path: json.loads(path.read_text(encoding="utf-8")))


class NoResults(LookupError):
    """There is no results file."""


class NotRun(NoResults):
    """There is none, and need not be: the run is optional."""


class Results:
    """Results files of the staged tree, read once, noted as dependencies where used."""

    def __init__(self, env) -> None:
        self.env = env
        self.root = Path(env.srcdir) / "results"

    def load(self, preset: str, run: str) -> dict:
        path = self.root / preset / f"{run}.json"
        try:
            found = parsed_json(path)
        except OSError:
            declared = declared_runs().get(run)
            kind = NotRun if declared and declared.optional else NoResults
            raise kind(f"there are no {preset} results of {run}") from None
        self.env.note_dependency(str(path))
        return found

    def metric(self, preset: str, run: str, name: str) -> dict:
        try:
            return self.load(preset, run)["metrics"][name]
        except KeyError:
            raise LookupError(f"{run} ({preset}) records no metric {name!r}") from None


def own_run(env) -> str | None:
    """Name of the run whose page is being read."""
    return env.docname.removeprefix("runs/") if env.docname.startswith("runs/") else None


def number(value: float, form: str) -> str:
    """A number for prose: narrow unbreakable spaces, a real minus, powers of ten."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 and not form:
        value = int(value)
    form = form or (",d" if isinstance(value, int) else ".3g")
    text = format(value, form).replace(",", "\u202f")
    mantissa, exponent, power = text.partition("e")
    if exponent and -1 <= int(power) <= 2:  # 4.8·10¹ is 48
        digits = len(mantissa.lstrip("+-").replace(".", ""))
        text = format(float(text), f".{max(0, digits - 1 - int(power))}f")
    elif exponent:
        sign = "\u207b" if power.startswith("-") else ""
        digits = str(int(power.lstrip("+-"))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        text = f"{mantissa}·10{sign}{digits}"
    return text.replace("-", "\u2212")


def interval(entry: dict, form: str) -> str:
    """The ends of an interval as text; those of too few values are called a range."""
    text = f"{number(float(entry['low']), form)} to {number(float(entry['high']), form)}"
    return text if entry["level"] else f"range {text}"


class ResultRole(SphinxRole):
    """``{res}`[preset/]run:metric[.part][:format]```; without a run, the page's own."""

    def run(self):
        pattern = r"(?:(\w+)/)?(\w*):(\w+)(?:\.(low|high|level|interval))?(?::(.*))?"
        match = re.fullmatch(pattern, self.text.strip())
        try:
            if not match:
                raise LookupError("it is not of the form [preset/]run:metric[.part][:format]")
            preset, run, name, part, form = match.groups()
            results = Results(self.env)
            entry = results.metric(preset or PRESET, run or own_run(self.env), name)
            if entry["low"] is None and part:
                text = "no interval: one value" if part == "interval" else "none"
            elif entry["value"] is None:
                text = "none"
            elif part == "interval":
                text = interval(entry, form)
            elif part == "level" and entry["level"] is None:
                text = "none: a range"
            else:
                text = number(entry[part or "value"], form)
        except NotRun:
            text = "not run"
        except (LookupError, TypeError, ValueError) as error:
            text = "?"
            if not STALE_ALLOWED:
                log.warning("result %r: %s", self.text, error, location=self.get_location())
        return [nodes.inline(text, text, classes=["result", "number"])], []


class PrintedRole(SphinxRole):
    """``{printed}`run:metric[:format]```: a value of the printed setting, with its interval."""

    def run(self):
        run, _, rest = self.text.strip().partition(":")
        name, _, form = rest.partition(":")
        try:
            entry = Results(self.env).metric("paper", run, name)
            text = "none" if entry["value"] is None else number(entry["value"], form)
            if entry["low"] is not None:
                text += f" ({interval(entry, form)})"
        except NoResults:
            text = "not run"
        except (LookupError, TypeError, ValueError) as error:
            text = "?"
            if not STALE_ALLOWED:
                log.warning("printed %r: %s", self.text, error, location=self.get_location())
        return [nodes.inline(text, text, classes=["result", "number"])], []


class ParameterRole(SphinxRole):
    """``{param}`[preset/]run:name```: a parameter; without a run, of the page's own."""

    def run(self):
        place, _, name = self.text.strip().partition(":")
        preset, _, run = place.rpartition("/")
        try:
            results = Results(self.env).load(preset or PRESET, run or own_run(self.env))
            text = number(results["parameters"][name], "")
        except NotRun:
            text = "not run"
        except LookupError as error:
            text = "?"
            if not STALE_ALLOWED:
                log.warning("parameter %r: %s", self.text, error, location=self.get_location())
        return [nodes.inline(text, text, classes=["result"])], []
