"""Plain lines of progress: what is computed, how far it is, how long it will still take.

Under the runner they go to the file named by ``$DYNLIB_PROGRESS``, which the runner shows on
the terminal, and never to the page; by hand they go to standard output.
"""

from __future__ import annotations

import os
import time


def say(text: str) -> None:
    """Emit one line."""
    path = os.environ.get("DYNLIB_PROGRESS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    else:
        print(text, flush=True)


def announce(what: str, seconds: float, *, least: float = 30.0) -> None:
    """Say what a computation will cost, before it begins, where that is `least` seconds or more."""
    if seconds >= least:
        say(f"{what}: about {max(1, round(seconds / 60))} min on one core")


class Meter:
    """Reports how far a loop has come, at most every `interval` seconds.

    Of `total` units some were `done` before the start, when a loop is resumed.
    """

    def __init__(self, what: str, total: int, *, done: int = 0, interval: float = 10.0) -> None:
        self.what, self.total, self.start_done, self.interval = what, total, done, interval
        self.start = self.last = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """Say where the loop stands, if the last line is old enough."""
        now = time.monotonic()
        if now - self.last < self.interval and done < self.total:
            return
        self.last = now
        fresh = done - self.start_done
        left = (now - self.start) / fresh * (self.total - done) if fresh else float("nan")
        ending = f", about {left:.0f} s left" if done < self.total and fresh else ""
        say(f"{self.what}: {done} of {self.total}{f', {note}' if note else ''}{ending}")
