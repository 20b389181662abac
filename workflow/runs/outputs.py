"""What an executed notebook shows: its outputs, figures and exported models."""

from __future__ import annotations

import base64
import copy
import json
import re
from typing import Any

from workflow.errors import Refused
from workflow.runs.experiments import KERNEL, Run, number_cells, read_notebook

#: Type of the output in which a notebook exports its models; as in dynlib.report.playground,
#: whose import takes seconds.
MODELS = "application/vnd.companion.models+json"

#: Tags of cells that no page shows.
HELPERS = {"injected-parameters", "setup"}


def merged(run: Run, *, stale: bool = False) -> Any:
    """The source's cells, with the outputs of the executed notebook.

    The cells of a stale run are those that were executed, so outputs never follow code that did
    not make them.
    """
    import nbformat

    executed = nbformat.read(run.executed, as_version=4)
    source = copy.deepcopy(executed) if stale else read_notebook(run.source)
    for notebook in (source, executed):
        notebook.cells = [
            cell for cell in notebook.cells if not HELPERS & {*cell.metadata.get("tags", [])}
        ]
    code, outputs = (
        [cell for cell in notebook.cells if cell.cell_type == "code"]
        for notebook in (source, executed)
    )
    if len(outputs) != len(code):
        raise Refused(f"{run.executed} has other cells than its source; run {run.name} again")
    for cell, done in zip(code, outputs, strict=True):
        cell.outputs = [typeset(each) for each in done.outputs if not recorded(each)]
        cell.execution_count = done.execution_count
        if "metrics" in done.metadata:
            cell.metadata["metrics"] = done.metadata["metrics"]
        for each in done.outputs:  # a figure with its own name and caption
            if words := each.get("metadata", {}).get("figure"):
                name = f"fig-{run.name}-{words['name']}"
                cell.metadata["mystnb"] = {
                    "figure": {"name": name, "caption": words["caption"]},
                    "image": {"alt": words["alt"]},
                }
    return _named(source, run)


def unexecuted(run: Run) -> Any:
    """The source's cells alone."""
    return _named(read_notebook(run.source), run)


def _named(source: Any, run: Run) -> Any:
    """A notebook with the title and name of its run, and the metadata that pages need."""
    import nbformat

    number_cells(source)
    for cell in source.cells:
        cell.source = cell.source.replace("@run", run.name)
        if cell.source.startswith("# "):  # one notebook may serve several runs
            title = run.declaration.title
            title += " The run" if title.endswith("?") else ": the run"
            cell.source = re.sub("^# .*", f"# {title}", cell.source)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        for key, text in figure.items():
            figure[key] = text.replace("@run", run.name)
    language = {"name": "python"}
    source.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": language})
    return source


#: Digits of exponents.
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def recorded(output: Any) -> bool:
    """Whether an output is the entry that ``record.metric`` returns, at the end of a cell."""
    data = output.get("data", {})
    return set(data) == {"text/plain"} and data["text/plain"].startswith("{'value': ")


def power(text: str) -> str:
    """A number such as 2.1e-03 as pages write it; tenths to hundreds without a power of ten.

    Examples
    --------
    >>> power("2.1e-03"), power("4.8e+01"), power("7e-01"), power("0.25")
    ('2.1·10⁻³', '48', '0.7', '0.25')
    """
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    if -1 <= int(exponent) <= 2:
        digits = len(mantissa.lstrip("+-").replace(".", ""))
        return format(float(text), f".{max(0, digits - 1 - int(exponent))}f")
    return f"{mantissa}·10{str(int(exponent)).translate(RAISED)}"


def typeset(output: Any) -> Any:
    """A copy of an output with the numbers of a table as pages write them.

    They have a real minus and powers of ten, and an interval is ``(low to high)``.
    """

    def words(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("`"):  # code stays as it is
            return text
        text = re.sub(r"(?<![\w.])-?\d(?:\.\d+)?e[+-]\d+", lambda found: power(found[0]), text)
        text = re.sub(r"(?<![\w.-])-(?=\d)", "\u2212", text)
        return re.sub(r"\[([^][|]+), ([^][|]+)\]", "(\\1\u00a0to\u00a0\\2)", text)

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


def scene(notebook: Any) -> str | None:
    """The scene in three dimensions that a notebook shows, as HTML."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [output.get("data", {}).get("text/html", "") for output in outputs]
    return next((text for text in found if 'class="scene3d"' in text), None)


def models(notebook: Any) -> str | None:
    """The models that a notebook exports for a page to compute with, as JSON text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [data[MODELS] for output in outputs if MODELS in (data := output.get("data", {}))]
    return json.dumps(found[-1], allow_nan=False, separators=(",", ":")) if found else None


def on_dark(svg: str) -> str:
    """A figure in the style of the book, with neutral colours for a dark ground."""
    from dynlib.report.style import DARK  # which imports Matplotlib

    for light, dark in DARK.items():
        svg = svg.replace(light, dark)
    return svg
