"""Command line: ``python -m workflow COMMAND``; the make targets wrap it.

Exit codes: 0 done, 1 a run failed, 2 refused before a kernel started, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from workflow.errors import Refused
from workflow.runs.experiments import load
from workflow.runs.parameters import shown

#: Commands that read notebooks: edits of an .ipynb are first taken over into its source.
EDITED = ("run", "cluster", "sweep", "book", "status", "verify", "accept", "bundle", "parameters")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m workflow", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, runs: str | None = "*") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if runs:
            command.add_argument("runs", nargs=runs, metavar="RUN", help="all runs by default")
        command.add_argument("--preset", help="smoke, cpu (default) or paper")
        return command

    run = add("run", "execute runs that are not fresh")
    run.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        dest="parameters", help="replace a parameter; the outputs then go to a folder apart",
    )  # fmt: skip
    run.add_argument("--force", action="store_true", help="run fresh ones too")
    run.add_argument("--cores", type=int, help="cores to use in all")
    cluster = add("cluster", "execute runs that are not fresh as jobs of a cluster")
    sweep = add("sweep", "execute a run at every point of a grid and gather the results", runs=None)
    sweep.add_argument("base", metavar="RUN", help="a run, or the notebook of one run alone")
    sweep.add_argument("grid", metavar="GRID", help='such as "n_cells=20,35 seed=0,1,2"')
    sweep.add_argument("--cores", type=int, help="cores to use in all, without a profile")
    sweep.add_argument(
        "--accept", action="store_true", help="make a finished sweep over seeds a reference"
    )
    for command in (cluster, sweep):
        command.add_argument(
            "--profile", default="slurm" if command is cluster else None,
            help="slurm, kubernetes, local, or a folder with a profile of your own",
        )  # fmt: skip
        command.add_argument("--dry-run", action="store_true", help="say what would be run")
    book = add("book", "run what is not fresh, then render the book", runs=None)
    book.add_argument("--cores", type=int, help="cores to use in all")
    book.add_argument(
        "--allow-stale", action="store_true", help="render old runs too, under a banner"
    )
    add("pdf", "print the rendered book to one PDF", runs=None)
    add("links", "ask whether the links of the staged book lead somewhere", runs=None)
    add("status", "what is fresh, stale, missing or failed, and why", runs=None)
    add("verify", "compare fresh runs with the committed reference")
    add("accept", "make fresh runs the reference", runs="+")
    carry = add("carry", "give results the present stamp where a short run proves them unchanged")
    carry.add_argument("--cores", type=int, help="cores to use in all")
    carry.add_argument(
        "--rename", nargs="+", action="extend", default=[], metavar="OLD=NEW",
        help="metrics that have another name now; one * in both stands for the same text",
    )  # fmt: skip
    add("bundle", "pack fresh runs into one archive, to carry them to another machine")
    unbundle = commands.add_parser("unbundle", help="put the runs of a bundle into this clone")
    unbundle.add_argument("file", type=Path, metavar="FILE")
    add("parameters", "what a run's notebook accepts", runs="+")
    stamp = add("stamp", "the checksums of what a run depends on, as JSON", runs=None)
    stamp.add_argument("run", metavar="RUN")
    text = "bring the .py and the .ipynb of each notebook together"
    pairs = commands.add_parser("pairs", help=text, description=text)
    pairs.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="all by default")
    pairs.add_argument(
        "--from", dest="half", choices=("py", "ipynb"),
        help="write the other half from this one, whatever that holds",
    )  # fmt: skip
    pairs.add_argument("--strip", action="store_true", help="drop the outputs of an .ipynb")
    commands.add_parser("readme", help="write the results table of the README")
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


def split_parameters(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """The parameters of ``-p NAME VALUE``, and the other arguments.

    They are taken out before argparse sees them, which reads a value like ``-1e-3`` as an option.
    """
    own: dict[str, str] = {}
    rest = []
    given = iter(arguments)
    for argument in given:
        if argument != "-p":
            rest.append(argument)
            continue
        name, value = next(given, None), next(given, None)
        if value is None or name is None:
            raise Refused(f"-p takes a name and a value, got only {name!r}")
        if name in own:
            raise Refused(f"parameter {shown(name)} is given twice")
        own[name] = value
    return own, rest


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        own, rest = (
            split_parameters(arguments)
            if arguments[:1] in (["run"], ["stamp"])
            else ({}, arguments)
        )
        options = parser().parse_args(rest)
        preset = getattr(options, "preset", None) or "cpu"
        if options.command in EDITED:
            from workflow.runs.pairs import take_over

            runs = getattr(options, "runs", []) or [*filter(None, [getattr(options, "base", "")])]
            take_over(runs, stop=options.command != "status")
        match options.command:
            case "run":
                from workflow.runs.schedule import schedule

                runs = load(preset, options.runs or None, own)
                code = schedule(runs, force=options.force, cores=options.cores)
                if own and code == 0:
                    print("results:", ", ".join(os.path.relpath(run.results) for run in runs))
                return code
            case "cluster":
                from workflow.cluster.engine import submit

                runs = load(preset, options.runs or None)
                return submit(runs, options.profile, dry_run=options.dry_run)
            case "sweep":
                from workflow.cluster.sweep import base_run, points, read_grid, sweep

                if options.accept:
                    from workflow.cluster.sweep_reference import accept_seeds

                    grid = read_grid(options.grid)
                    print(accept_seeds(points(preset, base_run(options.base), grid)))
                    return 0
                return sweep(
                    preset, options.base, options.grid,
                    profile=options.profile, dry_run=options.dry_run, cores=options.cores,
                )  # fmt: skip
            case "book":
                from workflow.book.render import make_book

                return make_book(preset, cores=options.cores, allow_stale=options.allow_stale)
            case "pdf":
                from workflow.book.pdf import make_pdf

                print(f"the PDF is at {os.path.relpath(make_pdf(preset))}")
            case "links":
                from workflow.book.render import check_links

                return check_links(preset)
            case "status":
                from workflow.runs.status import status

                print(status(options.preset))
            case "verify":
                from workflow.runs.reference import verify

                text, code = verify(preset, options.runs)
                print(text)
                return code
            case "accept":
                from workflow.runs.reference import accept

                print(accept(preset, options.runs))
            case "carry":
                from workflow.carry.carry import carry

                text, code = carry(options.preset, options.runs, options.cores, options.rename)
                print(text)
                return code
            case "bundle":
                from workflow.cluster.bundle import bundle

                print(bundle(preset, options.runs))
            case "unbundle":
                from workflow.cluster.bundle import unbundle

                print(unbundle(options.file))
            case "stamp":
                from workflow.runs.stamps import marks

                (run,) = load(preset, [options.run], own)
                print(json.dumps(marks(run)))
            case "parameters":
                print(show_parameters(preset, options.runs))
            case "pairs":
                from workflow.runs.pairs import write_pairs

                said = False
                for line in write_pairs(options.notebooks, half=options.half, strip=options.strip):
                    said = True
                    print(line, flush=True)
                if not said:
                    print("all pairs are up to date")
            case "readme":
                from workflow.book.readme import write_readme

                print(write_readme())
        return 0
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
            f"stopped:{place} {error.strerror or error}; what is finished is kept, mend this and "
            "give the same command again",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack characters that we print
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
