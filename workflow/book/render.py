"""Render the staged book, if something has changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from workflow.book.staging import drawn, references, stage
from workflow.errors import Refused
from workflow.files import ROOT, commit, hold, shown_path, write_whole
from workflow.runs.execute import for_python
from workflow.runs.experiments import load
from workflow.runs.integrity import digest
from workflow.runs.schedule import schedule
from workflow.runs.status import state

#: Parts of the workflow that decide what a page says.
MACHINERY = ("book/*.py", "ledger/*.py", "runs/expressions.py", "runs/outputs.py")


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """Checksum of every file among these and in these folders, by its path; and the Python."""
    every = {each for path in paths for each in ([path] if path.is_file() else path.rglob("*"))}
    return {"python": sys.version} | {
        shown_path(path): digest(path)
        for path in sorted(every)
        if path.is_file() and "__pycache__" not in path.parts
    }


def rendered_from(staged: Path) -> dict[str, str]:
    """Checksums of all that the rendered book depends on, but for what its pages draw."""
    paths = [staged, ROOT / "dynlib", ROOT / "requirements.lock"]
    for pattern in MACHINERY:
        paths += (ROOT / "workflow").glob(pattern)
    found = checksums(paths)
    for path in drawn(staged):
        found.pop(shown_path(path), None)
    return found


def staged_from(preset: str) -> dict[str, str]:
    """Checksums of all that staging reads, and the commit, which dates the criteria."""
    folder = ROOT / "build" / preset
    names = ("book", "results", "notebooks", "dynlib", "workflow", "_config.yml", "CITATION.cff",
             "experiments.yml", "requirements.lock")  # fmt: skip
    paths = [*(ROOT / name for name in names), folder / "notebooks", folder / "results"]
    return checksums(paths) | {"commit": str(commit())}


def jupyter_book(
    preset: str,
    staged: Path,
    output: Path,
    *options: str,
    log: Path,
    lock: TextIO | None = None,
    allow_stale: bool = False,
) -> int:
    """Call Jupyter Book on a staged tree, with its output in a file.

    The process that renders holds `lock`, and ends soon after this one.
    """
    command = [
        sys.executable, "-m", "workflow.book.builder", str(os.getpid()), "build", str(staged),
        "--config", str(staged / "_config.yml"), "--path-output", str(output),
        "-q", *options,
    ]  # fmt: skip
    environment = os.environ | for_python() | {
        "COMPANION_PRESET": preset, "COMPANION_ALLOW_STALE": str(int(allow_stale))
    }  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        return subprocess.call(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()] if lock else [],
        )  # fmt: skip


def check_links(preset: str) -> int:
    """Check every link of the staged book, print the broken ones; exit code 1 if any."""
    folder = ROOT / "build" / preset
    staged, output = folder / "book", folder / "links"
    if not staged.exists():
        raise Refused(f"there is no staged {preset} book; make book PRESET={preset} first")
    log = folder / "logs" / "links.log"
    shutil.rmtree(output, ignore_errors=True)
    jupyter_book(preset, staged, output, "--builder", "linkcheck", log=log)
    found = output / "_build" / "linkcheck" / "output.json"
    if not found.exists():
        print(f"no link was checked; log: {shown_path(log)}")
        return 1
    links = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
    broken = [each for each in links if each["status"] in ("broken", "timeout")]
    for each in broken:
        print(f"{each['filename']}: {each['uri']} ({each['info'][:100]})")
    print(f"{len(links) - len(broken)} of {len(links)} links work")
    return int(bool(broken))


def forget_changed(output: Path, staged: Path, before: dict[str, str], now: dict[str, str]) -> bool:
    """Delete the outdated part of an earlier rendering; whether anything was kept.

    Sphinx reads only changed pages again. If anything other than a page has changed (results,
    claims, library, configuration) or a page has come or gone, nothing is kept.
    """
    changed = {path for path in before.keys() | now if before.get(path) != now.get(path)}
    known = changed & before.keys() & now.keys()
    pages = {path for path in known if path.endswith((".md", ".ipynb"))}
    if not before or changed - pages:
        shutil.rmtree(output, ignore_errors=True)
        return False
    # Links to these files have a checksum if they are there while a page is written.
    shutil.rmtree(output / "_build" / "html" / "_static", ignore_errors=True)
    for path in pages:
        page = (ROOT / path).relative_to(staged)
        (output / "_build" / ".doctrees" / page).with_suffix(".doctree").unlink(missing_ok=True)
    return True


def render(
    preset: str, staged: Path, *options: str, lock: TextIO, allow_stale: bool = False
) -> int:
    """Render the staged tree with warnings as errors; the old book stays until the new is whole."""
    output = ROOT / "build" / preset / "render"
    options = ("-W", "-n", "--keep-going", *options)
    log = ROOT / "build" / preset / "logs" / "book.log"
    code = jupyter_book(
        preset, staged, output, *options, log=log, lock=lock, allow_stale=allow_stale
    )
    if code:
        text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace", encoding="utf-8"))
        lines = text.splitlines()
        wrong = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-3:]
        print("\n".join(wrong[:20]))
        print(f"the book was not built; log: {shown_path(log)}")
        return 1
    final = ROOT / "build" / preset / "html"
    part = final.with_name("html.part")
    shutil.rmtree(part, ignore_errors=True)
    # A copy, since the next rendering changes a few pages there.
    shutil.copytree(output / "_build" / "html", part)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    return 0


def make_book(preset: str, *, cores: int | None = None, allow_stale: bool = False) -> int:
    """Run what is not fresh, stage and render what changed; an exit code of the command line."""
    start, folder = time.monotonic(), ROOT / "build" / preset
    runs = load(preset)
    references()  # a damaged one stops the book here, not after half an hour
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "book.lock").open("a", encoding="utf-8") as lock:
        if hold(lock, 20, 0.1) is None:
            raise Refused(
                f"the {preset} book is being built by another process; wait for it or stop it"
            )
        code = 0 if allow_stale else schedule(runs, cores=cores)
        states = {run.name: " ".join(state(run)).strip() for run in runs}
        stale = {name: words for name, words in states.items() if words != "fresh"}
        if stale and not allow_stale:
            names = ", ".join(stale)
            print(f"no book: {names} not done; what is finished is kept (ALLOW_STALE=1 renders it)")
            return code or 1
        index, record = folder / "html" / "index.html", folder / "rendered.json"
        before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        # From before the rendering, so that the next one sees a change during it.
        now: dict[str, Any] = {"stale": bool(stale), "sources": staged_from(preset)}
        done = index.exists() and before.get("stale") == now["stale"]
        if not (done and before.get("sources") == now["sources"]):
            staged = stage(preset, load(preset, optional=True), stale)
            now["files"] = rendered_from(staged)
            done = done and before.get("files") == now["files"]
            if not done:
                record.unlink(missing_ok=True)
                files = {} if stale or before.get("stale") else before.get("files", {})
                kept = forget_changed(folder / "render", staged, files, now["files"])
                every = [] if kept else ["--all"]
                if render(preset, staged, *every, lock=lock, allow_stale=bool(stale)):
                    return 1
            write_whole(record, json.dumps(now))
        if done:
            print(f"nothing to do: {shown_path(index)} is up to date")
            return 0
    print(f"the book is at {shown_path(index)} ({time.monotonic() - start:.0f} s)")
    return 0
