"""Stage the book: its pages, the executed notebooks, results and figures, in one tree.

The staged tree ``build/<preset>/book`` holds the pages of ``book/``, one notebook a run under
``runs/`` (markdown from the source, outputs from the execution, so that an edit of prose
needs no new run), the results, and the figures of the runs for other pages to show.

Pages quote ``results/<preset>``: the committed reference of a run, as the README does, and where
there is none (as at the smoke preset) what was made here. What was made here is
``results/build``, with which the pages compare.
"""

from __future__ import annotations

import filecmp
import json
import re
import shutil
from pathlib import Path
from typing import Any

from workflow.book.given import again, table, with_values
from workflow.book.thumbnail import thumbnail
from workflow.files import ROOT, blame, write_whole
from workflow.ledger.claims import read_claims
from workflow.ledger.history import criteria
from workflow.ledger.ledger import as_csv, as_json, ledger
from workflow.runs.experiments import Run, number_cells
from workflow.runs.integrity import read_reference
from workflow.runs.outputs import figures, merged, models, scene, unexecuted
from workflow.runs.status import SHOWN, readable, state

SMOKE = (
    "```{warning}\nThis book was built at the `smoke` preset, which only proves the plumbing: "
    "quote none of its numbers.\n```\n"
)

#: What the page of an optional run says that was not made for this book.
OPTIONAL = (
    "```{{note}}\nThis run is optional, and was not made for this book: no cell below has an "
    "output. {numbers} To make it: `make run RUN={run} PRESET={preset}`.\n```\n"
)
FROM_REFERENCE = "Its numbers, here and on other pages, come from its committed reference."

#: The figure of the first page, from which the book's thumbnail is made.
HOME = "fig-henon_tokens-density.svg"

#: How the names of figures begin that pages draw while they are read.
DRAWN = ("fig-drawn-", "fig-speed-")

#: A place on a page to which a number leads.
PLACE = '<div class="made" id="{}"></div>\n\n'

NO_FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="360" height="40">'
    '<text x="10" y="25" fill="#808080" font-family="sans-serif">This figure has not been made.'
    "</text></svg>"
)


