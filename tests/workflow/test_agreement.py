"""Two witnesses agree in what is measured; what describes it comes from the present code."""

import pytest

from workflow.carry.agreement import described, moved, new_names, read_renames, renamed
from workflow.errors import Refused


def entry(*samples: float, tolerance: float = 0.05, **fields) -> dict:
    value = sorted(samples)[len(samples) // 2] if samples else None
    return {
        "value": value, "low": None, "high": None, "level": None, "n": len(samples), "over": None,
        "samples": list(samples), "unit": "1", "tolerance": tolerance, "timing": False, **fields,
    }  # fmt: skip


def older(entry: dict) -> dict:
    """As it was recorded before times were marked."""
    return {key: value for key, value in entry.items() if key != "timing"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", "got 'a'"),
        ("a=", "got 'a='"),
        ("a=b=c", "got 'a=b=c'"),
        ("*_a=b", "one"),
        ("*_*=*_*", "one"),
        ("a b=c", "got"),
        ("A=b", "got 'A=b'"),
    ],
)
def test_a_rename_of_another_form_is_refused(text, words):
    with pytest.raises(Refused, match="a rename is OLD=NEW") as error:
        read_renames([text])
    assert words in str(error.value)


def test_names_are_renamed_whole_at_once_and_in_order():
    renames = read_renames(["a=b", "b=a", "*_mse_600=*_mse_horizon"])
    metrics = {"b": 1, "stnn_mse_600": 2, "a": 3, "stnn_mse_6000": 4}
    assert renamed(metrics, renames) == {
        "a": 1, "stnn_mse_horizon": 2, "b": 3, "stnn_mse_6000": 4,
    }  # fmt: skip
    assert list(renamed(metrics, renames)) == ["a", "stnn_mse_horizon", "b", "stnn_mse_6000"]


def test_two_metrics_do_not_become_one():
    with pytest.raises(Refused, match="two metrics would be named b"):
        new_names(["a", "b"], [("a", "b")])
    with pytest.raises(Refused, match="a_x is renamed twice: to b_x and to c"):
        new_names(["a_x"], [("a_*", "b_*"), ("a_x", "c")])


def test_what_is_measured_agrees_to_the_last_bit():
    one = {"a": entry(1.0, 2.0, 3.0), "t": entry(1.0, timing=True)}
    assert moved(one, one) == ""
    assert moved(one, one | {"t": entry(2.0, timing=True)}) == ""
    assert moved(one, one | {"a": entry(1.0, 2.0, 3.0, unit="s", tolerance=2.0)}) == ""
    assert moved(one, one | {"a": entry(1.0, 2.0, 3.0 + 1e-15)}).startswith("metric a moved: samp")
    assert moved(one, one | {"a": entry(1.0, 2.0, 3.0, over="seeds")}).startswith("metric a moved")
    assert moved(one, {"a": one["a"]}) == "metric t is not recorded any more"
    assert moved({"a": one["a"]}, one) == "metric t is new"


def test_a_metric_cannot_be_called_a_time_to_hide_that_it_moved():
    as_time = {"a": entry(2.0, timing=True)}
    assert moved({"a": entry(1.0)}, as_time) == "metric a moved: value 1.0, now 2.0"
    assert moved({"a": older(entry(1.0))}, as_time) == ""  # the old record does not say
    assert moved({"a": older(entry(1.0))}, {"a": entry(2.0)}).startswith("metric a moved")


@pytest.mark.parametrize(
    ("declared", "samples", "kept"),
    [
        ((0.05, 0.05), (1.0, 2.0, 4.0), 1.5),  # not declared anew: as it is
        ((0.05, 3.0), (1.0, 2.0, 4.0), 3.0),
        ((0.05, 0.5), (1.0, 2.0, 4.0), 1.5),  # the spread of the result's own samples is wider
        ((3.0, 0.5), (1.0, 2.0, 4.0), 1.5),
        ((3.0, 0.5), (1.0,), 0.5),
        ((3.0, 0.5), (), 0.5),
    ],
)
def test_a_tolerance_is_kept_unless_another_one_is_declared(declared, samples, kept):
    spread = (max(samples) - min(samples)) / 2.0 if samples else 0.0
    full = entry(*samples, tolerance=max(declared[0], spread))
    before, after = (entry(1.0, tolerance=each) for each in declared)
    found, changes = described({"a": full}, {"a": before}, {"a": after})
    assert found["a"] == full | {"tolerance": kept}
    assert changes == (
        [] if declared[0] == declared[1] else [f"a: tolerance {declared[0]}, now {declared[1]}"]
    )


def test_of_many_samples_the_tolerance_is_never_narrowed():
    """They are not kept, so their spread is not known; the tolerance covers it."""
    full = entry(1.0, tolerance=2.0, n=100, samples=[])
    found, _ = described({"a": full}, {"a": entry(1.0, tolerance=0.5)}, {"a": entry(1.0)})
    assert found["a"]["tolerance"] == 2.0


def test_units_and_times_are_described_by_the_new_code():
    times = {"t": older(entry(3.0, tolerance=9.0))}
    before, after = {"t": older(entry(1.0))}, {"t": entry(2.0, timing=True, tolerance=0.7)}
    found, changes = described(times | {"only_in_full": entry(1.0)}, before, after)
    assert found["t"] == entry(3.0, tolerance=9.0, timing=True)
    assert found["only_in_full"] == entry(1.0)
    assert changes == []
    before, after = {"t": entry(1.0)}, {"t": entry(1.0, unit="s", timing=True)}
    assert described(times, before, after)[1] == [
        "t: unit '1', now 's'", "t: timing False, now True"
    ]  # fmt: skip
