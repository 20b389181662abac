"""Carry finished runs to another machine in one checksummed archive, treated as untrusted input.

A bundle is a ZIP file of ``manifest.json`` and, for each run, its executed notebook and its
results. It is data: nothing in it is executed or unpickled. Checksums detect damage and do not
prove who sent it; take bundles from people whose results you would quote.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from workflow.errors import Refused, first_problem
from workflow.files import commit, shown_path, write_whole
from workflow.runs.execute import locked
from workflow.runs.experiments import Run, load
from workflow.runs.integrity import digest, parse, sound
from workflow.runs.stamps import changes, code_checksum, inputs, marks, stamp
from workflow.runs.status import state

MANIFEST = "manifest.json"
#: No bundle of ours comes near these.
MOST_MEMBERS, MOST_BYTES, MOST_BYTES_OF_ALL = 500, 64 * 2**20, 512 * 2**20
MEMBER = re.compile(
    r"notebooks/[a-z][a-z0-9_]*\.ipynb|results/[a-z][a-z0-9_]*\.json|manifest\.json"
)


class Manifest(BaseModel):
    """The list of contents of a bundle."""

    format: Literal[2] = 2
    preset: str
    commit: str | None
    stamps: dict[str, str] = Field(min_length=1)
    sha256: dict[str, str]


def places(run: Run) -> dict[str, Path]:
    """The members of a run, and where they belong."""
    return {f"notebooks/{run.name}.ipynb": run.executed, f"results/{run.name}.json": run.results}


def bundle(preset: str, names: list[str]) -> str:
    """Pack fresh runs into ``build/<preset>/bundle-….zip`` and list them.

    Raises Refused if a named run is not fresh, or none is.
    """
    runs, left = [], []
    for run in load(preset, names or None):
        condition, reason = state(run)
        if condition == "fresh":
            runs.append(run)
        elif names:
            raise Refused(f"{run.name} ({preset}) is {condition} {reason}; run it first")
        else:
            left.append(f"{run.name} ({condition})")
    if not runs:
        raise Refused(f"no run of {preset} is fresh; `make run PRESET={preset}` first")
    members = {name: path for run in runs for name, path in places(run).items()}
    manifest = Manifest(
        preset=preset,
        commit=commit(),
        stamps={run.name: stamp(run) for run in runs},
        sha256={name: digest(path) for name, path in members.items()},
    )
    text = manifest.model_dump_json(indent=1).encode()
    target = runs[0].folder / f"bundle-{hashlib.sha256(text).hexdigest()[:12]}.zip"
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (MANIFEST, *members):
                content = text if name == MANIFEST else members[name].read_bytes()
                # An entry by name alone has a fixed date: equal runs make equal bundles.
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        read_bundle(part)  # what was packed can be unpacked
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    lines = [f"{shown_path(target)}: {', '.join(run.name for run in runs)}"]
    if left:
        lines.append(f"left out, not fresh: {', '.join(left)}")
    return "\n".join([*lines, f"on the other machine: make unbundle FILE={target.name}"])


def unbundle(file: Path) -> str:
    """Put the runs of a bundle into this clone, if all of them belong to it.

    Raises Refused before anything is written, if any member is damaged, hostile, or of another
    state of the sources than this clone's.
    """
    preset, members = read_bundle(file)
    runs = load(preset, sorted(Path(name).stem for name in members if name.startswith("results/")))
    lines = []
    for run in runs:
        try:
            check_outputs(run, members)
        except Refused as error:
            lines.append(str(error))
    if lines:
        raise Refused(f"{file.name} is refused: {'; '.join(lines)}")
    with contextlib.ExitStack() as held:
        for run in runs:
            held.enter_context(locked(run))
        for run in runs:
            if state(run)[0] == "fresh":
                lines.append(f"{run.name} ({preset}): fresh already, kept")
                continue
            for name, path in places(run).items():
                write_whole(path, members[name])
            run.failed.unlink(missing_ok=True)
            lines.append(f"{run.name} ({preset}): {state(run)[0]}")
    return "\n".join(lines)


def read_bundle(file: Path) -> tuple[str, dict[str, bytes]]:
    """The preset and the members of a bundle, checked against its manifest.

    Raises Refused if it is not a bundle, is damaged, or holds anything that a bundle does not.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_members(archive.infolist())
            # Of a member, only as much is unpacked as was checked.
            members = {e.filename: archive.open(e).read(e.file_size) for e in archive.infolist()}
        manifest = Manifest.model_validate(parse(members.pop(MANIFEST, b"")), strict=True)
    except Refused:
        raise
    except ValidationError as error:
        raise Refused(f"{file}: its manifest: {first_problem(error)}") from None
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise Refused(f"{file} cannot be read as a bundle: {error}") from None
    known = {f"notebooks/{run}.ipynb" for run in manifest.stamps}
    known |= {f"results/{run}.json" for run in manifest.stamps}
    for name in sorted({*known, *manifest.sha256, *members}):
        if name not in known or name not in manifest.sha256:
            raise Refused(f"{file}: member {name!r} is not in its manifest")
        if name not in members:
            raise Refused(f"{file}: member {name!r} is missing")
        if hashlib.sha256(members[name]).hexdigest() != manifest.sha256[name]:
            raise Refused(f"{file}: member {name!r} does not match its checksum; copy it again")
    return manifest.preset, members


