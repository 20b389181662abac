"""Command line: ``python -m workflow COMMAND``; the make targets wrap it.

Exit codes: 0 done, 1 a run failed, 2 refused before a kernel started, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys

from workflow.experiments import Refused, load


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
    add("parameters", "what a run's notebook accepts", runs="+")
    commands.add_parser("pairs", help="write the .ipynb beside every notebook's source")
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


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command and return its exit code."""
    options = parser().parse_args(arguments)
    preset = getattr(options, "preset", None) or "cpu"
    try:
        match options.command:
            case "run":
                from workflow.schedule import schedule

                own = dict(options.parameters)
                runs = load(preset, options.runs or None, own)
                pairs = [f"{name}={value}" for name, value in own.items()]
                code = schedule(runs, own=pairs, force=options.force, cores=options.cores)
                if own and code == 0:
                    print("results:", ", ".join(os.path.relpath(run.results) for run in runs))
                return code
            case "book":
                from workflow.book import make_book

                return make_book(preset, cores=options.cores, allow_stale=options.allow_stale)
            case "pdf":
                from workflow.pdf import make_pdf

                print(f"the PDF is at {os.path.relpath(make_pdf(preset))}")
            case "links":
                from workflow.book import check_links

                return check_links(preset)
            case "status":
                from workflow.status import status

                print(status(options.preset))
            case "verify":
                from workflow.reference import verify

                text, code = verify(preset, options.runs)
                print(text)
                return code
            case "accept":
                from workflow.reference import accept

                print(accept(preset, options.runs))
            case "parameters":
                print(show_parameters(preset, options.runs))
            case "pairs":
                from workflow.pairs import write_pairs

                print("\n".join(write_pairs()) or "all pairs are up to date")
            case "readme":
                from workflow.readme import write_readme

                print(write_readme())
        return 0
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
