"""The two halves of a notebook: ``NAME.py``, the source, and ``NAME.ipynb``, for Jupyter.

The .ipynb is written from the source and has a checksum of the cells that it was written from.
If code, text, tags or figure captions differ from this checksum, they were edited. An edit in one
half is copied to the other; if both halves are edited, nothing is overwritten. Outputs, execution
counts and other metadata do not count. Only the .ipynb has a setup cell (setup_cell.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from workflow.errors import Refused
from workflow.files import ROOT, checksum, read_text, shown_path, write_whole
from workflow.runs.experiments import KERNEL, declared_runs, number_cells, read_notebook
from workflow.runs.parameters import shown

#: Metadata of a cell that belong to the source; the rest is Jupyter's own.
KEPT = ("tags", "mystnb", "title")
HEADER = """# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""

#: The cell that only an .ipynb has, for readers without the runner.
SETUP = Path(__file__).with_name("setup_cell.py").read_text(encoding="utf-8").strip()

Cells = list[tuple[str, str, dict[str, Any]]]


def plain(notebook: Any) -> Cells:
    """Kind, source and metadata of the cells that are not empty, without the setup cell."""
    return [
        (
            cell.cell_type,
            re.sub("\r\n?", "\n", cell.source).strip("\n").rstrip(),
            {key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)},
        )
        for cell in notebook.cells
        # Jupyter adds an empty cell at the end.
        if cell.source.strip() and "setup" not in cell.metadata.get("tags", [])
    ]


def as_text(cells: Cells) -> str:
    """The cells as py:percent text, without a header."""
    make = nbformat.v4
    kinds = {"code": make.new_code_cell, "markdown": make.new_markdown_cell}
    new = [kinds.get(kind, make.new_raw_cell)(text, metadata=more) for kind, text, more in cells]
    start = make.new_markdown_cell("start")  # before YAML, which would be taken for a header
    only = {"jupytext": {"cell_metadata_filter": ",".join([*KEPT, "-all"])}}
    notebook = make.new_notebook(cells=[start, *new], metadata=only)
    return jupytext.writes(notebook, fmt="py:percent").partition("# start\n")[2].lstrip("\n")


def settled(cells: Cells) -> Cells:
    """The cells as they come back from py:percent text, which drops, say, blank lines at an end."""
    return plain(jupytext.reads(HEADER + as_text(cells), fmt="py:percent"))


def stripped(source: Path) -> str:
    """The notebook without outputs, with a setup cell and stable cell ids, as the pair's text."""
    notebook = read_notebook(source)
    agreed = checksum(settled(plain(notebook)))
    kinds = [cell.cell_type for cell in notebook.cells]
    setup = nbformat.v4.new_code_cell(SETUP, metadata={"tags": ["setup", "remove-cell"]})
    notebook.cells.insert((*kinds, "code").index("code"), setup)
    number_cells(notebook)
    notebook.metadata.pop("jupytext", None)
    notebook.metadata |= {"companion": {"source_sha256": agreed}, "kernelspec": KERNEL}
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def command(half: str, name: str) -> str:
    """The command that writes one half of a pair from the other."""
    return f"python -m workflow pairs --from {half} {name}"


def named(cells: Cells, others: Cells) -> str:
    """The cells that are not among the others, by number (from 0) and first line."""
    texts = [(i, cell[1].strip()) for i, cell in enumerate(cells) if cell not in others]
    return ", ".join(f"cell {i} ({shown(text.splitlines()[0])})" for i, text in texts)


