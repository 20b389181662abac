"""The loop of every training: steps, marks and checkpoints, and the same end after a stop."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch

from dynlib.training import checkpoint, loop


class Walk:
    """A weight that is halved and moved by a random number each step; its loss is the number."""

    over = False

    def __init__(self):
        self.weight, self.generator = torch.zeros(2), torch.Generator().manual_seed(3)
        self.taken, self.restored, self.stop = [], 0, None

    def step(self, number):
        if number == self.stop:
            raise KeyboardInterrupt
        self.taken.append(number)
        loss = torch.randn(2, generator=self.generator, dtype=torch.float64)
        self.weight = self.weight / 2 + loss.float()
        return loss

    def mark(self, loss, seconds):
        return [loss.tolist(), None]

    def state(self):
        return {"weight": self.weight, "inner": [{1: self.generator.get_state()}, 7]}

    def restore(self, state):
        self.restored += 1
        self.weight = state["weight"]
        self.generator.set_state(state["inner"][0][1])
        assert state["inner"][1] == 7


def undisturbed(steps=10, marks=3, **options):
    walk = Walk()
    return walk, loop.train(walk, steps, marks=loop.evenly(steps, marks), **options)


def without_seconds(history):
    return [[row[0], *row[2:]] for row in history]


@pytest.mark.parametrize(
    ("steps", "marks", "expected"),
    [(12, 4, [3, 6, 9, 12]), (5, 100, [1, 2, 3, 4, 5]), (10, 3, [3, 6, 9, 10]), (1, 1, [1])],
)
def test_marks_stand_at_equal_steps_and_at_the_end(steps, marks, expected):
    walk, history = undisturbed(steps, marks)
    assert walk.taken == list(range(steps))
    assert [row[0] for row in history] == expected
    seconds = [row[1] for row in history]
    assert seconds[0] > 0
    assert sorted(seconds) == seconds


def test_a_mark_gets_the_mean_since_the_mark_before():
    history = undisturbed()[1]
    generator = torch.Generator().manual_seed(3)
    losses = torch.stack(
        [torch.randn(2, generator=generator, dtype=torch.float64) for _ in range(10)]
    )
    for row, part in zip(history, losses.split([3, 3, 3, 1]), strict=True):
        np.testing.assert_allclose(row[2], part.mean(0), rtol=1e-14)
        assert row[3] is None


@pytest.mark.parametrize("stops", [[1], [3], [4], [9], [2, 2, 5, 7]])
def test_a_training_stopped_at_any_step_ends_in_the_same_digits(tmp_path, stops):
    whole, history = undisturbed()
    options = {"marks": loop.evenly(10, 3), "folder": tmp_path, "checkpoint_seconds": -1}
    taken = []
    for stop in [*stops, None]:
        walk = Walk()
        walk.stop = stop
        if stop is None:
            found = loop.train(walk, 10, **options)
        else:
            with pytest.raises(KeyboardInterrupt):
                loop.train(walk, 10, **options)
        assert walk.restored == 1
        taken += walk.taken
    assert taken == list(range(10))  # nothing is done again
    assert torch.equal(walk.weight, whole.weight)
    assert without_seconds(found) == without_seconds(history)
    seconds = [row[1] for row in found]
    assert sorted(seconds) == seconds


def test_seconds_add_up_over_a_stop(tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    whole = undisturbed()[1]
    walk = Walk()
    walk.stop = 5
    with pytest.raises(KeyboardInterrupt):
        loop.train(walk, 10, marks=loop.evenly(10, 3), folder=tmp_path, checkpoint_seconds=-1)
    found = loop.train(Walk(), 10, marks=loop.evenly(10, 3), folder=tmp_path)
    for row, undisturbed_row in zip(found, whole, strict=True):
        # every look at the clock takes a second: a few more of them are for checkpoints
        assert 0 <= row[1] - undisturbed_row[1] < 15


@pytest.mark.parametrize(
    "options", [{"writes": False, "checkpoint_seconds": -1}, {"checkpoint_seconds": 1e6}]
)
def test_checkpoints_are_written_only_when_due_and_by_one(tmp_path, options):
    undisturbed(folder=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_no_checkpoint_is_written_after_the_last_step(tmp_path):
    undisturbed(folder=tmp_path, checkpoint_seconds=-1)
    assert checkpoint.latest_step(tmp_path)[1]["step"] == 9


def test_a_mark_gets_the_seconds_so_far_and_may_end_the_training():
    class Brief(Walk):
        def mark(self, loss, seconds):
            self.over = len(self.taken) >= 6
            return [seconds]

    walk = Brief()
    history = loop.train(walk, 10, marks=loop.evenly(10, 3))
    assert walk.taken == list(range(6))
    assert [row[0] for row in history] == [3, 6]
    assert all(0 < told <= seconds for _, seconds, told in history)


def test_no_checkpoint_is_written_where_a_mark_has_ended_the_training(tmp_path):
    class Brief(Walk):
        def mark(self, loss, seconds):
            self.over = len(self.taken) >= 6
            return []

    loop.train(Brief(), 10, marks=loop.evenly(10, 3), folder=tmp_path, checkpoint_seconds=-1)
    assert checkpoint.latest_step(tmp_path)[1]["step"] == 5


class InPlace(Walk):
    """Changes its weight in place, as optimisers do."""

    def step(self, number):
        loss = super().step(number)
        self.held = getattr(self, "held", self.weight)
        self.held.copy_(self.weight)
        self.weight = self.held
        return loss


def test_a_checkpoint_is_that_of_its_step_though_training_goes_on(tmp_path, monkeypatch):
    gone_on, written, original = threading.Event(), [], checkpoint.save_step

    def late(folder, step, tensors, state):
        assert gone_on.wait(30)
        written.append(step)
        original(folder, step, tensors, state)

    class Watched(InPlace):
        def step(self, number):
            if number == 5:  # the write of step 1 is waiting, and four steps were taken since
                gone_on.set()
            return super().step(number)

    monkeypatch.setattr(checkpoint, "save_step", late)
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    loop.train(Watched(), 6, marks=[6], folder=tmp_path, checkpoint_seconds=1)
    assert written[0] == 1
    tensors, state = checkpoint.load(tmp_path / "step-000000001")
    found = checkpoint.unflatten(state["loop"], tensors)
    once = InPlace()
    loop.train(once, 1, marks=[1])
    assert torch.equal(found["trainee"]["weight"], once.weight)
    assert torch.equal(found["trainee"]["inner"][0][1], once.generator.get_state())
    assert (found["step"], found["counted"], found["history"]) == (1, 1, [])


@pytest.mark.parametrize("step", [2, 9])
def test_an_error_of_the_writing_thread_ends_the_training(tmp_path, monkeypatch, step):
    original = checkpoint.save_step

    def full(folder, at, tensors, state):
        if at == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(folder, at, tensors, state)

    monkeypatch.setattr(checkpoint, "save_step", full)
    walk = Walk()
    with pytest.raises(OSError, match="No space"):
        loop.train(walk, 10, marks=loop.evenly(10, 3), folder=tmp_path, checkpoint_seconds=-1)
    assert len(walk.taken) == min(step + 1, 10)
    assert checkpoint.latest_step(tmp_path)[1]["step"] == step - 1


class Clock:
    """A pretended time, which only work moves on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for name in ("monotonic", "perf_counter"):
            monkeypatch.setattr(loop.time, name, lambda: self.now)


