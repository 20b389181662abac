"""Models as numbers: what is exported is the model, in full precision, and nothing is missing."""

import json

import nbformat
import numpy as np
import pytest
import torch

from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.sindy import SparseField
from dynlib.networks.ffnn import FFNN
from dynlib.networks.forecaster import NetworkForecaster
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN
from dynlib.report.playground import MIME, Playground, as_layers, as_map
from workflow.runs.outputs import MODELS, models

ACTIVATE = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "linear": lambda z: z,
}
STATES = np.random.default_rng(3).normal(size=(20, 3))


def network(kind: type, *size) -> StNN | FFNN:
    model = kind(*size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
        model.bias_3.abs_().add_(1)  # few units are dead
    return model


@pytest.mark.parametrize(
    "model", [network(StNN, 4, 6), network(StNN, 4, 1), network(FFNN, (3, 5, 4, 6, 3))], ids=repr
)
def test_the_layers_are_the_network(model):
    states = STATES
    for layer in json.loads(json.dumps(as_layers(model, 3)))["layers"]:
        states = states @ np.array(layer["weight"]).T + layer["bias"]
        states = ACTIVATE[layer["activation"]](states)
    expected = rollout(model, STATES, 1)[:, 0]
    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(states, expected, rtol=0, atol=1e-12)


def test_a_field_and_a_polynomial_keep_every_digit():
    field = SparseField(np.random.default_rng(0).normal(size=(3, 10)), 0.01)
    fit = PolynomialMap.fit(STATES[:-1], STATES[1:], 2)
    for model, names in ((field, ("coefficients",)), (fit, ("coefficients", "mean", "scale"))):
        back = json.loads(json.dumps(as_map(model, 3)))
        for name in names:
            np.testing.assert_array_equal(back[name], getattr(model, name))


def still(**changes) -> Playground:
    arguments = {
        "models": {"true": SparseField(np.zeros((3, 10)), 0.01)},
        "starts": STATES[:2],
        "reference": {"true": STATES[:5]},
        "dt": 0.01,
        "spread": 2.0,
        "exponent": 0.9,
    }
    return Playground(**arguments | changes)


def test_the_book_takes_the_last_output_of_its_type_from_a_notebook():
    assert MIME == MODELS
    data = still()._repr_mimebundle_()
    outputs = [nbformat.v4.new_output("display_data", each) for each in ({"text/plain": "x"}, data)]
    cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell(outputs=outputs)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    found = json.loads(models(nbformat.reads(nbformat.writes(notebook), as_version=4)))
    assert found == json.loads(json.dumps(still().data()))
    np.testing.assert_array_equal(found["reference"]["true"], STATES[:5])
    notebook.cells[1].outputs = outputs[:1]  # as of an older notebook
    assert models(notebook) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": {}}, "models must hold 'true'"),
        ({"reference": {}}, "reference the same names"),
        ({"starts": np.full((1, 3), np.nan)}, "starts must be finite"),
        ({"reference": {"true": np.full((5, 3), np.inf)}}, "reference of 'true' must be finite"),
        ({"spread": np.nan}, "spread, exponent, threshold must be finite"),
    ],
)
def test_what_is_missing_or_not_finite_is_named(changes, words):
    with pytest.raises(ValueError, match=words):
        still(**changes)


def test_a_method_without_a_name_for_readers_is_refused():
    field = SparseField(np.zeros((3, 10)), 0.01)
    with pytest.raises(ValueError, match="'guess' has no label; there are labels of true"):
        still(
            models={"true": field, "guess": field},
            reference=dict.fromkeys(("true", "guess"), STATES),
        )


def test_another_activation_than_the_page_knows_is_refused():
    with pytest.raises(ValueError, match="linear StNN"):
        as_layers(StNN(4, 1, linear=True), 3)


def test_of_several_seeds_the_one_with_the_median_error_is_exported():
    field = SparseField(np.zeros((3, 10)), 0.01)
    nets = [NetworkForecaster(network(FFNN, (3, 4, 4, 4, 3))) for _ in range(3)]
    truth, starts = np.zeros((2, 60, 3)), STATES[:2]
    errors = np.array([3.0, 1.0, 2.0])[:, None, None, None]
    predictions = {"ffnn": errors * np.ones((3, 2, 60, 3)), "sindy_fd2": np.ones((1, 2, 60, 3))}
    found = Playground.of(
        {"ffnn": nets, "sindy_fd2": [field]}, predictions, truth, starts, field,
        dt=0.01, spread=2.0, exponent=0.9,
    )  # fmt: skip
    assert found.models == {"true": field, "ffnn": nets[2].model, "sindy_fd2": field}
    np.testing.assert_array_equal(found.reference["ffnn"], np.full((50, 3), 2.0))
    np.testing.assert_array_equal(found.reference["true"], truth[0, :50])
    assert set(found.data()["models"]) == {"true", "ffnn", "sindy_fd2"}
