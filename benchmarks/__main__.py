"""Ten minutes on two quiet cores. The rows and curves go to ``results/bench.json``, subject by
subject, beside what ``make gpu-check`` has measured on a card.

``make bench ONLY=transport`` (or several subjects, in quotes) measures these alone, and replaces
only their rows. Two subjects take half an hour each, and are measured only by name: ``learning``
and ``book``. ``--long`` adds what does not fit into ten minutes. ``--tiny`` goes through every
line with tiny sizes; its figures mean nothing, and are kept only with ``--out``.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib
import platform
import sys
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.compare import Bench, keep, kept, row
from dynlib.training import parallel
from workflow.files import ROOT, commit, is_dirty
from workflow.runs.execute import machine

FILE = ROOT / "results" / "bench.json"

#: The modules of this folder that compare something, in the order of the page.
SUBJECTS = (
    "trajectories", "tokenising", "counting", "training", "generation", "transport", "shadowing",
    "exponents", "levenberg", "inference", "hankel", "bestfit", "leads", "forecasts", "learning",
    "book",
)  # fmt: skip
#: Those that take half an hour each, and are measured only where they are named.
APART = ("learning", "book")
LIBRARIES = ("numpy", "scipy", "numba", "torch", "transformers", "pot", "pysindy", "pydmd")


def threads() -> int:
    """The most threads that a library of this process may use."""
    pools = [each["num_threads"] for each in threadpool_info()]
    return max(torch.get_num_threads(), *pools)


@cache
def code_and_machine() -> dict[str, Any]:
    """What is measured, and where."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "commit": commit(),
        "dirty": is_dirty(),
    }


def described() -> dict[str, Any]:
    """Where, with what and when a subject is measured."""
    return code_and_machine() | {
        "threads": threads(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def measured(
    subject: str, *, tiny: bool = False, long: bool = False
) -> tuple[Bench, dict[str, Any]]:
    """The rows and curves of a subject on one thread, and how they were measured.

    Where a comparison fails, such as one whose sides differ, a row says so in its place.
    """
    module = importlib.import_module(f"benchmarks.{subject}")
    bench = Bench(subject, tiny, long)
    parallel.set_threads(1)
    with threadpool_limits(1):
        facts, start = described(), time.perf_counter()
        try:
            module.measure(bench)
        except Exception as error:
            words = " ".join(f"not measured: {type(error).__name__}: {error}".split())
            bench.rows.append(
                row(subject, "", [], None, words)
                | {"subject": subject, "limit": "", "level": None, "turns": 0, "seconds": None}
            )
            facts["failed"] = words
            print(f"{subject}: {words}", file=sys.stderr, flush=True)
    facts["seconds"] = time.perf_counter() - start
    gc.collect()
    return bench, facts


def merged(content: dict[str, Any], bench: Bench, facts: dict[str, Any]) -> dict[str, Any]:
    """What a file holds after a subject was measured: its rows and curves are replaced."""
    new: dict[str, Any] = {
        name: facts[name] for name in ("machine", "threads", "commit", "date")
    } | {"subjects": content.get("subjects", {}) | {bench.subject: facts}}
    new["subjects"] = {name: new["subjects"][name] for name in SUBJECTS if name in new["subjects"]}
    for kind, found in (("rows", bench.rows), ("curves", bench.curves)):
        others = [each for each in content.get(kind, []) if each["subject"] != bench.subject]
        new[kind] = sorted(
            (each for each in [*others, *found] if each["subject"] in SUBJECTS),
            key=lambda each: SUBJECTS.index(each["subject"]),
        )
    return new


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and keep; 1 if a comparison failed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--long", action="store_true", help="also what takes many minutes")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try every line")
    parser.add_argument("--out", type=Path, help=f"{FILE.relative_to(ROOT)} unless --tiny")
    options = parser.parse_args(arguments)
    if unknown := sorted({*options.subjects} - {*SUBJECTS}):
        parser.error(f"no subject {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    out = options.out or (None if options.tiny else FILE)
    failed, start = [], time.perf_counter()
    usual = [name for name in SUBJECTS if name not in APART]
    for subject in options.subjects or usual:
        print(f"\n{subject}", flush=True)
        bench, facts = measured(subject, tiny=options.tiny, long=options.long)
        failed += [subject] if "failed" in facts else []
        if out:  # at once: what is measured stays, whatever happens to the rest
            keep(out, merged(kept(out), bench, facts))
    print(
        f"\n{time.perf_counter() - start:.0f} s" + f"; failed: {', '.join(failed)}" * bool(failed)
    )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