class Pair:
    """Both halves of a notebook: `source`, the text, and `path`, the notebook for Jupyter.

    Jupyter holds a notebook's metadata while it is open. So the checksum in the .ipynb does not
    change when an edit is taken over; `record` is the file that then has the latest one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = ROOT / "notebooks" / f"{name}.py"
        self.path = self.source.with_suffix(".ipynb")
        self.record = ROOT / "build" / "pairs" / f"{name}.json"

    @cached_property
    def notebook(self) -> Any:
        """The content of the .ipynb, which any program may have written; Refused if damaged."""
        text = read_text(self.path)
        try:
            notebook = nbformat.convert(nbformat.reader.reads(text), 4)
            plain(notebook)
        except Exception as error:  # damage has many kinds
            cause = " ".join(str(error.__cause__ or error).split())
            remedy = "repair it"
            if self.source.exists():
                remedy += f", or write it anew from the .py: {command('py', self.name)}"
            raise Refused(
                f"notebooks/{self.path.name} is not a notebook ({cause[:100]}); {remedy}"
            ) from None
        return notebook

    @cached_property
    def text(self) -> Cells:
        """The cells of the source."""
        return settled(plain(read_notebook(self.source)))

    @cached_property
    def edited(self) -> Cells:
        """The cells of the .ipynb."""
        cells = plain(self.notebook)
        return self.text if cells == plain(read_notebook(self.source)) else settled(cells)

    @property
    def written(self) -> str | None:
        """The checksum in the .ipynb."""
        companion = self.notebook.metadata.get("companion")
        return companion.get("source_sha256") if isinstance(companion, dict) else None

    @property
    def extras(self) -> bool:
        """Whether the .ipynb has outputs or pasted pictures, which the source cannot hold."""
        return any(cell.get("outputs") or cell.get("attachments") for cell in self.notebook.cells)

    @property
    def bases(self) -> list[str]:
        """Checksums of cells on which the halves have agreed, the latest first."""
        try:
            record = json.loads(self.record.read_bytes())
        except (FileNotFoundError, ValueError):  # none yet, or damaged: it says nothing
            record = None
        known = isinstance(record, dict) and record.get("written") == self.written
        found = [record.get("agreed") if known else "", self.written]
        return [base for base in found if base]

    def condition(self) -> str:
        """``same``, or which half is edited: ``py``, ``ipynb`` or ``both``."""
        if self.text == self.edited:
            return "same"
        for base in self.bases:
            if checksum(self.edited) == base:
                return "py"
            if checksum(self.text) == base:
                return "ipynb"
        return "both"

    def conflict(self) -> str:
        """How the halves differ, and how to go on."""
        here, there = named(self.text, self.edited), named(self.edited, self.text)
        sides = [f"the .py has {here}"] if here else []
        sides += [f"the .ipynb has {there}"] if there else []
        why = "were both edited" if self.bases else "differ, and nothing says which was edited"
        return (
            f"notebooks/{self.name}.py and notebooks/{self.name}.ipynb {why}; nothing is "
            f"overwritten. They differ: {'; '.join(sides) or 'in the order of cells'}. Copy into "
            "one half what you need of the other, then take this half (the other is kept in "
            f"build/pairs):\n  {command('py', self.name)}\n  {command('ipynb', self.name)}"
        )

    def agree(self) -> None:
        """Record that the halves agree, if the .ipynb has an older checksum."""
        agreed = checksum(self.text)
        if self.bases[:1] != [agreed]:
            content = {"agreed": agreed, "written": self.written}
            write_whole(self.record, json.dumps(content) + "\n")

    def take_over(self) -> str:
        """Write the source from the .ipynb, and report it."""
        content, changed = rewritten(read_text(self.source), self.text, self.edited)
        kept = keep(self.source)
        write_whole(self.source, content)
        Pair(self.name).agree()
        return (
            f"notebooks/{self.name}.py: taken over from the edited .ipynb: {changed} "
            f"(the text before is in {kept})"
        )


def rewritten(text: str, old: Cells, new: Cells) -> tuple[str, str]:
    """Source with the cells of an edited pair, and a list of those that changed.

    The header and the text of cells that are the same stay as they were.
    """
    header, *before = re.split(r"(?m)^(?=# %%)", text)
    known = [*zip(old, before, strict=False)]  # a text in a cell may look like a marker
    parts = [next((t for o, t in known if o == cell), None) or as_text([cell]) for cell in new]
    parts = [p if p.endswith("\n\n") else p.rstrip("\n") + "\n\n" for p in parts]
    content = (header + "".join(parts)).rstrip("\n") + "\n"
    for start in (header, HEADER):  # a source whose cells are not what its markers say
        if settled(plain(jupytext.reads(content, fmt={"extension": ".py"}))) == new:
            break
        content = start + as_text(new)
    changed, gone = named(new, old), named(old, new)
    if gone:
        return content, f"{changed} in place of {gone}" if changed else f"removed {gone}"
    return content, changed or "the order of cells"


def keep(path: Path) -> str:
    """Copy a file that will be overwritten; the path of the copy."""
    content = path.read_bytes()
    short = hashlib.sha256(content).hexdigest()[:8]
    copy = ROOT / "build" / "pairs" / f"{path.stem}-{short}{path.suffix}"
    write_whole(copy, content)
    return shown_path(copy)


def take_over(runs: Sequence[str], *, stop: bool = True) -> None:
    """Write the edits that readers made in the .ipynb of these runs into their sources.

    The names may also be those of notebooks; none stands for all. The runs that they need are
    included. If both halves of a pair were edited, or one cannot be read, no pair is changed and
    Refused is raised; without `stop` this is only printed.
    """
    declared = declared_runs()
    wanted = [name for name, run in declared.items() if {name, run.notebook} & {*runs}]
    for name in wanted:
        wanted += [each for each in declared[name].needs if each not in wanted]
    notebooks = sorted({declared[name].notebook for name in (wanted if runs else declared)})
    edited, problems = [], []
    for pair in map(Pair, notebooks):
        if not (pair.source.exists() and pair.path.exists()):
            continue
        try:
            match pair.condition():
                case "both":
                    raise Refused(pair.conflict())
                case "ipynb":
                    edited.append(pair)
                case "same":
                    pair.agree()
        except Refused as error:
            problems.append(str(error))
    if problems and stop:
        raise Refused("\n".join(problems))
    for line in [*(pair.take_over() for pair in edited), *problems]:
        print(line, flush=True)


def write_pairs(names: Sequence[str], *, half: str | None = None, strip: bool = False) -> bool:
    """Bring the halves of notebooks together, and print what was done; whether it was anything.

    With `half`, ``py`` or ``ipynb``, this half overwrites the other. With `strip` an .ipynb loses
    its outputs. Raises Refused if a notebook does not exist, or at the end if both halves of some
    pair were edited.
    """
    folder = ROOT / "notebooks"
    there = {p.stem for p in folder.glob("*.*") if p.suffix in (".py", ".ipynb")}
    wanted = [re.sub(r"^notebooks/|\.(py|ipynb)$", "", name) for name in names]
    if half and not wanted:
        raise Refused(f"--from {half} overwrites the other half: name the notebooks it is for")
    for name in wanted:
        if name not in there:
            all_names = ", ".join(sorted(there))
            raise Refused(f"there is no notebook {shown(name)}; notebooks are {all_names}")
        if half and not (folder / f"{name}.{half}").exists():
            raise Refused(f"notebooks/{name}.{half} does not exist, so nothing is written from it")
    done, problems = False, []
    for pair in map(Pair, sorted(wanted or there)):
        try:
            for line in _bring_together(pair, half, strip=strip):
                print(line, flush=True)
                done = True
        except Refused as error:
            problems.append(str(error))
    if problems:
        raise Refused("\n".join(problems))
    return done


def _bring_together(pair: Pair, half: str | None, *, strip: bool) -> Iterator[str]:
    """Write one half of a pair from the other, and report it."""
    if not pair.source.exists():
        if half != "ipynb":
            yield f"notebooks/{pair.name}.ipynb has no .py: {command('ipynb', pair.name)}"
            return
        write_whole(pair.source, HEADER + as_text(settled(plain(pair.notebook))))
        pair.agree()
        yield f"notebooks/{pair.name}.py: written from the .ipynb"
    content = stripped(pair.source).encode()
    name = f"notebooks/{pair.name}.ipynb"
    if not pair.path.exists():
        write_whole(pair.path, content)
        yield name
        return
    before = pair.path.read_bytes()
    if before == content:
        return
    if half == "py":
        kept = keep(pair.path)
        write_whole(pair.path, content)
        yield f"{name}: written from the .py (the notebook before is in {kept})"
        return
    condition = pair.condition()
    if condition == "both" and half is None:
        raise Refused(pair.conflict())
    if condition in ("ipynb", "both") or (half == "ipynb" and condition != "same"):
        yield pair.take_over()
        pair, condition = Pair(pair.name), "same"
        content = stripped(pair.source).encode()
    if condition == "same" and pair.extras and not strip:
        pair.agree()
        yield (
            f"{name}: left as it is, with its outputs; before a commit, drop them: "
            f"python -m workflow pairs --strip {pair.name}"
        )
        return
    kept = f" (the outputs before are in {keep(pair.path)})" if pair.extras else ""
    write_whole(pair.path, content)
    yield name + kept
