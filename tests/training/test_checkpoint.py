"""Checkpoints: whole or named as damaged, whatever happened to the files."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynlib.training import checkpoint

TENSORS = {"w": torch.arange(12.0).reshape(3, 4), "n": torch.tensor(7)}


def test_round_trip_and_replacement(tmp_path):
    checkpoint.save(tmp_path / "a", TENSORS, {"step": 1})
    checkpoint.save(tmp_path / "a", TENSORS, {"step": 2})
    tensors, state = checkpoint.load(tmp_path / "a")
    assert state == {"step": 2}
    assert all(torch.equal(tensors[k], v) for k, v in TENSORS.items())
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["tensors.safetensors", "state.json"]),
    place=st.floats(0, 1, exclude_max=True),
    change=st.integers(1, 255),
)
def test_any_changed_byte_is_noticed(tmp_path_factory, name, place, change):
    folder = tmp_path_factory.mktemp("c") / "a"
    checkpoint.save(folder, TENSORS, {"step": 1, "history": [[1, 0.5]]})
    data = bytearray((folder / name).read_bytes())
    at = int(place * len(data))
    if name == "state.json" and chr(data[at]).isspace():
        return  # white space between the values of JSON means nothing
    data[at] = (data[at] + change) % 256
    (folder / name).write_bytes(data)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="delete") as caught:
        checkpoint.load(folder)
    assert str(folder) in str(caught.value)


def test_the_newest_whole_step_is_found_and_two_are_kept(tmp_path):
    for step in range(1, 5):
        checkpoint.save_step(tmp_path, step, TENSORS, {})
    assert len(list(tmp_path.glob("step-*"))) == 2
    (tmp_path / "step-000000004" / "state.json").write_bytes(b"\xff\xfe")
    assert checkpoint.latest_step(tmp_path)[1]["step"] == 3
    assert checkpoint.latest_step(tmp_path / "nowhere") is None


class Computation:
    """Leaves a checkpoint, counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, checkpoints):
        self.calls += 1
        if checkpoints is not None:
            checkpoint.save_step(checkpoints, self.calls, TENSORS, {})
        return TENSORS, {"calls": self.calls}


def test_what_is_finished_is_kept_and_its_checkpoints_are_not(tmp_path):
    compute = Computation()
    for _ in range(2):
        tensors, state = checkpoint.finished(tmp_path, compute)
        assert state == {"calls": 1}
        assert torch.equal(tensors["w"], TENSORS["w"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "model" / "state.json").write_text("{", encoding="utf-8")
    assert checkpoint.finished(tmp_path, compute)[1] == {"calls": 2}
    assert checkpoint.load(tmp_path / "model")[1] == {"calls": 2}


def test_what_is_finished_is_kept_by_one_process_and_in_a_folder(tmp_path):
    compute = Computation()
    assert checkpoint.finished(None, compute)[1] == {"calls": 1}
    assert checkpoint.finished(tmp_path, compute, writes=False)[1] == {"calls": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]  # the other deletes them


def test_nested_states_survive():
    nested = {0: {"step": torch.tensor(3.0), "betas": (0.9, 0.99)}, "groups": [{"lr": 0.1}]}
    tensors = {}
    skeleton = checkpoint.flatten(nested, "o", tensors)
    back = checkpoint.unflatten(skeleton, tensors)
    assert back[0]["step"] == 3
    assert back[0]["betas"] == [0.9, 0.99]
    assert back["groups"][0]["lr"] == 0.1
