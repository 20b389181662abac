"""Figures of the token runs: what is drawn is read back from the axes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynlib.report import flows, record, style
from dynlib.report.figures import tokens as figures
from dynlib.tokens.grid import Grid


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)
    record.clear()
    yield
    record.clear()
    assert plt.get_fignums() == []  # each was closed: a notebook shows it once


#: Four by four cells of a plane, the last of which has no token.
PLANE = Grid(np.array([0.0, 10.0]), np.array([4.0, 14.0]), 4, np.arange(15))
SPACE = Grid(np.zeros(3), np.full(3, 8.0), 8, np.arange(512))


def lines(axes, marker=None):
    """Coordinates of the lines of an axes, all or those of a marker."""
    found = [line for line in axes.lines if marker in (None, line.get_marker())]
    return [np.column_stack(line.get_data()) for line in found]


def shaded(axes):
    """Centres and extents of the filled cells, with their opacities."""
    (patches,) = axes.collections
    boxes = [path.get_extents() for path in patches.get_paths()]
    centres = [[(b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2] for b in boxes]
    return np.array(centres), np.array([[b.width, b.height] for b in boxes]), patches.get_alpha()


def test_cells_are_those_of_the_grid():
    states = np.array([[0.5, 10.5], [3.0, 13.0]])
    shown = figures.cells(PLANE, states)
    (axes,) = shown.figure.axes
    centres, sizes, _ = shaded(axes)
    np.testing.assert_allclose(centres, PLANE.centres)
    np.testing.assert_allclose(sizes, 1.0)
    np.testing.assert_array_equal(lines(axes)[0], states)
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 4), (10, 14))
    assert shown.name == "cells"


def test_context_says_in_words_where_its_curves_go():
    networks = np.array([[3.0, 2.0, 1.5]])
    shown = figures.context([1, 3, 4], networks, np.array([3.0, 1.25, 2.5]), floor=1.2, kind="flow")
    (axes,) = shown.figure.axes
    np.testing.assert_array_equal(lines(axes, "o")[0], [[1, 3.0], [3, 2.0], [4, 1.5]])
    assert axes.get_ylim()[0] == 0
    assert shown.caption.endswith("until its contexts become too rare.")
    assert "the n-grams start at 3.00, reach 1.25 at 2 tokens and end at 2.50" in shown.alt
    assert "GPT-2 starts at 3.00 and ends at 1.50" in shown.alt
    assert shown.name == "context"


def test_density_is_the_share_of_visits_at_the_place_of_the_cell():
    visits = np.array([0, 0, 0, 6])
    methods = ("true", "model", "greedy", "markov")
    shown = figures.density(dict.fromkeys(methods, visits), PLANE)
    panels = shown.figure.axes[:4]
    for axes, method in zip(panels, methods, strict=True):
        (picture,) = axes.images
        drawn = picture.get_array().filled(0)
        # cell 6 is the second along x and the third along y; rows are y, from the bottom
        assert (drawn[0, 0], drawn[2, 1], drawn.sum()) == (0.75, 0.25, 1.0)
        assert (picture.get_extent(), picture.origin) == ([0, 4, 10, 14], "lower")
        assert style.LABELS[method] in (axes.get_title(), axes.get_title(loc="left"))
    assert shown.name == "density"


def test_ratio_names_its_units_and_ends_with_the_finding():
    record.metric("w1_ratio", [1.0, 2.0], over="seeds")
    record.metric("markov_w1_ratio", 3.0)
    shown = figures.ratio(["model", "markov"], finding="Greedy is far.")
    assert "Dots are seeds, bars their intervals" in shown.caption
    assert shown.caption.endswith("Greedy is far.")
    assert "for 2 methods" in shown.alt
    assert figures.ratio(["markov", "model"]).caption.endswith("token of memory.")


def test_lyapunov_shows_both_fits_of_every_seed():
    for name, values in {"orbit_lyapunov": [0.41, 0.42], "lyapunov_model": [0.5, 0.6]}.items():
        record.metric(name, values, over="seeds")
        record.metric(f"{name}_fit5", [v + 0.01 for v in values], over="seeds")
    shown = figures.lyapunov(["orbit", "model"], 0.419)
    (axes,) = shown.figure.axes
    reference, *marks = lines(axes)
    assert reference[:, 0].tolist() == [0.419] * 2
    assert [m.tolist() for m in marks] == [
        [[0.41, -0.15], [0.42, -0.15]], [[0.42, 0.15], [0.43, 0.15]],
        [[0.5, 0.85], [0.6, 0.85]], [[0.51, 1.15], [0.61, 1.15]],
    ]  # fmt: skip
    assert [t.get_text() for t in axes.get_yticklabels()] == ["true orbits", "GPT-2, T = 1"]


def test_the_liveliest_prompt_goes_furthest_along_the_first_axis():
    still = np.full(20, 100)
    lively = np.where(np.arange(20) % 2, 0, 7 * 64)  # from one end to the other, each step
    early = np.r_[lively[:8], still[8:]]  # only the last steps count
    assert figures.lively(SPACE, np.stack([still, early, lively])) == 2


def test_scheme_shows_cells_probabilities_and_continuations():
    prompt, truth, written = np.arange(20), np.arange(100, 130), np.arange(200, 230)
    following = np.zeros(SPACE.vocabulary)
    following[[7, 9, 11]] = [0.2, 0.5, 0.01]
    shown = figures.scheme(
        SPACE, [0, 2], prompt=prompt, paths={"true": truth, "model": written}, following=following
    )
    first, second, third, fourth = shown.figure.axes

    def places(tokens):
        return SPACE.decode(tokens)[:, [0, 2]]

    np.testing.assert_array_equal(lines(first)[0], places(prompt[-12:]))
    centres, sizes, opacity = shaded(second)
    np.testing.assert_allclose(centres, places(prompt[-12:]))
    np.testing.assert_allclose(sizes, 1.0)
    assert (np.diff(opacity) > 0).all()  # later is stronger
    centres, _, opacity = shaded(third)
    np.testing.assert_allclose(centres[-3:], places(np.array([11, 7, 9])))
    np.testing.assert_allclose(opacity[-3:], [0.08, 0.4, 0.9])
    np.testing.assert_array_equal(lines(third, "x")[0], places(truth[:1]))
    np.testing.assert_array_equal(lines(fourth)[1], places(truth[:18]))
    np.testing.assert_array_equal(lines(fourth, "o")[0], places(written[:18]))
    assert shown.name == "scheme"


def test_trajectories_are_projections():
    paths = {m: np.arange(4) + 50 * i for i, m in enumerate(("true", "model", "greedy"))}
    shown = figures.trajectories(SPACE, [0, 2], paths, ("x", "y", "z"))
    for axes, path in zip(shown.figure.axes, paths.values(), strict=True):
        np.testing.assert_array_equal(lines(axes)[0], SPACE.decode(path)[:, [0, 2]])
        assert axes.get_xlabel() == "x"
    assert shown.figure.axes[0].get_ylabel() == "z"
    turned = figures.scene(SPACE, paths, ("x", "y", "z"))
    np.testing.assert_array_equal(turned.curves["greedy"], SPACE.decode(paths["greedy"]))


def test_accuracy_stands_over_the_steps_that_agree():
    for k, right in {1: 0.5, 2: 0.6, 8: 0.9}.items():
        record.metric(f"ngram{k}_top1_accuracy", right)
    record.metric("top1_accuracy", [0.7, 0.8], over="seeds")
    orbits = [np.zeros((1, 6), int)] * 2

    def agreeing(steps):
        return np.tile(np.r_[np.zeros(steps, int), np.ones(6 - steps, int)], (2, 1))

    shown = figures.accuracy(
        orbits,
        counting={1: agreeing(1), 2: agreeing(2), 8: agreeing(5)},
        networks=[agreeing(3), agreeing(4)],
    )
    (axes,) = shown.figure.axes
    np.testing.assert_array_equal(lines(axes, "s")[0], [[0.5, 1], [0.6, 2], [0.9, 5]])
    np.testing.assert_array_equal(lines(axes, "o")[0], [[0.7, 3], [0.8, 4]])
    assert [text.get_text() for text in axes.texts] == ["1", "2", "8", "GPT-2"]
    curve = lines(axes)[0]
    np.testing.assert_allclose(curve[:, 1], curve[:, 0] / (1 - curve[:, 0]))


@pytest.mark.parametrize("reached", [True, False])
def test_separation_draws_the_guide_where_pairs_reach_the_range(reached):
    time = np.arange(100)
    curves = {"model": np.full(100, 2.0), "pair": 1e-3 * np.exp(0.1 * time)}
    found = flows.Separation(curves, 4.0, (0.1, 0.8) if reached else (100.0, 0.8))
    shown = figures.separation(found, exponent=1.0, prompt=20, tau=0.1)
    (axes,) = shown.figure.axes
    spread, prompt, model, pair, *guide = lines(axes)
    assert spread[:, 1].tolist() == [4.0, 4.0]
    assert prompt[:, 0].tolist() == [2.0, 2.0]
    np.testing.assert_allclose(model, np.column_stack([0.1 * time, curves["model"]]))
    np.testing.assert_allclose(pair, np.column_stack([0.1 * time, curves["pair"]]))
    if reached:  # it rises by the exponent, over two Lyapunov times, to the first time in range
        (line,) = guide
        assert line[-1, 0] - line[0, 0] == pytest.approx(2.0)
        assert np.diff(np.log(line[:, 1])) == pytest.approx(np.diff(line[:, 0]))
        assert line[-1, 0] == pytest.approx(0.1 * np.flatnonzero(curves["pair"] > 0.1)[0])
    else:
        assert guide == []
