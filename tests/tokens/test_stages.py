"""Stages of a training: what is kept there, which one is chosen, and when the training ends."""

import dataclasses

import numpy as np
import pytest
import torch

from dynlib.tokens import training
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.recipes import Stage, TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.stages import at_stage, best_stage, passes
from dynlib.tokens.training import train
from dynlib.training import checkpoint, loop

MODEL = GPTConfig(vocabulary=6, layers=1, heads=2, width=16, context=8, dropout=0.1)
CONFIG = TrainingConfig(steps=24, batch_size=4, learning_rate=1e-2)
CYCLE = (np.arange(200)[None] + np.arange(4)[:, None]) % 6
STAGES = [2, 4, 6, 10, 16]


def weights(model):
    return dict(model.state_dict())


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def plain(steps):
    """A training of so many steps and no stages: what a stage must hold."""
    config = dataclasses.replace(CONFIG, steps=steps)
    return train(CYCLE, None, MODEL, config, device="cpu")


def staged(folder=None, *, held_out=CYCLE, **options):
    options = {"stages": STAGES} | options
    return train(CYCLE, None, MODEL, CONFIG, folder, validation=held_out, device="cpu", **options)


@pytest.fixture
def losses(monkeypatch):
    """Validation losses at the marks, in place of the model's."""

    def told(*values):
        left = iter(values)
        monkeypatch.setattr(training, "_validate", lambda model, held_out: next(left, None))

    return told


@pytest.fixture
def clock(monkeypatch):
    """A pretended time: a step takes a second, and nothing else takes any."""
    now = [0.0]
    original = training._Training.step

    def step(self, number):
        now[0] += 1.0
        return original(self, number)

    monkeypatch.setattr(training._Training, "step", step)
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])


def test_weights_and_losses_are_kept_at_every_stage_and_at_the_end(tmp_path):
    found = staged(tmp_path)
    assert [each.step for each in found.stages] == [*STAGES, 24]
    assert found.ended == "steps"
    for each in found.stages:
        assert each.tokens_seen == each.step * 4 * 8
        assert each.folder == tmp_path / "stages" / f"step-{each.step:09d}"
        assert_same(weights(at_stage(found, each)), weights(plain(each.step).model))
        assert checkpoint.load(each.folder)[1]["stage"]["step"] == each.step
    noted = [[each.step, each.training_loss, each.validation_loss] for each in found.stages]
    np.testing.assert_array_equal(found.history, noted)
    assert np.all(np.diff([each.seconds for each in found.stages]) > 0)
    assert found.tokens_seen == 24 * 4 * 8


@pytest.mark.parametrize("kept", [True, False])
def test_the_model_is_that_of_the_least_held_out_loss(tmp_path, losses, kept):
    losses(3.0, 2.0, 1.0, 1.5, 1.2, 1.1)
    found = staged(tmp_path if kept else None)
    assert found.ended == "steps"
    assert found.validation_loss == 1.0
    assert best_stage(found.stages) is found.stages[2]
    assert_same(weights(found.model), weights(plain(6).model))
    assert not found.model.training


def test_the_last_one_is_chosen_where_nothing_is_held_out(tmp_path):
    found = staged(tmp_path, held_out=None)
    assert found.validation_loss is None
    assert_same(weights(found.model), weights(plain(24).model))


def test_a_failed_model_is_not_chosen():
    stages = [Stage(k, k, 1.0, 1.0, loss, None) for k, loss in enumerate([np.nan, 2.0, np.nan])]
    assert best_stage(stages) is stages[1]


@pytest.mark.parametrize(
    ("patience", "values", "last", "why"),
    [
        (1, [3.0, 2.0, 2.5], 6, "patience"),
        (2, [3.0, 2.0, 2.5, 2.4, 2.6, 2.7], 24, "patience"),
        (2, [2.0, 2.5, 2.6], 6, "patience"),
        (0, [2.0, 2.1, 2.2, 2.3, 2.4, 2.5], 24, "steps"),
        (3, [3.0, 2.0, 2.5, 2.5, 2.6, 2.7], 24, "steps"),
    ],
)
def test_patience_counts_rises_in_a_row(losses, patience, values, last, why):
    losses(*values)
    found = staged(patience=patience)
    assert (found.stages[-1].step, found.ended) == (last, why)
    assert found.tokens_seen == last * 4 * 8
    assert found.history[-1, 0] == last
    assert found.validation_loss == min(values)


