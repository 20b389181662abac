"""The GPUs of this machine: counted without torch, and each lent to one run at a time.

A card is lent by a lock on a file that all clones of a user share. The process of the run holds it,
so it is free again when that process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from workflow.errors import Refused


@dataclass(frozen=True)
class Card:
    """A GPU, or one slice (MIG) of a GPU that is divided."""

    uuid: str  # as CUDA_VISIBLE_DEVICES takes it
    name: str
    index: int  # of the whole GPU, for nvidia-smi
    whole: str  # UUID of the whole GPU

    def is_named(self, word: str) -> bool:
        """Whether an entry of CUDA_VISIBLE_DEVICES means this card."""
        if word.startswith(("GPU-", "MIG-")):
            return self.uuid.startswith(word) or self.whole.startswith(word)
        return word.isdecimal() and int(word) == self.index


def _smi(*arguments: str) -> list[str]:
    """Lines that nvidia-smi prints, none where it is missing or fails."""
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, encoding="utf-8", errors="replace",
            stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [] if done.returncode else done.stdout.splitlines()


def listed() -> list[Card]:
    """All cards that nvidia-smi lists; of a divided GPU its slices."""
    gpus: list[list[Card]] = []
    for line in _smi("-L"):
        if found := re.match(r"GPU (\d+): (.+) \(UUID: (\S+)\)", line):
            gpus.append([Card(found[3], found[2], int(found[1]), found[3])])
        elif gpus and (found := re.match(r"\s+MIG (\S+) .*\(UUID: (\S+)\)", line)):
            whole = gpus[-1][0]
            gpus[-1].append(replace(whole, uuid=found[2], name=f"{whole.name} MIG {found[1]}"))
    return [card for cards in gpus for card in (cards[1:] or cards)]


def visible(cards: list[Card] | None = None) -> list[Card]:
    """The cards that this process may use, of those that are listed.

    ``$CUDA_VISIBLE_DEVICES`` names them by index or UUID; as for CUDA, what follows a name that is
    not there is not used, and an index or UUID of a divided GPU means its first slice. A SLURM job
    to which no GPU was given has none.
    """
    cards = listed() if cards is None else cards
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [] if "SLURM_JOB_ID" in os.environ else cards
    found: list[Card] = []
    for word in given.split(","):
        named = [card for card in cards if card.is_named(word.strip())]
        if not named or named[0] in found:
            break
        found.append(named[0])
    return found


def locks() -> Path:
    """The folder of the locks of this user on this machine."""
    own = f"/run/user/{os.getuid()}"
    place = os.environ.get("XDG_RUNTIME_DIR") or (own if os.access(own, os.W_OK) else "/tmp")
    folder = Path(place, f"dynlib-gpus-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"the locks of the GPUs need a folder in {place}: {error.strerror}; set "
            "XDG_RUNTIME_DIR to a folder that can be written"
        ) from None
    return folder


#: Cards that were lent, each with the file that keeps it locked.
Lent = dict[Card, IO[str]]


class Cards:
    """The cards that a scheduler may lend.

    Parameters
    ----------
    limit : int, optional
        Most cards to use at once; all that are visible without it.
    share : int
        Runs of this scheduler that may use one card at once.
    """

    def __init__(self, limit: int | None = None, share: int = 1) -> None:
        everything = listed()
        self.uncounted = not everything and limit != 0  # as where nvidia-smi is not installed
        self.cards, self.share = visible(everything), share
        self.total = len(self.cards) if limit is None else min(limit, len(self.cards))

    def lend(self, n: int, busy: Counter[Card]) -> Lent | None:
        """`n` cards, locked, or None if so many are not free; `busy` counts runs by card."""
        lent: Lent = {}
        for card in sorted(self.cards, key=busy.__getitem__):
            fresh = {*busy, *lent, card}
            if len(lent) == n or busy[card] >= self.share or len(fresh) > self.total:
                continue
            file = (locks() / f"{re.sub('[^A-Za-z0-9-]', '_', card.uuid)}.lock").open(
                "a", encoding="utf-8"
            )
            try:
                kind = fcntl.LOCK_EX if self.share == 1 else fcntl.LOCK_SH
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:  # another scheduler has lent it
                file.close()
                continue
            lent[card] = file
        if len(lent) < n:
            give_back(lent)
            return None
        return lent


def give_back(lent: Lent) -> None:
    """Close the files of lent cards; a process that has inherited them still keeps the cards."""
    for file in lent.values():
        file.close()


def described() -> list[dict[str, Any]]:
    """The cards that this process may use: name, driver, and memory of a whole one."""
    query = "--query-gpu=uuid,driver_version,memory.total"
    rows = [line.split(", ") for line in _smi(query, "--format=csv,noheader,nounits")]
    facts = {each[0]: each[1:] for each in rows if len(each) == 3}
    found = []
    for card in visible():
        driver, memory = facts.get(card.whole, ("unknown", ""))
        whole = card.uuid == card.whole and memory.isdecimal()
        found.append(
            {"name": card.name, "driver": driver} | ({"memory_mb": int(memory)} if whole else {})
        )
    return found


def names(facts: Mapping[str, Any]) -> str:
    """The cards that a run has used, by its provenance; empty if it has used none."""
    counted = Counter(card["name"] for card in facts["machine"].get("gpus", []))
    return ", ".join(f"{n} × {name}" if n > 1 else name for name, n in counted.items())
