"""Command line: ``python -m workflow COMMAND``; the make targets wrap it.

Exit codes: 0 done, 1 a run failed, 2 refused before a kernel started, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workflow.book.pdf import make_pdf
from workflow.book.readme import write_readme
from workflow.book.render import check_links, make_book
from workflow.carry.carry import carry
from workflow.cluster.bundle import bundle, unbundle
from workflow.cluster.engine import submit
from workflow.cluster.sweep import accept_seeds, points, read_grid, sweep
from workflow.cluster.wheels import wheels
from workflow.errors import Refused
from workflow.ledger.second import keep
from workflow.ledger.verify import verify
from workflow.runs.experiments import load
from workflow.runs.pairs import take_over, write_pairs
from workflow.runs.parameters import split_parameters
from workflow.runs.reference import accept
from workflow.runs.schedule import schedule
from workflow.runs.stamps import marks
from workflow.runs.status import status

#: Commands that read notebooks: edits of an .ipynb are first copied to its source.
EDITED = ("run", "cluster", "sweep", "book", "status", "verify", "accept", "bundle", "parameters")
#: Commands that take parameters.
OWN = ("run", "cluster", "sweep", "stamp")


def count(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from the command line, which refuses those below `least`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return read


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m workflow", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, text: str, runs: str | int = 0, *, preset: bool = True, **options: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if runs:
            some = "all runs by default" if runs == "*" else None
            command.add_argument("runs", nargs=runs, metavar="RUN", help=some)
        if preset:
            command.add_argument("--preset", help="smoke, cpu (default) or paper")
        if name in OWN:
            text = "replace a parameter; the outputs go to another folder"
            command.add_argument("-p", nargs=2, metavar=("NAME", "VALUE"), help=text)
        for option, words in options.items():
            kind: dict[str, Any] = {"type": int} if option == "cores" else {"action": "store_true"}
            command.add_argument(f"--{option.replace('_', '-')}", help=words, **kind)
        if name in ("run", "sweep"):
            text = "GPUs to use in all, without a profile; all by default"
            command.add_argument("--gpus", type=count(0), help=text)
            text = "runs that may share a GPU at once, without a profile; 1 by default"
            command.add_argument("--runs-per-gpu", type=count(1), default=1, help=text)
        return command

    cores, dry = "cores to use in all", "print what would be run"
    add("run", "execute runs that are not fresh", "*", cores=cores, force="run fresh ones too")
    text = "execute runs that are not fresh as jobs of a cluster"
    cluster = add("cluster", text, "*", dry_run=dry)
    text = "execute a run at every combination of -p NAME VALUE,VALUE and gather the results"
    accept = "make a finished sweep over seeds a reference"
    sweep = add("sweep", text, 1, cores=f"{cores}, without a profile", dry_run=dry, accept=accept)
    for command, default in ((cluster, "slurm"), (sweep, None)):
        text = "slurm, local, or a folder with a profile of your own"
        command.add_argument("--profile", default=default, help=text)
    text = "run what is not fresh, then render the book"
    add("book", text, cores=cores, allow_stale="render old runs too, under a banner")
    add("pdf", "print the rendered book to one PDF")
    add("links", "check the links of the staged book")
    add("status", "what is fresh, stale, missing or failed, and why", "*")
    text = "compare fresh runs with the committed reference"
    verify = add("verify", text, "*")
    words = "keep the runs beside the references, under this name of the machine that made them"
    verify.add_argument("--keep", metavar="MACHINE", help=words)
    verify.epilog = (
        "exit code: 0, all agree; 1, damage (a run that is not fresh, a metric that is new or "
        "gone, a computed number that moved); 3, only numbers that are drawn at random differ, "
        "by more than chance explains; 2, refused"
    )
    add("accept", "make fresh runs the reference", "+")
    text = "give results the present stamp where a short run proves them unchanged"
    carry = add("carry", text, "*", cores=cores)
    text = "metrics that have another name now; one * in both stands for the same text"
    carry.add_argument(
        "--rename", nargs="+", action="extend", default=[], metavar="OLD=NEW", help=text
    )
    add("bundle", "pack fresh runs into one archive, to carry them to another machine", "*")
    unbundle = add("unbundle", "put the runs of a bundle into this clone", preset=False)
    unbundle.add_argument("file", type=Path, metavar="FILE")
    text = "gather the wheels that a run needs on a machine with torch and without a network"
    add("wheels", text, preset=False).add_argument("--python", default="3.12", help="its Python")
    add("parameters", "what a run's notebook accepts", "+")
    add("stamp", "the checksums of what a run depends on, as JSON", 1)
    text = "bring the .py and the .ipynb of each notebook together"
    pairs = add("pairs", text, preset=False, strip="drop the outputs of an .ipynb")
    pairs.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="all by default")
    text = "overwrite the other half with this one"
    pairs.add_argument("--from", dest="half", choices=("py", "ipynb"), help=text)
    add("readme", "write the results table of the README", preset=False)
    return top


def show_parameters(preset: str, names: list[str]) -> str:
    """A line a parameter: name, type, value in the preset, what is allowed, help."""
    lines = []
    for run in load(preset, names):
        lines.append(f"{run.name} ({preset})")
        for name, each in run.declared.items():
            value = run.parameters[name]
            lines.append(f"  {name}: {each.type} = {value!r}  ({each.allowed}) {each.help}")
    return "\n".join(lines)


def carry_out(options: argparse.Namespace, own: dict[str, str]) -> tuple[str, int]:
    """What a command prints at its end, and its exit code."""
    if own and options.command not in OWN:
        raise Refused(f"{options.command} takes no parameters; {', '.join(OWN)} do")
    preset, runs = getattr(options, "preset", None) or "cpu", getattr(options, "runs", [])
    limits = {k: v for k, v in vars(options).items() if k in ("cores", "gpus", "runs_per_gpu")}
    if options.command in EDITED:
        take_over(runs, stop=options.command != "status")
    match options.command:
        case "run":
            loaded = load(preset, runs, own)
            code = schedule(loaded, force=options.force, **limits)
            paths = ", ".join(os.path.relpath(run.results) for run in loaded)
            return f"results: {paths}" if own and code == 0 else "", code
        case "cluster":
            return "", submit(load(preset, runs, own), options.profile, dry_run=options.dry_run)
        case "sweep" if options.accept:
            return accept_seeds(points(preset, runs[0], read_grid(own))), 0
        case "sweep":
            code = sweep(
                preset, runs[0], own,
                profile=options.profile, dry_run=options.dry_run, **limits,
            )  # fmt: skip
            return "", code
        case "book":
            return "", make_book(preset, cores=options.cores, allow_stale=options.allow_stale)
        case "pdf":
            return f"the PDF is at {os.path.relpath(make_pdf(preset))}", 0
        case "links":
            return "", check_links(preset)
        case "status":
            return status(options.preset, runs), 0
        case "verify" if options.keep is not None:
            return keep(preset, runs, options.keep), 0
        case "verify":
            return verify(preset, runs)
        case "accept":
            return accept(preset, runs), 0
        case "carry":
            return carry(options.preset, runs, options.cores, options.rename)
        case "bundle":
            return bundle(preset, runs), 0
        case "unbundle":
            return unbundle(options.file), 0
        case "wheels":
            return wheels(options.python), 0
        case "stamp":
            return json.dumps(marks(load(preset, runs, own)[0])), 0
        case "parameters":
            return show_parameters(preset, runs), 0
        case "pairs":
            done = write_pairs(options.notebooks, half=options.half, strip=options.strip)
            return "" if done else "all pairs are up to date", 0
    return write_readme(), 0


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command and return its exit code."""
    try:
        own, rest = split_parameters(sys.argv[1:] if arguments is None else arguments)
        text, code = carry_out(parser().parse_args(rest), own)
        if text:
            print(text, flush=True)
        return code
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full or read-only disk; what is finished is not touched
        place = f" {error.filename}:" if error.filename else ""
        print(
            f"stopped:{place} {error.strerror or error}; what is finished is kept; fix this and "
            "give the same command again",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack characters that we print
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
