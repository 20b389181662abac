"""Carry finished runs to another machine in one checksummed archive, read as a stranger's.

A bundle is a gzipped tar of ``manifest.json`` and, for each run, its executed notebook and its
results. It is data: nothing in it is executed or unpickled. Checksums tell of damage, not of the
sender; take bundles from people whose results you would quote.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import tarfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from workflow.errors import Refused
from workflow.files import commit, write_whole
from workflow.runs.execute import locked
from workflow.runs.experiments import Run, load
from workflow.runs.integrity import check_results, checksum, digest, parse, shown
from workflow.runs.stamps import changes, code_checksum, inputs, marks, stamp
from workflow.runs.status import state

FORMAT = 1
#: No bundle of ours comes near these.
MOST_MEMBERS, MOST_BYTES, MOST_BYTES_OF_ALL = 500, 64 * 2**20, 512 * 2**20
NAME = re.compile(r"(?:notebooks/[a-z][a-z0-9_]*\.ipynb|results/[a-z][a-z0-9_]*\.json)")
KINDS = {
    tarfile.LNKTYPE: "a hard link", tarfile.SYMTYPE: "a symbolic link", tarfile.DIRTYPE: "a folder",
    tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe",
}  # fmt: skip


def places(run: Run) -> dict[str, Path]:
    """The members of a run, and where they belong."""
    return {f"notebooks/{run.name}.ipynb": run.executed, f"results/{run.name}.json": run.results}


def bundle(preset: str, names: list[str]) -> str:
    """Pack fresh runs into ``build/<preset>/bundle-….tar.gz`` and say what is in it.

    Raises
    ------
    Refused
        If a named run is not fresh, or none is.
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
    manifest = {
        "format": FORMAT,
        "preset": preset,
        "commit": commit(),
        "stamps": {run.name: stamp(run) for run in runs},
        "sha256": {name: digest(path) for name, path in members.items()},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    target = runs[0].folder / f"bundle-{hashlib.sha256(text).hexdigest()[:12]}.tar.gz"
    part = target.with_name(target.name + ".part")
    try:
        with (
            part.open("wb") as out,
            gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for name in ("manifest.json", *members):
                content = text if name == "manifest.json" else members[name].read_bytes()
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        read_bundle(part)  # what was packed can be unpacked
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    lines = [f"{shown(target)}: {', '.join(run.name for run in runs)}"]
    if left:
        lines.append(f"left out, not fresh: {', '.join(left)}")
    return "\n".join([*lines, f"at home: make unbundle FILE={target.name}"])


def unbundle(file: Path) -> str:
    """Put the runs of a bundle into this clone, if all of them belong to it.

    Raises
    ------
    Refused
        Before anything is written, if any member is damaged, hostile, or of another state of
        the sources than this clone's.
    """
    preset, members = read_bundle(file)
    runs = load(preset, sorted(Path(name).stem for name in members if name.startswith("results/")))
    problems = [words for run in runs if (words := _problem(run, members))]
    if problems:
        raise Refused(f"{file.name} is refused: {'; '.join(problems)}")
    lines = []
    with contextlib.ExitStack() as held:
        for run in runs:
            held.enter_context(locked(run))
        for run in runs:
            if state(run)[0] == "fresh":
                lines.append(f"{run.name} ({preset}): fresh already, kept")
                continue
            for name, path in places(run).items():
                write_whole(path, members[name])
            (run.folder / "failed" / f"{run.name}.ipynb").unlink(missing_ok=True)
            lines.append(f"{run.name} ({preset}): {state(run)[0]}")
    return "\n".join(lines)


def read_bundle(file: Path) -> tuple[str, dict[str, bytes]]:
    """The preset and the members of a bundle, checked against its manifest.

    Raises
    ------
    Refused
        If it is no bundle, is damaged, or holds anything that a bundle does not.
    """
    try:
        with gzip.open(file) as stream:
            members = dict(_members(stream))
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise Refused(f"{file} cannot be read as a bundle: {error}") from None
    try:
        manifest = parse(members.pop("manifest.json", b""))
        preset, sums, stamps = (manifest[key] for key in ("preset", "sha256", "stamps"))
        known = {f"notebooks/{run}.ipynb" for run in stamps}
        known |= {f"results/{run}.json" for run in stamps}
        whole = manifest["format"] == FORMAT and isinstance(preset, str) and set(sums) == known
        whole = whole and isinstance(sums, dict) and isinstance(stamps, dict)
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f"{file}: its manifest cannot be read: {error!r}") from None
    if not whole or not stamps:
        raise Refused(f"{file}: its manifest is not of format {FORMAT}")
    for name in sorted({*sums, *members}):
        if name not in sums:
            raise Refused(f"{file}: member {name!r} is not in its manifest")
        if name not in members:
            raise Refused(f"{file}: member {name!r} is missing")
        if hashlib.sha256(members[name]).hexdigest() != sums[name]:
            raise Refused(f"{file}: member {name!r} does not match its checksum; copy it anew")
    return preset, members


def _members(stream: io.BufferedIOBase) -> Iterator[tuple[str, bytes]]:
    """Names and contents, read header by header: plain files only, no extensions, no surprises.

    ``tarfile`` itself would follow extension headers before we could look at them.
    """
    seen: set[str] = set()
    total = 0
    while (header := stream.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        name = f"member {entry.name!r:.80}"
        if entry.type != tarfile.REGTYPE:
            kind = KINDS.get(entry.type, "an extension of tar")
            raise Refused(f"{name} is {kind}; a bundle holds plain files only")
        if entry.name != "manifest.json" and not NAME.fullmatch(entry.name):
            raise Refused(f"{name} is no executed notebook and no results file")
        if entry.name in seen:
            raise Refused(f"{name} comes twice")
        total += entry.size
        if not 0 <= entry.size <= MOST_BYTES or total > MOST_BYTES_OF_ALL:
            raise Refused(f"{name} is too large ({entry.size} bytes)")
        if len(seen) == MOST_MEMBERS:
            raise Refused(f"there are more than {MOST_MEMBERS} members")
        seen.add(entry.name)
        content = stream.read(entry.size)
        padding = stream.read(-entry.size % tarfile.BLOCKSIZE)
        if len(content) != entry.size or any(padding):
            raise EOFError(f"{name} is cut short")
        yield entry.name, content
    rest = stream.read(10 * tarfile.RECORDSIZE)  # to the end, where gzip compares its checksum
    if any(rest) or stream.read(1):
        raise Refused("there is something after the end of the archive")


def _problem(run: Run, members: dict[str, bytes]) -> str:
    """Why the members of a run do not belong to this clone, empty if they do."""
    (notebook, executed), (results, text) = ((name, members[name]) for name in places(run))
    try:
        content = parse(text)
        check_results(content)
        facts = content["provenance"]
        _check_executed(run, executed, facts["stamp"], carried=bool(facts.get("carried")))
        same = facts.get("checksum") == checksum(content)
    except (ValueError, RecursionError) as error:
        return f"{run.name}: {error}"
    if not same:
        return f"{results} was changed after the run wrote it"
    if facts.get("notebook_sha256") != hashlib.sha256(executed).hexdigest():
        return f"{notebook} is not the notebook that {results} came with"
    here = {"run": run.name, "notebook": run.notebook, "preset": run.preset}
    if any(content[key] != value for key, value in here.items()):
        return f"{results} is of another run or preset"
    if facts["stamp"] != stamp(run):
        old = {k: v for k, v in facts["inputs"].items() if isinstance(v, dict) or k == "notebook"}
        words = re.sub(r"[^\w., -]", "?", changes(old, inputs(run)))
        commit = re.fullmatch(r"[0-9a-f]{40}", str(facts.get("commit")))
        where = f" (commit {commit[0][:10]})" if commit else ""
        return f"{run.name} was made from other sources{where}; different: {words:.300}"
    if content["parameters"] != run.parameters:
        return f"{results} says other parameters than its stamp"
    return ""


def _check_executed(run: Run, text: bytes, expected: str, *, carried: bool) -> None:
    """Raise ValueError if this is not the executed notebook of a run with this stamp.

    That of a run which was carried over a change of the notebook has the code of before.
    """
    import nbformat

    name = f"notebooks/{run.name}.ipynb"
    try:
        notebook = parse(text)
        if notebook["nbformat"] != 4:
            raise ValueError("it is not of format 4")
        with warnings.catch_warnings(action="ignore"):
            nbformat.validate(notebook)
        mark = notebook["metadata"]["companion"]
        cells = [
            (cell["cell_type"], tuple(cell["metadata"].get("tags", ())), "".join(cell["source"]))
            for cell in notebook["cells"]
            if "injected-parameters" not in cell["metadata"].get("tags", ())
        ]
        same = code_checksum(cells) == inputs(run)["notebook"]
    except (ValueError, TypeError, KeyError, RecursionError, nbformat.ValidationError) as error:
        words = str(error).partition("\n")[0]
        raise ValueError(f"{name} is no executed notebook: {words:.200}") from None
    if mark != marks(run) | {"stamp": expected}:
        raise ValueError(f"{name} does not carry the stamps of its results")
    if expected == stamp(run) and not same and not carried:
        raise ValueError(f"{name} has other code than its stamp says")