def check_members(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive with other members than those of a bundle, before any is unpacked."""
    if len(entries) > MOST_MEMBERS:
        raise Refused(f"there are more than {MOST_MEMBERS} members")
    if sum(entry.file_size for entry in entries) > MOST_BYTES_OF_ALL:
        raise Refused(f"its members are too large: more than {MOST_BYTES_OF_ALL} bytes")
    seen: set[str] = set()
    for entry in entries:
        name = f"member {entry.filename!r:.80}"
        if not MEMBER.fullmatch(entry.filename):
            raise Refused(f"{name} is neither an executed notebook nor a results file")
        if entry.filename in seen:
            raise Refused(f"{name} comes twice")
        if entry.file_size > MOST_BYTES:
            raise Refused(f"{name} is too large ({entry.file_size} bytes)")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"{name} is compressed in an unknown way")
        seen.add(entry.filename)


def check_outputs(run: Run, members: dict[str, bytes]) -> None:
    """Refuse members that are not the outputs of a run with the stamp that it has in this clone."""
    (notebook, executed), (results, text) = ((name, members[name]) for name in places(run))
    content = sound(text, results)
    facts = content["provenance"]
    mark, code = read_executed(executed, notebook)
    if facts.get("notebook_sha256") != hashlib.sha256(executed).hexdigest():
        raise Refused(f"{notebook} is not the notebook that {results} came with")
    if [content[key] for key in ("run", "notebook", "preset")] != [
        run.name, run.notebook, run.preset
    ]:  # fmt: skip
        raise Refused(f"{results} is of another run or preset")
    if facts["stamp"] != stamp(run):
        old = {k: v for k, v in facts["inputs"].items() if isinstance(v, dict) or k == "notebook"}
        words = re.sub(r"[^\w., -]", "?", changes(old, inputs(run)))
        commit = re.fullmatch(r"[0-9a-f]{40}", str(facts.get("commit")))
        where = f" (commit {commit[0][:10]})" if commit else ""
        raise Refused(f"{run.name} was made from other sources{where}; different: {words:.300}")
    if content["parameters"] != run.parameters:
        raise Refused(f"{results} has other parameters than its stamp")
    if mark != marks(run):
        raise Refused(f"{notebook} does not carry the stamps of its results")
    if code != inputs(run)["notebook"] and not facts.get("carried"):  # which keeps the older code
        raise Refused(f"{notebook} has other code than its stamp says")


def read_executed(text: bytes, name: str) -> tuple[Any, str]:
    """The stamps that an executed notebook carries, and the checksum of its code.

    Raises Refused if it is not one.
    """
    import nbformat

    try:
        notebook = parse(text)
        if notebook["nbformat"] != 4:
            raise ValueError("it is not of format 4")
        with warnings.catch_warnings(action="ignore"):
            nbformat.validate(notebook)
        cells = [
            (cell["cell_type"], tuple(cell["metadata"].get("tags", ())), "".join(cell["source"]))
            for cell in notebook["cells"]
            if "injected-parameters" not in cell["metadata"].get("tags", ())
        ]
        return notebook["metadata"]["companion"], code_checksum(cells)
    except (
        ValueError, TypeError, KeyError, RecursionError, SyntaxError, nbformat.ValidationError
    ) as error:  # fmt: skip
        words = str(error).partition("\n")[0]
        raise Refused(f"{name} is not an executed notebook: {words:.200}") from None
