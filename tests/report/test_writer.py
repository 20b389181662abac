"""A token model as numbers for a page: complete, in the precision asked for, and not too large."""

import base64
import json

import numpy as np
import pytest
import torch

from dynlib.report import writer
from dynlib.report.playground import MIME
from dynlib.report.writer import Writer, layers_of, rounded
from dynlib.tokens.gpt import GPTConfig, TokenGPT, next_probabilities
from dynlib.tokens.grid import Grid


@pytest.fixture(params=["plain", "factorised"])
def written(request, henon_states):
    grid = Grid.fit(henon_states, 10)
    config = GPTConfig(
        grid.vocabulary, layers=2, heads=2, width=8, context=6, embedding=request.param
    )
    return Writer(TokenGPT(config, grid.cells), grid, grid.encode(henon_states)[:3, :20], "henon")


@pytest.mark.parametrize(("precision", "kind"), [("half", np.float16), ("single", np.float32)])
def test_every_weight_is_there_once_and_in_order(written, precision, kind):
    data = Writer(written.model, written.grid, written.prompts, "henon", precision).data()
    json.dumps(data, allow_nan=False)
    flat = np.frombuffer(base64.b64decode(data["weights"]), kind)
    sizes = [int(np.prod(shape)) for shape in data["shapes"].values()]
    assert len(flat) == sum(sizes)
    weights = layers_of(written.model)
    assert list(data["shapes"]) == list(weights)
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    for part, weight in zip(parts, weights.values(), strict=True):
        np.testing.assert_array_equal(part, weight.numpy().ravel().astype(kind))


def test_the_reference_is_that_of_the_rounded_model(written):
    found = written.data()["reference"]
    exact = next_probabilities(written.model, written.prompts[:1])[0]
    assert np.abs(found["probabilities"] - exact).max() < 1e-3
    again = next_probabilities(rounded(written.model), written.prompts[:1])[0]
    np.testing.assert_array_equal(found["probabilities"], again.tolist())
    assert len(found["greedy"]) == 50


def test_rounding_leaves_the_model_as_it_is(written):
    before = [weight.clone() for weight in written.model.parameters()]
    rounded(written.model)
    assert all(map(torch.equal, before, written.model.parameters()))


def test_a_model_that_is_too_large_is_not_exported(written, monkeypatch):
    assert MIME in written._repr_mimebundle_()
    monkeypatch.setattr(writer, "LARGEST", 100)
    assert list(written._repr_mimebundle_()) == ["text/plain"]
    assert "too large" in repr(written)


@pytest.mark.parametrize("given", [{"system": "mars"}, {"precision": "double"}])
def test_another_system_or_precision_is_refused(written, given):
    with pytest.raises(ValueError, match=r"henon|half"):
        Writer(written.model, written.grid, written.prompts, **{"system": "henon", **given})
