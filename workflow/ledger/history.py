"""When each criterion was written, as the history of ``claims.yml`` shows it."""

from __future__ import annotations

import datetime
import re


def criteria(porcelain: str) -> dict[str, tuple[str, str]]:
    """Commit and date of the last change of each criterion, by the id of its claim.

    `porcelain` is the output of ``git blame --porcelain`` for ``claims.yml``. A criterion that has
    a line without a commit is left out.
    """
    found: dict[str, tuple[str, str]] = {}
    times: dict[str, int] = {}
    commit = claim = field = ""
    for line in porcelain.splitlines():
        if head := re.match(r"([0-9a-f]{40}) ", line):
            commit = head[1]
        elif time := re.match(r"author-time (\d+)", line):
            times[commit] = int(time[1])
        elif line.startswith("\t"):
            text = line[1:]
            if entry := re.match(r"- id: (\S+)", text):
                claim = entry[1]
            if key := re.match(r"(?:- |  )(\w+):", text):
                field = key[1]
            before = found.get(claim, ("", ""))[0]
            if field == "criterion" and text.strip() and later(commit, before, times):
                day = datetime.datetime.fromtimestamp(times[commit], datetime.UTC)
                found[claim] = commit, f"{day.day} {day:%B %Y}"
    return {claim: each for claim, each in found.items() if set(each[0]) != {"0"}}


def later(commit: str, before: str, times: dict[str, int]) -> bool:
    """Whether a commit is younger than the one before; what has no commit yet is the youngest."""
    return not before or times[commit] > times[before]