def stage(preset: str, runs: list[Run], stale: dict[str, str]) -> Path:
    """Write the staged tree and return its folder.

    For an optional run that is not fresh, its committed reference stands, if there is one.
    """
    import nbformat

    target = ROOT / "build" / preset / "book"
    part = target.with_name("book.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(ROOT / "book", part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, part / name)
    notebooks = {run.name: run.notebook for run in runs}
    places: dict[str, dict[str, str]] = {}
    write_whole(part / "runs" / "notebooks.json", json.dumps(notebooks))
    absent = []  # optional runs
    for run in runs:
        results = run.results
        if run.declaration.optional and state(run)[0] != "fresh":
            absent.append(run)
            results = run.reference
        elif not readable(run):
            why = stale.get(run.name, "missing")
            text = f"# {run.declaration.title}\n\nThis run has not been made: {why}."
            empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
            number_cells(empty)
            nbformat.write(empty, part / "runs" / f"{run.name}.ipynb")
            continue
        notebook = unexecuted(run) if run in absent else merged(run, stale=run.name in stale)
        first = notebook.cells[0]
        title, _, rest = first.source.partition("\n")
        banner = SMOKE if preset == "smoke" else ""
        if run.name in stale:
            banner += f"```{{warning}}\n{out_of_date(stale[run.name])}\n```\n"
        if run in absent:
            numbers = FROM_REFERENCE if results.exists() else ""
            banner += OPTIONAL.format(numbers=numbers, run=run.name, preset=preset)
        card, given, command = "", run.parameters, ""
        if results.exists():
            card = f"```{{run-card}} {run.name}\n```\n"
            content = json.loads(results.read_bytes())
            given, command = content["parameters"], again(run, content)
        if like := run.declaration.like:
            card += (
                f":::{{container}} short\nThe notebook is that of [{like}]({like}.ipynb), with "
                "other parameters. Its text and its code stand there.\n:::\n"
            )
        first.source = f"{title}\n\n{banner}{card}\n{rest}"
        for number, cell in enumerate(notebook.cells):
            if "parameters" in cell.metadata.get("tags", []):
                text = f"{table(run, given)}\n{command}"
                words = nbformat.v4.new_markdown_cell(PLACE.format("given") + text)
                cell.source = with_values(cell.source, given)
                notebook.cells.insert(number, words)
                break
        places[run.name] = {"": "given"} | mark_places(notebook)
        number_cells(notebook)
        nbformat.write(notebook, part / "runs" / f"{run.name}.ipynb")
        for name, content in figures(notebook).items():
            write_whole(part / "figures" / name, content)
        if shown := scene(notebook):
            write_whole(part / "scenes" / f"{run.name}.html", shown)
        if exported := models(notebook):
            write_whole(part / "assets" / "playground" / f"{run.name}.json", exported)
        picture = run.reference.with_suffix(".svg")
        if run in absent and picture.exists():
            name = f"fig-{run.name}-{run.declaration.picture}.svg"
            write_whole(part / "figures" / name, picture.read_bytes())
        if run not in absent:
            for folder in (preset, "build"):
                write_whole(part / "results" / folder / run.results.name, run.results.read_bytes())
    history = criteria(blame(ROOT / "book" / "claims.yml"))
    write_whole(part / "criteria.json", json.dumps(history))
    write_whole(part / "runs" / "places.json", json.dumps(places))
    for reference in references():  # in place of what was made here
        place = part / "results" / reference.parent.name / reference.name
        write_whole(place, reference.read_bytes())
    if (bench := ROOT / "results" / "bench.json").exists():
        write_whole(part / "results" / bench.name, bench.read_bytes())
    for picture in sorted((ROOT / "results" / "paper").glob("*.svg")):  # of the printed setting
        if not picture.stem.endswith(".dark"):
            write_whole(part / "figures" / f"paper-{picture.name}", picture.read_bytes())
    missing = "" if stale else "|".join(f"fig-{run.name}-" for run in absent)
    if stale or absent:
        pages = "".join(page.read_text(encoding="utf-8") for page in part.rglob("*.md"))
        for name in set(re.findall(rf"/figures/((?:{missing})[\w.-]+\.svg)", pages)):
            if not (part / "figures" / name).exists():
                write_whole(part / "figures" / name, NO_FIGURE)
    home = part / "figures" / HOME
    if home.exists():
        image = thumbnail(home.read_text(encoding="utf-8"))
        write_whole(part / "assets" / "thumbnail.png", image)
    for name in ("index.md", "ledger.md") if preset == "smoke" else ():
        title, _, rest = (part / name).read_text(encoding="utf-8").partition("\n")
        (part / name).write_text(f"{title}\n\n{SMOKE}\n{rest}", encoding="utf-8")
    if (part / "claims.yml").exists():
        write_ledger(preset, part)
    for path in drawn(target):
        if not (made := part / path.relative_to(target)).exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, made)
    for path in part.rglob("*"):  # what has not changed is no newer than it was
        before = target / path.relative_to(part)
        if path.is_file() and before.is_file() and filecmp.cmp(path, before, shallow=False):
            shutil.copystat(before, path)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return target


def out_of_date(why: str) -> str:
    """What a page says of its run: its state, and why it is not fresh."""
    words = f"stale {SHOWN}"
    if why.startswith(words):
        return (
            "The code that draws this page has changed since the run "
            f"({why.removeprefix(words)}). Its numbers are current; tables and figures may look "
            "different."
        )
    return f"This page is out of date: {why}."


def drawn(staged: Path) -> list[Path]:
    """Figures in a staged tree that its pages draw while they are read."""
    return [path for kind in DRAWN for path in sorted((staged / "figures").glob(f"{kind}*.svg"))]


def write_ledger(preset: str, staged: Path) -> None:
    """The ledger as ledger.json and ledger.csv, beside its page and in ``build/<preset>``."""

    def metrics(which: str, run: str, name: str) -> dict[str, Any]:
        path = staged / "results" / which / f"{run}.json"
        if not path.exists():
            raise LookupError(f"there are no {which} results of {run}")
        return json.loads(path.read_text(encoding="utf-8"))["metrics"][name]

    entries = ledger(read_claims(staged / "claims.yml"), metrics, preset)
    for name, text in (("ledger.json", as_json(entries, preset)), ("ledger.csv", as_csv(entries))):
        write_whole(staged / name, text)
        write_whole(ROOT / "build" / preset / name, text)


def mark_places(notebook: Any) -> dict[str, str]:
    """Put a place before each cell that recorded metrics; the name of the place of each metric."""
    import nbformat

    places: dict[str, str] = {}
    for number, cell in reversed(list(enumerate(notebook.cells))):
        if names := cell.metadata.pop("metrics", []):
            place = f"made-{number}"
            places |= dict.fromkeys(names, place)
            notebook.cells.insert(number, nbformat.v4.new_markdown_cell(PLACE.format(place)))
    return places


def references() -> list[Path]:
    """The committed references, after a check that none is damaged."""
    found = sorted((ROOT / "results").glob("*/*.json"))
    for path in found:
        read_reference(path)
    return found
