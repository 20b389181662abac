"""Stage the book: its pages, the executed notebooks, results and figures, in one tree.

The staged tree ``build/<preset>/book`` holds the pages of ``book/``, one notebook a run under
``runs/`` (markdown from the source, outputs from the execution, so that an edit of prose
needs no new run), the results, and the figures of the runs for other pages to show.
"""

from __future__ import annotations

import base64
import copy
import filecmp
import json
import re
import shutil
from pathlib import Path
from typing import Any

from dynlib.plots import DARK
from workflow.execute import write_whole
from workflow.experiments import ROOT, Refused, Run, read_notebook
from workflow.integrity import read_reference
from workflow.status import readable
from workflow.thumbnail import thumbnail

BANNERS = {
    "smoke": (
        "```{warning}\nThis book was built at the `smoke` preset, which only proves the plumbing: "
        "quote none of its numbers.\n```\n"
    ),
}

#: Type of the output in which a notebook exports its models; as in dynlib.playground, whose import
#: takes seconds.
MODELS = "application/vnd.companion.models+json"

#: The figure of the first page, from which the book's thumbnail is made.
HOME = "fig-henon_tokens-density.svg"

NO_FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="360" height="40">'
    '<text x="10" y="25" fill="#808080" font-family="sans-serif">This figure has not been made.'
    "</text></svg>"
)


def merged(run: Run, *, stale: bool = False) -> Any:
    """The source's cells, with the outputs of the executed notebook.

    Of a stale run the cells are those that were executed: outputs never stand below code that
    did not make them.
    """
    import nbformat

    executed = nbformat.read(run.executed, as_version=4)
    source = copy.deepcopy(executed) if stale else read_notebook(run.source)
    source.cells = [
        cell for cell in source.cells if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    outputs = [
        cell
        for cell in executed.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    if len(outputs) != len(code):
        raise Refused(f"{run.executed} has other cells than its source; run {run.name} again")
    for cell, done in zip(code, outputs, strict=True):
        cell.outputs = [typeset(each) for each in done.outputs if not recorded(each)]
        cell.execution_count = done.execution_count
    for number, cell in enumerate(source.cells):
        cell["id"] = f"cell-{number:03d}"
        cell.source = cell.source.replace("@run", run.name)
        if cell.source.startswith("# "):  # one notebook may serve several runs
            cell.source = re.sub("^# .*", f"# {run.title}: the run", cell.source)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        for key, text in figure.items():
            figure[key] = text.replace("@run", run.name)
    source.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    source.nbformat, source.nbformat_minor = 4, 5
    return source


def recorded(output: Any) -> bool:
    """Whether an output is the entry that ``record.metric`` returns, at the end of a cell."""
    data = output.get("data", {})
    return set(data) == {"text/plain"} and data["text/plain"].startswith("{'value': ")


def typeset(output: Any) -> Any:
    """A copy of an output; in a table numbers have a real minus, and no interval is broken."""

    def words(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("`"):  # code stays as it is
            return text
        text = re.sub(r"(?<![\w.-])-(?=\d)|(?<=\de)-(?=\d)", "\u2212", text)
        return re.sub(r"\[([^][|]+), ([^][|]+)\]", "[\\1,\u00a0\\2]", text)

    output = copy.deepcopy(output)
    if table := output.get("data", {}).get("text/markdown"):
        output["data"]["text/markdown"] = re.sub("`[^`]*`|[^`]+", words, table)
    return output


def figures(notebook: Any) -> dict[str, bytes]:
    """Named figures of a notebook: file name -> content."""
    found = {}
    for cell in notebook.cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []) if name else []:
            data = output.get("data", {})
            if "image/svg+xml" in data:
                found[f"{name}.svg"] = data["image/svg+xml"].encode()
            elif "image/png" in data:
                found[f"{name}.png"] = base64.b64decode(data["image/png"])
    return found


def models(notebook: Any) -> str | None:
    """The models that a notebook exports for a page to compute with, as JSON text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [data[MODELS] for output in outputs if MODELS in (data := output.get("data", {}))]
    return json.dumps(found[-1], allow_nan=False, separators=(",", ":")) if found else None


def on_dark(svg: str) -> str:
    """A figure in the house's style, its neutral colours swapped for a dark ground."""
    for light, dark in DARK.items():
        svg = svg.replace(light, dark)
    return svg


def stage(preset: str, runs: list[Run], stale: dict[str, str]) -> Path:
    """Write the staged tree and return its folder."""
    import nbformat

    target = ROOT / "build" / preset / "book"
    part = target.with_name("book.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(ROOT / "book", part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_config.yml", part / "_config.yml")
    (part / "runs").mkdir(exist_ok=True)
    notebooks = {run.name: run.notebook for run in runs}
    (part / "runs" / "notebooks.json").write_text(json.dumps(notebooks), encoding="utf-8")
    for run in runs:
        if not readable(run):
            why = stale.get(run.name, "missing")
            text = f"# {run.title}\n\nThis run has not been made: {why}."
            empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
            nbformat.write(empty, part / "runs" / f"{run.name}.ipynb")
            continue
        notebook = merged(run, stale=run.name in stale)
        first = notebook.cells[0]
        title, _, rest = first.source.partition("\n")
        banner = BANNERS.get(preset, "")
        if run.name in stale:
            banner += f"```{{warning}}\nThis page is out of date: {stale[run.name]}.\n```\n"
        card = f"```{{run-card}} {run.name}\n```\n"
        first.source = f"{title}\n\n{banner}{card}\n{rest}"
        nbformat.write(notebook, part / "runs" / f"{run.name}.ipynb")
        for name, content in figures(notebook).items():
            place = part / "figures" / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
        if exported := models(notebook):
            (part / "assets" / "playground" / f"{run.name}.json").write_text(
                exported, encoding="utf-8"
            )
        results = part / "results" / preset
        results.mkdir(parents=True, exist_ok=True)
        shutil.copy(run.results, results)
    for reference in references():
        place = part / "results" / reference.parent.name / reference.name
        if reference.parent.name != preset and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(reference, place)
    for picture in sorted((ROOT / "results" / "paper").glob("*.svg")):  # of the printed setting
        if not picture.stem.endswith(".dark"):
            shutil.copy(picture, part / "figures" / f"paper-{picture.name}")
    if stale:
        pages = "".join(page.read_text(encoding="utf-8") for page in part.rglob("*.md"))
        for name in set(re.findall(r"/figures/([\w.-]+\.svg)", pages)):
            if not (part / "figures" / name).exists():
                write_whole(part / "figures" / name, NO_FIGURE)
    density = part / "figures" / HOME
    if density.exists():
        (part / "assets" / "thumbnail.png").write_bytes(
            thumbnail(density.read_text(encoding="utf-8"))
        )
    for name in ("index.md", "ledger.md") if preset in BANNERS else ():
        title, _, rest = (part / name).read_text(encoding="utf-8").partition("\n")
        (part / name).write_text(f"{title}\n\n{BANNERS[preset]}\n{rest}", encoding="utf-8")
    for path in part.rglob("*"):  # what has not changed is no newer than it was
        before = target / path.relative_to(part)
        if path.is_file() and before.is_file() and filecmp.cmp(path, before, shallow=False):
            shutil.copystat(before, path)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return target


def references() -> list[Path]:
    """The committed references, all of them whole."""
    found = sorted((ROOT / "results").glob("*/*.json"))
    for path in found:
        read_reference(path)
    return found
