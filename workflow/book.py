"""Stage the book from its pages, the executed notebooks and the results, and render it.

The staged tree ``build/<preset>/book`` holds the pages of ``book/``, one notebook a run under
``runs/`` (markdown from the source, outputs from the execution, so that an edit of prose
needs no new run), the results, and the figures of the runs for other pages to show.
"""

from __future__ import annotations

import base64
import copy
import filecmp
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from dynlib.plots import DARK
from workflow.claims import read_claims
from workflow.execute import hold, write_whole
from workflow.experiments import ROOT, Refused, Run, load
from workflow.integrity import read_reference
from workflow.ledger import as_csv, as_json, ledger
from workflow.schedule import schedule
from workflow.status import readable, state
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

#: Modules of the workflow that say what a page says.
MACHINERY = ("book", "claims", "expressions", "ledger", "provenance", "thumbnail")

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
    import jupytext
    import nbformat

    executed = nbformat.read(run.executed, as_version=4)
    source = copy.deepcopy(executed) if stale else jupytext.read(run.source)
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
    (part / "runs" / "notebooks.json").write_text(json.dumps(notebooks))
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
            (part / "assets" / "playground" / f"{run.name}.json").write_text(exported)
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
        pages = "".join(page.read_text() for page in part.rglob("*.md"))
        for name in set(re.findall(r"/figures/([\w.-]+\.svg)", pages)):
            if not (part / "figures" / name).exists():
                write_whole(part / "figures" / name, NO_FIGURE)
    density = part / "figures" / HOME
    if density.exists():
        (part / "assets" / "thumbnail.png").write_bytes(thumbnail(density.read_text()))
    for name in ("index.md", "ledger.md") if preset in BANNERS else ():
        title, _, rest = (part / name).read_text().partition("\n")
        (part / name).write_text(f"{title}\n\n{BANNERS[preset]}\n{rest}")
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


def write_ledger(preset: str, staged: Path) -> None:
    """The ledger as ledger.json and ledger.csv, beside its page and in ``build/<preset>``."""

    def metrics(which: str, run: str, name: str) -> dict[str, Any]:
        path = staged / "results" / which / f"{run}.json"
        if not path.exists():
            raise LookupError(f"there are no {which} results of {run}")
        return json.loads(path.read_text())["metrics"][name]

    entries = ledger(read_claims(staged / "claims.yml"), metrics, preset)
    for name, text in (("ledger.json", as_json(entries, preset)), ("ledger.csv", as_csv(entries))):
        write_whole(staged / name, text)
        write_whole(ROOT / "build" / preset / name, text)


def checksums(staged: Path) -> dict[str, str]:
    """Checksum of every file that the rendered book depends on, by its path; and the Python."""
    library = [*(ROOT / "dynlib").rglob("*.py"), ROOT / "requirements.lock"]
    machinery = [ROOT / "workflow" / f"{name}.py" for name in MACHINERY]
    return {"python": sys.version} | {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*staged.rglob("*"), *library, *machinery])
        if path.is_file() and "__pycache__" not in path.parts
    }


def jupyter_book(
    preset: str,
    staged: Path,
    output: Path,
    *options: str,
    log: Path,
    lock: TextIO | None = None,
    allow_stale: bool = False,
) -> int:
    """Call Jupyter Book on a staged tree, its words to a file.

    The process that renders dies with this one, and holds `lock` until it has.
    """
    command = [
        sys.executable, "-c",
        f"from workflow.execute import die_with; die_with({os.getpid()}); "
        "from jupyter_book.cli.main import main; main()",
        "build", str(staged),
        "--config", str(staged / "_config.yml"), "--path-output", str(output),
        "-q", *options,
    ]  # fmt: skip
    environment = os.environ | {
        "COMPANION_PRESET": preset,
        "COMPANION_ALLOW_STALE": str(int(allow_stale)),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        return subprocess.call(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()] if lock else [],
        )  # fmt: skip


