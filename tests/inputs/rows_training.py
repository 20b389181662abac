"""The public names of ``dynlib.training``, with right values of their arguments."""

from __future__ import annotations

import numpy as np
import torch
from kinds import Choice, Count, Flag, Number, Thing, row

from dynlib.training import artefacts, device, loop, parallel

NAMES = "names and states are written in this library, and by the runner"
SOURCES = "reads the source of this library for the runner"
#: What has no input to refuse, and why.
EXEMPT = {
    **{
        f"training.artefacts.{name}": NAMES
        for name in ("each_trained", "hand_over", "handed", "handed_folder", "kept")
    },
    "training.checkpoint.DamagedCheckpoint": "an error",
    **{
        f"training.checkpoint.{name}": NAMES
        for name in (
            "artefact_folder", "exclusive", "finished", "flatten", "latest_step", "load", "save",
            "save_step", "unflatten", "Writer", "Writer.offer",
        )
    },
    "training.loop.Trainee": "a protocol",
    **{f"training.loop.Trainee.{name}": "a protocol" for name in ("mark", "restore", "step")},
    "training.progress.Meter": "its numbers come from loops",
    "training.progress.Meter.update": "its numbers come from loops",
    "training.progress.announce": "its numbers come from counts of operations",
    "training.progress.say": "any text is a line",
    **{
        f"training.sources.{name}": SOURCES
        for name in (
            "Mentions", "Mentions.add", "Mentions.has", "Reach", "canonical", "closure", "digest",
            "distributions", "fingerprint", "imports", "matters", "module_file", "tree_of",
            "worded",
        )
    },
}  # fmt: skip


class Counter:
    """Counts its steps."""

    over = False

    def __init__(self):
        self.count = torch.zeros(1)

    def step(self, number):
        self.count += 1
        return self.count.clone()

    def mark(self, loss, seconds):
        return [loss.item()]

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"].clone()


def trained(trainee, **options):
    made = Counter() if trainee == "own" else trainee
    return [row[::2] for row in loop.train(made, **options)]


def threads(n):
    before = torch.get_num_threads()
    parallel.set_threads(n)
    torch.set_num_threads(before)


NOT_MARKS = {
    "count": 3, "none": [], "without the end": [1, 2], "past the end": [3, 4], "falling": [2, 1, 3],
    "repeated": [1, 1, 3], "zero": [0, 3], "floats": [1.0, 3.0],
}  # fmt: skip

ROWS = [
    row(
        "training.artefacts.digest", lambda array: artefacts.digest(array),
        array=Thing(np.arange(3.0), others={"objects": np.array([None]), "list": [1.0]}),
    ),
    row("training.device.resolve_device", device.resolve_device, device=Choice("cpu")),
    row("training.device.on_gpu", device.on_gpu, device=Choice("cpu")),
    row("training.loop.evenly", loop.evenly, steps=Count(5), n=Count(2)),
    row(
        "training.loop.train", lambda **o: trained(**o),
        trainee=Thing("own", others={"class": dict}), steps=Count(3),
        marks=Thing([1, 2, 3], others=NOT_MARKS),
        folder=Thing(None, {"None": "no checkpoint is kept"}), checkpoint_seconds=Number(15.0),
        label=Thing("training", dict.fromkeys(("text", "unicode digits"), "any text")),
        writes=Flag(True),
    ),
    row("training.parallel.set_threads", threads, n=Count(1)),
    row(
        "training.parallel.default_workers", parallel.default_workers, device=Choice("cpu"),
    ),
    row(
        "training.parallel.map_processes", parallel.map_processes,
        function=Thing(complex), jobs=Thing([{"real": 1.0}], others={"no dicts": [3]}),
        workers=Count(1),
    ),
]  # fmt: skip
