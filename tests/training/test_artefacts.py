"""Artefacts: computed once, by one at a time, whole or not at all."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import torch

from dynlib.training.artefacts import digest, hand_over, handed, kept

MODULES = ["dynlib.training.artefacts"]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    return tmp_path


class Computation:
    """Counts its calls; each result is another one."""

    def __init__(self):
        self.calls = 0

    def __call__(self, folder):
        self.calls += 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "half").write_text("done", encoding="utf-8")
        return {"w": torch.tensor([float(self.calls)])}, {"call": self.calls}


def test_what_was_computed_is_loaded(root):
    compute = Computation()
    for _ in range(3):
        tensors, state = kept("kind", {"a": 1}, MODULES, compute)
        assert tensors["w"].tolist() == [1.0]
        assert state == {"call": 1}
    (folder,) = root.iterdir()
    assert folder.name.startswith("kind-")
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize(
    "key",
    [
        ("other", {"a": 1}, MODULES),
        ("kind", {"a": 2}, MODULES),
        ("kind", {"a": 1}, ["dynlib.report.record"]),
    ],
)
def test_another_key_is_another_artefact(key):
    compute = Computation()
    kept("kind", {"a": 1}, MODULES, compute)
    assert kept(*key, compute)[1] == {"call": 2}


def test_who_wants_the_same_at_the_same_time_waits():
    compute, found = Computation(), []

    def second():
        found.append(kept("kind", {}, MODULES, compute)[1])

    other = threading.Thread(target=second, daemon=True)

    def first(folder):
        other.start()
        other.join(timeout=0.2)
        assert other.is_alive()
        assert compute.calls == 0
        return compute(folder)

    assert kept("kind", {}, MODULES, first)[1] == {"call": 1}
    other.join(timeout=60)
    assert found == [{"call": 1}]
    assert compute.calls == 1


def test_an_interruption_leaves_nothing_finished_but_its_checkpoints(root):
    def interrupted(folder):
        folder.mkdir()
        (folder / "step").write_text("7", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept("kind", {}, MODULES, interrupted)
    (folder,) = root.iterdir()
    assert not (folder / "model").exists()

    def resumed(checkpoints):
        assert (checkpoints / "step").read_text(encoding="utf-8") == "7"
        return {"w": torch.ones(1)}, {}

    kept("kind", {}, MODULES, resumed)  # the lock is free again
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_artefact_is_computed_again(root, name):
    compute = Computation()
    kept("kind", {}, MODULES, compute)
    (file,) = root.glob(f"*/model/{name}")
    file.write_bytes(file.read_bytes()[:-3])
    assert kept("kind", {}, MODULES, compute)[1] == {"call": 2}
    assert kept("kind", {}, MODULES, compute)[1] == {"call": 2}


def test_a_digest_sees_values_shapes_types_and_order():
    a, b = np.arange(6.0), np.ones(2)
    different = [
        (a,), (b,), (a + 1e-12,), (a.reshape(2, 3),), (a.reshape(3, 2),), (a.astype(np.float32),),
        (a.astype(">f8"),), (a.astype(np.int64),), (a, b), (b, a), (a[:3], a[3:]), (a[::-1],), (),
        (a, np.empty(0)),
    ]  # fmt: skip
    for one, two in itertools.combinations(different, 2):
        assert digest(*one) != digest(*two)


def test_a_digest_sees_no_layout_in_memory():
    a = np.arange(12.0).reshape(3, 4)
    assert digest(a) == digest(np.asfortranarray(a)) == digest(np.repeat(a, 2, axis=1)[:, ::2])


def test_what_is_handed_over_is_found_by_name(root, monkeypatch):
    monkeypatch.setenv("DYNLIB_HAND_OVER", str(root / "handed"))
    monkeypatch.setenv("DYNLIB_HANDED", str(root / "handed"))
    hand_over("maker", "weights", {"w": torch.ones(2)}, {"step": 3})
    tensors, state = handed("maker", "weights")
    assert tensors["w"].tolist() == [1.0, 1.0]
    assert state == {"step": 3}


def test_what_was_not_handed_over_or_is_damaged_names_the_run(root, monkeypatch):
    monkeypatch.setenv("DYNLIB_HANDED", str(root))
    with pytest.raises(ValueError, match=r"which maker hands over, is not there; run maker first"):
        handed("maker", "weights")
    monkeypatch.setenv("DYNLIB_HAND_OVER", str(root))
    hand_over("maker", "weights", {"w": torch.ones(2)}, {})
    (root / "maker" / "weights" / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="which maker hands over, is damaged; run maker first"):
        handed("maker", "weights")