def check_links(preset: str) -> int:
    """Ask every link of the staged book, print those that lead nowhere; exit code 1 if any."""
    folder = ROOT / "build" / preset
    staged, output = folder / "book", folder / "links"
    if not staged.exists():
        raise Refused(f"there is no staged {preset} book; make book PRESET={preset} first")
    log = folder / "logs" / "links.log"
    shutil.rmtree(output, ignore_errors=True)
    jupyter_book(preset, staged, output, "--builder", "linkcheck", log=log)
    found = output / "_build" / "linkcheck" / "output.json"
    if not found.exists():
        print(f"no link was asked; log: {log.relative_to(ROOT)}")
        return 1
    links = [json.loads(line) for line in found.read_text().splitlines()]
    broken = [each for each in links if each["status"] in ("broken", "timeout")]
    for each in broken:
        print(f"{each['filename']}: {each['uri']} ({each['info'][:100]})")
    print(f"{len(links) - len(broken)} of {len(links)} links lead somewhere")
    return int(bool(broken))


def forget_changed(output: Path, staged: Path, before: dict[str, str], now: dict[str, str]) -> bool:
    """Delete of an earlier rendering what no longer holds; whether anything was kept.

    A page that Sphinx has read and that is the same is not read again. Where anything but a
    page has changed (results, claims, library, configuration), nothing is kept.
    """
    changed = {path for path in before.keys() | now if before.get(path) != now.get(path)}
    pages = {path for path in changed if path.endswith((".md", ".ipynb"))}
    if not before or changed - pages:
        shutil.rmtree(output, ignore_errors=True)
        return False
    for path in pages:
        page = (ROOT / path).relative_to(staged)
        (output / "_build" / ".doctrees" / page).with_suffix(".doctree").unlink(missing_ok=True)
    return True


def render(
    preset: str, staged: Path, now: dict[str, str], lock: TextIO, *, allow_stale: bool = False
) -> int:
    """Render the staged tree with warnings as errors; the old book stays until the new is whole.

    `now` are its checksums from before, so that what changes meanwhile counts as changed later.
    """
    output = ROOT / "build" / preset / "render"
    read = output / "checksums.json"  # of what the kept pages were read from
    before = json.loads(read.read_text()) if read.exists() and not allow_stale else {}
    read.unlink(missing_ok=True)
    options = ["-W", "-n", "--keep-going"]
    if not forget_changed(output, staged, before, now):
        options.append("--all")
    log = ROOT / "build" / preset / "logs" / "book.log"
    code = jupyter_book(
        preset, staged, output, *options, log=log, lock=lock, allow_stale=allow_stale
    )
    if code:
        text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
        lines = text.splitlines()
        wrong = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-3:]
        print("\n".join(wrong[:20]))
        print(f"the book was not built; log: {log.relative_to(ROOT)}")
        return 1
    final = ROOT / "build" / preset / "html"
    shutil.rmtree(final, ignore_errors=True)
    (output / "_build" / "html").rename(final)
    if not allow_stale:
        write_whole(read, json.dumps(now))
    return 0


def make_book(preset: str, *, cores: int | None = None, allow_stale: bool = False) -> int:
    """Run what is not fresh, stage and render; do nothing where nothing changed.

    Returns
    -------
    int
        An exit code, as for the command line.
    """
    start = time.monotonic()
    runs = load(preset)
    references()  # a damaged one stops the book here, not after half an hour
    folder = ROOT / "build" / preset
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "book.lock").open("a") as lock:
        if hold(lock, 20, 0.1) is None:
            raise Refused(
                f"the {preset} book is being built by another process; wait for it or stop it"
            )
        code = 0 if allow_stale else schedule(runs, cores=cores)
        stale = {}
        for run in runs:
            condition, reason = state(run)
            if condition != "fresh":
                stale[run.name] = f"{condition} {reason}".strip()
        if stale and not allow_stale:
            names = ", ".join(stale)
            print(f"no book: {names} not done; what is finished is kept (ALLOW_STALE=1 renders it)")
            return code or 1
        staged = stage(preset, runs, stale)
        write_ledger(preset, staged)
        now = checksums(staged)
        text = json.dumps([now, bool(stale)])
        book_key, mark = hashlib.sha256(text.encode()).hexdigest(), folder / "html.key"
        index = folder / "html" / "index.html"
        if index.exists() and mark.exists() and mark.read_text() == book_key:
            print(f"nothing to do: {index.relative_to(ROOT)} is up to date")
            return 0
        mark.unlink(missing_ok=True)
        if render(preset, staged, now, lock, allow_stale=bool(stale)):
            return 1
        write_whole(mark, book_key)
    print(f"the book is at {index.relative_to(ROOT)} ({time.monotonic() - start:.0f} s)")
    return 0
