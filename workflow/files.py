"""The clone and its files: read as UTF-8, written whole, locked, and named by their commit."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import functools
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from workflow.errors import Refused

Content = TypeVar("Content")
ROOT = Path(__file__).resolve().parents[1]
NO_REPOSITORY = (
    f"{ROOT} is not a git repository, as in a container or an unpacked ZIP: work in a `git clone`"
)


def shown_path(path: Path) -> str:
    """A path as messages show it, in the clone from its top."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def read_text(path: Path) -> str:
    """Text of a file that users edit: UTF-8, with or without a BOM, with any line ends.

    Raises Refused if it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is {error.object[error.start]:#04x}"
        raise Refused(
            f"{shown_path(path)} is not UTF-8 text ({where}); save it in the encoding UTF-8"
        ) from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, with a column for every name that one of them has."""
    text = io.StringIO()
    heads = dict.fromkeys(head for row in rows for head in row)
    writer = csv.DictWriter(text, list(heads), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def cached_by_file(function: Callable[[Path], Content]) -> Callable[[Path], Content]:
    """Call a function again only if the time or the size of its file has changed."""
    kept = functools.cache(lambda path, *version: function(path))

    @functools.wraps(function)
    def read(path: Path) -> Content:
        status = path.stat()
        return kept(path, status.st_mtime_ns, status.st_size)

    return read


def checksum(content: Any) -> str:
    """Checksum of content that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hold(file: IO, tries: int, pause: float = 1.0) -> bool | None:
    """Lock an open file: whether it was waited for, None where another process keeps it.

    A killed process needs a moment to end: up to `tries` pauses. `filelock` keeps the open file
    private, but the renderer must inherit it.
    """
    for patience in range(tries, -1, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return patience < tries
        except BlockingIOError:
            if patience:
                time.sleep(pause)
    return None


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Treat a request to end as Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _git(*arguments: str) -> tuple[str, str]:
    """Output of a git command in the clone, and why it failed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace",
            env=os.environ | {"LC_ALL": "C"},
        )  # fmt: skip
    except OSError:
        return "", "git is not installed: install it (Debian: apt install git)"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    if "dubious ownership" in done.stderr:
        return "", (
            f"git refuses to read {ROOT}, which belongs to another user: allow it by "
            f"`git config --global --add safe.directory {shlex.quote(str(ROOT))}`"
        )
    if "not a git repository" in done.stderr:
        return "", NO_REPOSITORY
    return "", (done.stderr.strip().splitlines() or ["git failed"])[-1]


def no_commit() -> str:
    """Why git cannot name the commit of this clone, and what helps; empty if it can."""
    top, why = _git("rev-parse", "--show-toplevel")
    if not why and Path(top).resolve() != ROOT:
        return NO_REPOSITORY  # but it lies inside another one
    return why or _git("rev-parse", "--verify", "HEAD")[1]


def commit() -> str | None:
    """The commit of this clone, None if git cannot name it (:func:`no_commit`)."""
    return None if no_commit() else _git("rev-parse", "HEAD")[0]


def blame(path: Path) -> str:
    """Which commit wrote each line of a file, as git's porcelain; empty where git cannot say."""
    return "" if no_commit() else _git("blame", "--porcelain", "-w", "--", str(path))[0]


def is_dirty() -> bool:
    """Whether anything that can change a result differs from the commit, or may do."""
    paths = ["dynlib", "notebooks", "workflow", "experiments.yml", "requirements.lock"]
    return bool(no_commit()) or any(_git("status", "--porcelain", "--", *paths))


def unclean(facts: dict[str, Any]) -> str:
    """Why a run's provenance does not name the commit that made it, and what helps; else empty."""
    if not facts["dirty"]:
        return ""
    if facts.get("commit"):
        return "was run from a tree with uncommitted changes; commit them and run it again"
    why = no_commit()
    then = f"names no commit: {why}; then" if why else "named no commit;"
    return f"was run where git {then} run it again"