@pytest.mark.parametrize(
    ("seconds", "last", "why"),
    [(1, 2, "minutes"), (4, 4, "minutes"), (9, 6, "minutes"), (23.5, 16, "minutes"),
     (24, 24, "steps"), (0, 24, "steps")],
)  # fmt: skip
def test_the_training_ends_at_the_last_stage_that_fits(clock, seconds, last, why):
    found = staged(minutes=seconds / 60)
    assert (found.stages[-1].step, found.ended) == (last, why)
    assert [each.seconds for each in found.stages] == [each.step for each in found.stages]


@pytest.mark.parametrize("stop", [1, 4, 5, 11])
@pytest.mark.parametrize("options", [{}, {"patience": 2}, {"minutes": 16.5 / 60}])
def test_a_stopped_training_keeps_its_stages_and_its_clock(
    tmp_path, monkeypatch, clock, stopping, stop, options
):
    def score(model, held_out):  # least in the middle, as if the model memorised later
        norm = float(sum(w.detach().abs().sum() for w in model.parameters()))
        scores.setdefault(norm, abs(len(scores) - 2.25))
        return scores[norm]

    scores = {}
    monkeypatch.setattr(training, "_validate", score)
    whole = staged(tmp_path / "whole", **options)
    with stopping(stop):
        staged(tmp_path / "stopped", checkpoint_seconds=0, **options)
    found = staged(tmp_path / "stopped", **options)
    assert found.ended == whole.ended
    assert_same(weights(found.model), weights(whole.model))
    np.testing.assert_array_equal(found.history, whole.history)
    for ours, theirs in zip(found.stages, whole.stages, strict=True):
        place = tmp_path / "stopped" / "stages" / theirs.folder.name
        assert ours == dataclasses.replace(theirs, folder=place)
        assert_same(weights(at_stage(found, ours)), weights(at_stage(whole, theirs)))


def test_a_finished_training_is_loaded_with_its_stages(tmp_path, losses):
    losses(3.0, 2.0, 2.5, 2.6)
    first = staged(tmp_path / "a", patience=2)
    (tmp_path / "a").rename(tmp_path / "b")  # what is kept may move
    again = staged(tmp_path / "b", patience=2)  # no validation loss is left to be asked for
    assert_same(weights(again.model), weights(first.model))
    assert (again.ended, again.validation_loss) == ("patience", 2.0)
    assert [each.step for each in again.stages] == [2, 4, 6, 10]
    assert_same(weights(at_stage(again, again.stages[0])), weights(plain(2).model))


def test_without_stages_nothing_is_kept_of_them(tmp_path):
    found = staged(tmp_path, stages=())
    assert (found.stages, found.ended) == ((), "steps")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not {"stages", "ended"} & set(checkpoint.load(tmp_path / "model")[1])
    assert len(found.history) == 24


def test_a_stage_without_a_folder_cannot_be_loaded():
    found = staged()
    with pytest.raises(ValueError, match="got step 2 without a folder; give train a folder"):
        at_stage(found, found.stages[0])


def test_seeds_have_stages_and_keys_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    common = {"name": "x", "validation": CYCLE, "device": "cpu"}
    cells = np.zeros((6, 1), int)
    for k, options in enumerate(({}, {"stages": [2]}, {"stages": [2], "patience": 3},
                                 {"stages": [2], "minutes": 1e3})):  # fmt: skip
        (found,) = train_seeds(CYCLE, cells, MODEL, CONFIG, [0], **common, **options)
        assert len(list(tmp_path.iterdir())) == k + 1
        assert [each.step for each in found.stages] == ([2, 24] if options else [])
        for each in found.stages:
            at_stage(found, each)


def test_passes_are_counted_in_training_tokens():
    config = TrainingConfig(steps=5000, batch_size=8)
    hundred = [np.zeros(10_000, dtype=int)] * 99  # Hénon, as printed: 41 passes
    steps = passes(hundred, config, 1024)
    assert steps == [60, 121, 242, 363, 604, 1208, 2417, 4834, 5000]
    assert passes(hundred, config, 1024, at=[41, 50]) == [4955, 5000]
    assert passes(hundred, dataclasses.replace(config, steps=60), 1024) == [60]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stages": [4, 2]}, "ascending"),
        ({"stages": [2, 25]}, "from 1 to 24, got 25"),
        ({"stages": (), "minutes": 1.0}, "without stages, got 1.0 and 0"),
        ({"stages": (), "patience": 1}, "without stages, got 0.0 and 1"),
        ({"patience": 1, "held_out": None}, "where nothing is held out, got 1; give validation"),
    ],
)
def test_bad_stages_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        staged(**options)
