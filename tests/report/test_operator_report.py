"""What is recorded, tabulated and drawn of Hankel operators."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynlib.operators.bestfit import nuclear_fit
from dynlib.report import operators as report
from dynlib.report import record, style
from dynlib.report.figures import operators as figures


@pytest.fixture(autouse=True)
def fresh():
    record.clear()
    with plt.rc_context():
        style.use_style()
        yield
    record.clear()


def values() -> dict:
    return {name: entry["value"] for name, entry in record.metrics().items()}


def test_all_products_agree_with_scipys():
    report.record_agreement(np.random.default_rng(0))
    found = values()
    assert len(found) == 7
    for name, error in found.items():
        assert 0 <= error < (1e-5 if name.endswith("float32") else 1e-13)
    assert [row[0] for row in report.agreement_table().rows][:2] == ["dense", "shifts"]


@pytest.mark.parametrize(
    ("fast", "slow", "first"),
    [
        ([1, 1, 1], [2, 2, 2], 4),
        ([3, 1, 1], [2, 2, 2], 8),
        ([1, 3, 1], [2, 2, 2], 16),
        ([3, 1, 3], [2, 2, 2], None),
    ],
)
def test_the_crossover_is_where_the_fast_way_begins_to_stay_ahead(fast, slow, first):
    assert report.crossover([4, 8, 16], fast, slow) == first


COSTS = report.Costs(
    sizes=[4, 8],
    counts={"dense": [28, 120], "first_column": [16, 64], "fft": [150, 110], "complex_fft": [9, 9]},
    clocks={
        ("dense", 1): [1.0, 4.0], ("fft", 1): [2.0, 2.0], ("shift", 1): [5.0],
        ("dense", 9): [3.0, 4.0], ("fft", 9): [9.0, 8.0], ("shift", 9): [6.0],
    },
    large_batch=9,
    ratios={
        (4, 1): np.array([1.0, 2.0, 9.0]), (8, 1): np.array([0.5]),
        (4, 9): np.array([3.0]), (8, 9): np.array([2.0]),
    },
)  # fmt: skip


def test_costs_are_recorded_as_crossovers_and_ratios():
    report.record_costs(COSTS)
    found = values()
    assert (found["fft_crossover_count"], found["fft_crossover_count_complex"]) == (8, 4)
    assert (found["fft_crossover_n_batch1"], found["fft_crossover_n_batch9"]) == (8, None)
    assert found["fft_time_ratio_n4_batch1"] == 2
    assert record.metrics()["fft_time_ratio_n4_batch1"]["samples"] == [1, 2, 9]
    assert found["fft_time_ratio_largest_batch9"] == 2
    assert found["fft_count_ratio_n4"] == 150 / 28
    assert found["first_column_count_ratio_n4"] == 16 / 28
    assert found["shift_count_ratio_n4"] == 1
    assert found["dense_count_exponent"] == pytest.approx(2, abs=0.01)
    assert (found["large_batch"], found["largest_n"]) == (9, 8)
    assert report.cost_table(COSTS).rows[1] == ["8", "120", "64", "110", "9", "0.5", "2"]


def test_every_size_is_timed():
    rng = np.random.default_rng(0)
    costs = report.measure_costs(16, 3, rng, repeats=1, seconds=0.0)
    assert costs.sizes == [4, 8, 16]
    assert costs.counts["dense"] == [28, 120, 496]
    assert set(costs.clocks) == {(m, b) for m in ("dense", "fft", "shift") for b in (1, 3)}
    assert {len(each) for each in costs.clocks.values()} == {3}
    assert {key: len(each) for key, each in costs.ratios.items()} == {
        (n, b): 1 for n in (4, 8, 16) for b in (1, 3)
    }


OPERATORS = dict.fromkeys(report.TITLES, np.eye(2)) | {"hankel_fit": np.array([[1.0, 2], [2, 3]])}


def test_operators_are_compared_on_test_vectors():
    states = np.array([[1.0, 0, 1], [0, 1, 1]])
    report.record_advance(OPERATORS, states, 2 * states)
    found = values()
    assert found["persistence_advance_error"] == pytest.approx(0.5)
    assert found["distance_from_hankel"] == pytest.approx(0.0)
    rows = report.advance_table(OPERATORS).rows
    assert rows[0] == ["any matrix, least squares", "0.5", "0"]


def test_known_answers_are_found():
    special = report.record_known_answers(np.random.default_rng(0), 0.1)
    found = values()
    assert found["special_cases_error"] == max(special.values()) < 1e-6
    assert found["dmdc_error"] < 1e-10 < 1e-3 < found["dmd_error"]
    assert found["dmdc_noise_error"] > 1e-3
    assert report.known_answer_table(special, 0.1).rows[-1][0].endswith("noise 0.1")


def test_the_solvers_steps_are_recorded_and_drawn():
    states, successors = np.random.default_rng(0).normal(size=(2, 3, 20))
    methods = ("plain", "accelerated", "restart")
    fits = {method: nuclear_fit(states, successors, 1.0, method=method) for method in methods}
    report.record_convergence(fits, states)
    assert values()["ista_iterations"] == fits["plain"].iterations
    assert values()["nuclear_gap"] == fits["restart"].gap
    shown = figures.convergence(fits)
    (axes,) = shown.figure.axes
    for line, fit in zip(axes.lines, fits.values(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), fit.history)
    assert next(text.get_text() for text in axes.texts) == "plain, eq. (8)"


def test_linear_networks_are_tabulated_by_their_size():
    for n, branches in report.SHAPES:
        for kind in ("hankel", "dense"):
            record.metric(f"linear_n{n}_p{branches}_{kind}_error", 0.5)
    assert report.linear_table().rows[0] == ["4", "1", "48", "16", "5.0e-01", "5.0e-01"]


def test_the_windows_of_a_series_fill_the_operator():
    series = np.sin(np.arange(300.0))
    shown = figures.windows(series, 0.5)
    above, below, _ = shown.figure.axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), series[:238:2])
    np.testing.assert_array_equal(above.lines[2].get_xdata(), [30, 89])
    (image,) = below.images
    assert image.get_array()[3, 5] == series[16]


def test_costs_are_drawn_above_each_other():
    shown = figures.cost(COSTS)
    counts, single, many = shown.figure.axes
    assert [list(line.get_ydata()) for line in counts.lines] == [[28, 120], [150, 110]]
    assert [list(line.get_ydata()) for line in single.lines] == [[1, 4], [2, 2], [5]]
    assert many.get_title(loc="left") == "microseconds, 9 vectors"


def test_operators_and_factors_are_drawn_entry_by_entry():
    shown = figures.operators(OPERATORS)
    panel = shown.figure.axes[2]
    assert panel.get_title(loc="left") == "best Hankel matrix"
    assert [text.get_text() for text in panel.texts] == ["1.00", "2.00", "2.00", "3.00"]
    names = [axes.get_title(loc="left") for axes in figures.factors().figure.axes]
    assert names == ["pad", "butterfly", "butterflies", "blocks", "order"]
