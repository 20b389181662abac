"""The loop of every training: steps, marks and checkpoints, and the same end after a stop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynlib.training import checkpoint, loop


class Walk:
    """A weight that is halved and moved by a random number each step; its loss is the number."""

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

    def mark(self, loss):
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
    return walk, loop.train(walk, steps, marks=marks, **options)


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
    options = {"marks": 3, "folder": tmp_path, "checkpoint_seconds": -1}
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
        loop.train(walk, 10, marks=3, folder=tmp_path, checkpoint_seconds=-1)
    found = loop.train(Walk(), 10, marks=3, folder=tmp_path)
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


def test_one_process_announces(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_PROGRESS", str(tmp_path / "lines"))
    undisturbed(writes=False, label="quiet")
    assert not (tmp_path / "lines").exists()
    undisturbed(label="loud")
    lines = (tmp_path / "lines").read_text(encoding="utf-8").splitlines()
    assert lines[-1].startswith("loud: 10 of 10, loss ")
