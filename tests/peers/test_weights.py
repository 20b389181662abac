"""Released weights: read by name into our networks, which compute what the authors' layers do."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from dynlib.networks.ffnn import FFNN
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN
from dynlib.peers import weights


def forward_transform(row, turns, first, last):
    """A branch's first transform, by the released code's order of operations."""
    half = len(row) // 2
    sums, differences = row[:half] + row[half:], (row[:half] - row[half:]) * turns[:half]
    if half == 2:
        parts = [sums @ first, differences @ last]
    else:
        parts = [forward_transform(x, turns[half:], first, last) for x in (sums, differences)]
    row = np.concatenate(parts)
    return np.concatenate([row[::2], row[1::2]])


def backward_transform(row, turns, first, last):
    half = len(row) // 2
    even, odd = row[::2], row[1::2]
    if half == 2:
        even, odd = even @ first, odd @ last
    else:
        even, odd = (backward_transform(x, turns[half:], first, last) for x in (even, odd))
    return np.concatenate([even + odd * turns[:half], even - odd * turns[:half]])


def as_their_layers(state, x, branches):
    """A structured network by the names of the authors' weights, for one state."""
    w = {name: weight.numpy().astype(float) for name, weight in state.items()}
    y = w["6.bias"].copy()
    for k in range(1, branches + 1):
        end, number = ("", "") if k == 1 else (f"_{k}", f"{k}")

        def transform(at, function, row, end=end, k=k):
            blocks = (w[f"{at}.F1_{i}{end}"] for i in (1, 2))
            return function(row * w[f"{at}.weights_D{end}"], w[f"{at}.d_dash{k}"], *blocks)

        padded = np.concatenate([x * w[f"0.weights_D{end}"], np.zeros(4)])
        blocks = (w[f"0.F1_{i}{end}"] for i in (1, 2))
        h = np.tanh(forward_transform(padded, w[f"0.d_dash{k}"], *blocks) + w[f"0.bias{number}"])
        h = transform(2, backward_transform, h)[:4] + w[f"2.bias{number}"]
        h = 1 / (1 + np.exp(-h)) * w[f"4.weights_D{end}"] + w[f"4.bias{number}"]
        y += np.maximum(h, 0) * w[f"6.weights_D{end}"]
    return y


@pytest.fixture
def clone(tmp_path):
    """Stand-ins with random weights, and their checksums."""
    return tmp_path, weights.write_stand_ins(tmp_path)


def test_every_file_is_read_as_the_network_that_it_holds(clone):
    folder, checksums = clone
    found = weights.read_released(folder, checksums)
    assert list(found) == list(weights.FILES)
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in found.items()}
    assert sizes == {
        "stnn_p1": 68, "stnn_p2": 132, "stnn_p2_so_called": 68, "stnn_p4": 260, "stnn_p6": 388,
        "stnn_p6_new": 388, "ffnn": 2073, "ffnn_new": 2073,
    }  # fmt: skip
    assert all(model.released for model in found.values() if isinstance(model, StNN))
    states = np.random.default_rng(0).normal(size=(5, 4))
    for name, (file, branches) in weights.FILES.items():
        state = torch.load(folder / "Trained_Models" / file, weights_only=True)
        with torch.no_grad():
            ours = found[name](torch.tensor(states[:, : found[name].n])).numpy()
        if branches:
            theirs = [as_their_layers(state, x, branches) for x in states]
        else:
            layers = [torch.nn.Linear(a, b) for a, b in ((3, 30), (30, 30), (30, 30), (30, 3))]
            between = [torch.nn.Tanh(), torch.nn.Sigmoid(), torch.nn.ReLU()]
            net = torch.nn.Sequential(layers[0], between[0], layers[1], between[1], layers[2],
                                      between[2], layers[3])  # fmt: skip
            net.load_state_dict(state)
            theirs = net.double()(torch.tensor(states[:, :3])).detach().numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_weights_that_differ_show(clone):
    """The names do not stand for each other: another value of any weight is another network."""
    model = StNN(4, 2, released=True, dtype=torch.float64)
    names = weights.released_names(model)
    assert len({each.data_ptr() for each in names.values()}) == len(names)
    assert sum(each.numel() for each in names.values()) == 132


class Hostile:
    def __reduce__(self):
        return print, ("executed",)


def test_a_file_that_is_not_the_released_one_is_refused(clone, capsys):
    folder, checksums = clone
    path = folder / "Trained_Models" / "SNN_model_p_4.pth"
    with pytest.raises(ValueError, match=r"must have the checksum .*, got .*; check out"):
        weights.read_released(folder)  # random weights are not those that we know
    torch.save({"6.weights_D": torch.ones(4)}, path)
    with pytest.raises(ValueError, match=r"SNN_model_p_4\.pth must have the checksum"):
        weights.read_released(folder, checksums)
    known = checksums | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(ValueError, match=r"must hold the weights of stnn_p4, got another 0\.F1_1"):
        weights.read_released(folder, known)
    torch.save({"6.weights_D": Hostile()}, path)
    known = checksums | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(Exception, match="print"):
        weights.read_released(folder, known)
    assert "executed" not in capsys.readouterr().out
    path.unlink()
    with pytest.raises(ValueError, match=r"got none; git clone https://github\.com/Hansaka006"):
        weights.read_released(folder, checksums)


def test_a_rollout_as_released_feeds_the_padding_back():
    model = StNN(4, 2, released=True, dtype=torch.float64)
    starts = np.random.default_rng(1).normal(size=(3, 3))
    found = weights.rollout_as_released(model, starts, 4)
    state = torch.nn.functional.pad(torch.tensor(starts), (0, 1)).float()
    single = StNN(4, 2, released=True)
    single.load_state_dict(model.state_dict())
    with torch.no_grad():
        for step in range(4):
            state = single(state)
            np.testing.assert_array_equal(found[:, step], state[:, :3].numpy())
    assert np.abs(found - rollout(model, starts, 4)).max() > 1e-4
    plain = FFNN(dtype=torch.float64)  # which has no padding
    close = weights.rollout_as_released(plain, starts, 4) - rollout(plain, starts, 4)
    assert np.abs(close).max() < 1e-5