class AtOnce:
    """Stands for a pool of one thread: what is submitted is done before anything else."""

    def __init__(self, *_, **__):
        pass

    def submit(self, call, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future

    def shutdown(self):
        pass


@pytest.mark.parametrize(
    ("a_write", "least", "wanted"),
    [(0.01, 15.0, 65), (7.0, 15.0, 2), (40.0, 15.0, 0), (0.02, 0.25, 900)],
)
def test_on_a_slow_disk_checkpoints_take_two_percent_of_the_time(
    tmp_path, monkeypatch, a_write, least, wanted
):
    clock, writers = Clock(monkeypatch), []

    class Slow(checkpoint.Writer):
        def __init__(self, folder):
            super().__init__(folder)
            writers.append(self)

    class Steady(Walk):
        def step(self, number):
            clock.now += 0.1
            return super().step(number)

    def save(folder, step, tensors, state):
        clock.now += a_write

    monkeypatch.setattr(checkpoint, "Writer", Slow)
    monkeypatch.setattr(checkpoint, "ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr(checkpoint, "save_step", save)
    # What is expected of the disk before it is measured is right here.
    monkeypatch.setattr(checkpoint, "BYTES_A_SECOND", 5e3 / a_write)
    loop.train(Steady(), 10_000, marks=[10_000], folder=tmp_path, checkpoint_seconds=least)
    costs = writers[0].costs
    assert sum(costs) <= 0.02 * clock.now
    assert len(costs) >= wanted
    assert len(costs) <= clock.now / least


KILLED = """
import pathlib, sys, time
sys.path.insert(0, {tests!r})
from dynlib.training import checkpoint, loop
from test_loop import InPlace
original = checkpoint._digest
def slow(path):  # the tensors are on disk, the rest is not
    time.sleep(0.2)
    return original(path)
checkpoint._digest = slow
class Slow(InPlace):
    def step(self, number):
        time.sleep(0.02)
        return super().step(number)
folder = pathlib.Path({folder!r})
loop.train(Slow(), 400, marks=loop.evenly(400, 3), folder=folder, checkpoint_seconds=-1)
"""


def test_a_kill_while_the_thread_writes_still_ends_in_the_same_digits(tmp_path):
    whole = InPlace()
    history = loop.train(whole, 400, marks=loop.evenly(400, 3))
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while not (list(tmp_path.glob("step-?????????")) and list(tmp_path.glob("*.part"))):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert list(tmp_path.glob("*.part"))
    walk = InPlace()
    found = loop.train(walk, 400, marks=loop.evenly(400, 3), folder=tmp_path)
    assert 0 < walk.taken[0] < 400
    assert torch.equal(walk.weight, whole.weight)
    assert without_seconds(found) == without_seconds(history)


def test_one_process_announces(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_PROGRESS", str(tmp_path / "lines"))
    undisturbed(writes=False, label="quiet")
    assert not (tmp_path / "lines").exists()
    undisturbed(label="loud")
    lines = (tmp_path / "lines").read_text(encoding="utf-8").splitlines()
    assert lines[-1].startswith("loud: 10 of 10, loss ")
