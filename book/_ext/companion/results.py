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

from workflow.runs.experiments import declared_runs, load
from workflow.runs.outputs import power

log = logging.getLogger(__name__)

PRESET = os.environ.get("COMPANION_PRESET", "cpu")
#: With stale or missing runs allowed, a number that is not there is a question mark.
STALE_ALLOWED = os.environ.get("COMPANION_ALLOW_STALE") == "1"

# The staged tree does not change while a book is rendered, so each file is parsed once.
parsed_json = cache(lambda path: json.loads(path.read_text(encoding="utf-8")))


class NoResults(LookupError):
    """There is no results file."""


class NotRun(NoResults):
    """There is no results file, and none is required: the run is optional."""


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

    def all(self, folder: str) -> list[dict]:
        """Every results file of a preset, or of another folder of the results."""
        paths = sorted((self.root / folder).glob("*.json"))
        return [self.load(folder, path.stem) for path in paths]

    def metric(self, preset: str, run: str, name: str) -> dict:
        metrics = self.load(preset, run)["metrics"]
        try:
            entry = metrics[name]
        except KeyError:
            raise LookupError(f"{run} ({preset}) records no metric {name!r}") from None
        return at_least(entry, horizon(metrics, name))


class AtLeast(float):
    """A time of which only a lower bound is known: the forecast ended before it."""


def at_least(entry: dict, most: float | None) -> dict:
    """A metric with a mark at those of its values that are the most that could be seen."""
    if most is None:
        return entry
    found = {key: entry[key] for key in ("value", "low", "high")}
    return entry | {
        key: AtLeast(value) for key, value in found.items() if value is not None and value >= most
    }


def horizon(metrics: dict, name: str) -> float | None:
    """The longest valid time that a run can see, for a metric that is one; else None."""
    found = re.fullmatch(r"\w+_valid_time(_long|_noise\w+|_100traj)?", name)
    limit = "long_horizon_lyapunov" if found and found[1] == "_long" else "horizon_lyapunov"
    return metrics[limit]["value"] if found and limit in metrics else None


def own_run(env) -> str | None:
    """Name of the run whose page is being read."""
    return env.docname.removeprefix("runs/") if env.docname.startswith("runs/") else None


def number(value: float, form: str) -> str:
    """A number for prose: narrow unbreakable spaces, a real minus, powers of ten."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 and not form:
        value = int(value)
    form = form or (",d" if isinstance(value, int) else ".3g")
    text = format(value, form).replace(",", "\u202f")
    text = power(text)
    return "≥\u202f" * isinstance(value, AtLeast) + text.replace("-", "\u2212")


def interval(entry: dict, form: str) -> str:
    """The ends of an interval as text; those of too few values are called a range."""
    text = " to ".join(dict.fromkeys(number(entry[end], form) for end in ("low", "high")))
    return text if entry["level"] else f"range {text}"


class Linked(nodes.inline):
    """A word or number from results or ledger: in HTML a link to where it comes from."""


def visit_linked(self, node: Linked) -> None:
    """Begin the link, with what its card shows in attributes."""
    card = {f"data-{name}": node[name] for name in ("of", "is") if name in node}
    self.body.append(self.starttag(node, "a", "", href=node["href"], **card))


def depart_linked(self, node: Linked) -> None:
    """End the link."""
    self.body.append("</a>")


def in_full(entry: dict) -> str:
    """A metric with all digits, its interval, and what that is over."""
    if entry["value"] is None:
        return "none"
    unit = unit_in_words(entry.get("unit", "1"))
    text = "≥ " * isinstance(entry["value"], AtLeast) + repr(entry["value"])
    text += f" {unit}" if unit else ""
    n, over = entry.get("n", 1), entry.get("over")
    units = f"over {n} {over}" if over and n > 1 else f"of one {singular(over)}" if over else ""
    seeds = len(entry.get("by_seed") or [])
    if seeds > 1 and over != "seeds":
        units += f" and {seeds} seeds"
    if entry["low"] is None:
        return "; ".join(filter(None, [text, units or "no interval: one value"]))
    name = f"{entry['level']:.0%} interval" if entry["level"] else "range"
    ends = f"{float(entry['low']):.4g} to {float(entry['high']):.4g}"
    return f"{text}; {name} {ends} {units}".rstrip()


def unit_in_words(unit: str) -> str:
    """A metric's unit as text, empty for a pure number.

    Examples
    --------
    >>> unit_in_words("nats/token"), unit_in_words("1")
    ('nats per token', '')
    """
    known = {"1": "", "time": "units of time", "us": "µs", "state": "units of the state"}
    known |= {"1/time": "per unit of time", "nats/time": "nats per unit of time"}
    return known.get(unit, unit.replace("/", " per "))


def singular(units: str) -> str:
    """One of the units of a metric."""
    return {"batches": "batch", "trajectories": "trajectory"}.get(units, units.removesuffix("s"))


def place(env, preset: str, run: str, name: str) -> str:
    """The address, from the page being read, of the place that made a metric or had a parameter."""
    up = "../" * env.docname.count("/")
    if preset != PRESET:
        return f"{up}provenance.html#the-printed-settings"
    path = Path(env.srcdir) / "runs" / "places.json"
    env.note_dependency(str(path))
    found = parsed_json(path).get(run, {}).get(name, "") if path.exists() else ""
    return f"{up}runs/{run}.html" + (f"#{found}" if found else "")


def linked(
    env, text: str, preset: str, run: str, name: str, full: str, *, at: str | None = None
) -> Linked:
    """A number that leads to its run, and shows what it is."""
    href = place(env, preset, run, name if at is None else at)
    of = f"{run}:{name}" if preset == PRESET else f"{preset}/{run}:{name}"
    kind = ["result", "number"]
    return Linked(text, text, classes=kind, href=href, **{"of": of, "is": full})


class ResultRole(SphinxRole):
    """``{res}`[preset/]run:metric[.part][:format]```; without a run, the page's own."""

    def run(self):
        pattern = r"(?:(\w+)/)?(\w*):(\w+)(?:\.(low|high|level|interval))?(?::(.*))?"
        match = re.fullmatch(pattern, self.text.strip())
        try:
            if not match:
                raise LookupError("it is not of the form [preset/]run:metric[.part][:format]")
            preset, run, name, part, form = match.groups()
            preset, run = preset or PRESET, run or own_run(self.env)
            entry = Results(self.env).metric(preset, run, name)
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
            return [linked(self.env, text, preset, run, name, in_full(entry))], []
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
            return [linked(self.env, text, "paper", run, name, in_full(entry))], []
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
        preset, run = preset or PRESET, run or own_run(self.env)
        try:
            try:
                given = Results(self.env).load(preset, run)["parameters"][name]
            except NotRun:  # as declared, which is what the text speaks of
                text = number(load(preset, [run])[0].parameters[name], "")
                return [nodes.inline(text, text, classes=["result"])], []
            text, full = number(given, ""), f"{given!r}; a parameter of the run"
            return [linked(self.env, text, preset, run, name, full, at="")], []
        except LookupError as error:
            text = "?"
            if not STALE_ALLOWED:
                log.warning("parameter %r: %s", self.text, error, location=self.get_location())
        return [nodes.inline(text, text, classes=["result"])], []
