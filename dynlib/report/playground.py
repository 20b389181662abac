r"""Models of a run as plain numbers, for a page of the book that computes with them by itself.

Whatever a model is, its step becomes one of three maps: dense layers, a quadratic field with its
integrator, or a polynomial increment. The book's ``playground/dynamics.js`` evaluates them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import DOP853

from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.sindy import SparseField
from dynlib.measure.forecaster import Forecaster
from dynlib.measure.rollout import accumulated_mse, step_errors
from dynlib.networks.ffnn import FFNN
from dynlib.networks.forecaster import NetworkForecaster
from dynlib.networks.stnn import StNN, multiplied_out
from dynlib.report.forecasts import LABELS
from dynlib.report.style import COLOURS, DARK

#: Type of the notebook's output, by which the book finds it.
MIME = "application/vnd.companion.models+json"
#: Steps of a forecast that the page's own arithmetic is compared with.
CHECKED = 50
ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")

Model = StNN | FFNN | SparseField | PolynomialMap


def as_layers(model: StNN | FFNN, dim: int) -> dict[str, Any]:
    r"""The map of a network of raw states as four dense layers.

    The factors of a structured network are multiplied out, its branches stand on the diagonal
    of one matrix, and inputs and outputs beyond `dim`, its padding, are left out.

    Examples
    --------
    >>> layers = as_layers(StNN(4, 6), dim=3)["layers"]
    >>> [(len(each["weight"]), len(each["weight"][0])) for each in layers]
    [(48, 3), (24, 48), (24, 24), (3, 24)]
    """
    w = {name: weight.detach() for name, weight in model.named_parameters()}
    if isinstance(model, StNN):
        if model.linear:
            raise ValueError("a linear StNN has other activations than as_layers writes down")
        first, second, fourth = multiplied_out(model)
        weights = (
            first.flatten(0, 1)[:, :dim],
            torch.block_diag(*second),
            torch.diag(w["diagonal_3"].flatten()),
            fourth[:dim],
        )
        biases = *(w[f"bias_{layer}"].flatten() for layer in (1, 2, 3)), w["bias_4"][:dim]
    else:
        weights = tuple(w[f"weight_{layer}"] for layer in (1, 2, 3, 4))
        biases = tuple(w[f"bias_{layer}"] for layer in (1, 2, 3, 4))
    layers = [
        {"weight": weight.tolist(), "bias": bias.tolist(), "activation": activation}
        for weight, bias, activation in zip(weights, biases, ACTIVATIONS, strict=True)
    ]
    return {"kind": "layers", "layers": layers}


def as_map(model: Model, dim: int, substeps: int = 2) -> dict[str, Any]:
    """The step of any model as numbers, lists and names; `substeps` are those of a field."""
    if isinstance(model, StNN | FFNN):
        return as_layers(model, dim)
    coefficients = model.coefficients.tolist()
    if isinstance(model, SparseField):
        return {"kind": "field", "coefficients": coefficients, "substeps": substeps}
    return {
        "kind": "polynomial",
        "degree": model.monomials.degree,
        "mean": model.mean.tolist(),
        "scale": model.scale.tolist(),
        "coefficients": coefficients,
    }


@dataclass(frozen=True, repr=False)
class Playground:
    r"""Everything that a page needs to forecast from a start that the reader chooses.

    A notebook displays it as an output of the type :data:`MIME`, in full double precision, which
    the book takes from the executed notebook; anywhere else it is one line of text.

    Parameters
    ----------
    models : dict of str to object
        Method -> :class:`~dynlib.networks.stnn.StNN`, :class:`~dynlib.networks.ffnn.FFNN`,
        :class:`~dynlib.identify.sindy.SparseField` or
        :class:`~dynlib.identify.polynomial.PolynomialMap`; as ``"true"`` the true field.
    starts : numpy.ndarray
        States on the attractor, shape (S, dim).
    reference : dict of str to numpy.ndarray
        Method -> Python's states at steps 1, 2, … from ``starts[0]``, shape (steps, dim): what
        the page's own arithmetic is compared with.
    dt, spread, exponent, threshold : float
        As for :func:`dynlib.measure.rollout.valid_time`.

    Raises
    ------
    ValueError
        If a model, a label or a reference is missing, or a number is not finite.

    Examples
    --------
    >>> still = SparseField(np.zeros((3, 10)), dt=0.01)
    >>> Playground({"true": still}, np.zeros((1, 3)), {"true": np.zeros((5, 3))}, 0.01, 1.0, 0.9)
    models of a playground: truth
    """

    models: Mapping[str, Model]
    starts: np.ndarray
    reference: Mapping[str, np.ndarray]
    dt: float
    spread: float
    exponent: float
    threshold: float = 0.4

    @classmethod
    def of(
        cls,
        methods: Mapping[str, Sequence[Forecaster]],
        predictions: Mapping[str, np.ndarray],
        truth: np.ndarray,
        starts: np.ndarray,
        true_field: SparseField,
        **rule: float,
    ) -> Playground:
        """A playground of some methods, each with the model whose error is the median.

        Parameters
        ----------
        methods : mapping of str to sequence of Forecaster
            Method -> its models, one a seed.
        predictions : mapping of str to numpy.ndarray
            Method -> their states at steps 1, 2, …, shape (seeds, S, steps, dim).
        truth, starts : numpy.ndarray
            True states at those steps, (S, steps, dim), and at step 0, (S, dim).
        true_field : SparseField
            The true equations.
        **rule : float
            `dt`, `spread` and `exponent`.
        """
        models: dict[str, Any] = {"true": true_field}
        paths = {"true": truth[0]}
        for name, found in methods.items():
            errors = [
                np.median(accumulated_mse(step_errors(path, truth), truth.shape[1]))
                for path in predictions[name]
            ]
            middle = np.argsort(errors)[(len(errors) - 1) // 2]
            model = found[middle]
            models[name] = model.model if isinstance(model, NetworkForecaster) else model
            paths[name] = predictions[name][middle, 0]
        return cls(models, starts, {name: path[:CHECKED] for name, path in paths.items()}, **rule)

    def __post_init__(self) -> None:
        if "true" not in self.models or set(self.models) != set(self.reference):
            raise ValueError(
                "models must hold 'true', and reference the same names, got "
                f"{sorted(self.models)} and {sorted(self.reference)}"
            )
        if unknown := sorted(set(self.models) - set(LABELS)):
            raise ValueError(
                f"{unknown[0]!r} has no label; there are labels of {', '.join(LABELS)}"
            )
        numbers: dict[str, Any] = {
            "starts": self.starts,
            "dt, spread, exponent, threshold": [
                self.dt, self.spread, self.exponent, self.threshold
            ],
        } | {f"reference of {name!r}": path for name, path in self.reference.items()}  # fmt: skip
        for name, values in numbers.items():
            if not np.isfinite(values).all():
                raise ValueError(
                    f"{name} must be finite: a page cannot be compared with anything else"
                )

    def __repr__(self) -> str:
        return "models of a playground: " + "; ".join(LABELS[name] for name in self.models)

    def data(self) -> dict[str, Any]:
        """What the page reads, in the types of JSON; each colour for light and for dark."""
        dim = self.starts.shape[1]
        return {
            "dt": float(self.dt),
            "spread": float(self.spread),
            "exponent": float(self.exponent),
            "threshold": float(self.threshold),
            # Forecasts are measured against the truth: it takes steps half as long.
            "models": {
                name: {
                    "label": LABELS[name],
                    "colour": [COLOURS[name], DARK.get(COLOURS[name], COLOURS[name])],
                    **as_map(model, dim, substeps=4 if name == "true" else 2),
                }
                for name, model in self.models.items()
            },
            "tableau": {
                "inner": [row[:stage].tolist() for stage, row in enumerate(DOP853.A)],
                "outer": DOP853.B.tolist(),
            },
            "starts": self.starts.tolist(),
            "reference": {name: np.asarray(path).tolist() for name, path in self.reference.items()},
        }

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        return {MIME: self.data(), "text/plain": repr(self)}
