"""Verification: what agrees, what differs, what chance explains, and what no chance does."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from workflow.files import ROOT
from workflow.ledger import verify as module
from workflow.ledger.verify import by_chance, compare, overall, together, within

RESULTS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["metrics"]
    for path in sorted((ROOT / "results" / "cpu").glob("*.json"))
}
RUN = "lorenz_tokens_50"


def entry(samples, over=None, tolerance=0.1, **fields):
    """A metric as the record has it."""
    values = np.atleast_1d(samples).tolist() if samples is not None else []
    value = float(np.median(values)) if values else None
    spread = (max(values) - min(values)) / (abs(value) or 1.0) if values else 0.0
    return {
        "value": value, "n": len(values), "over": over, "samples": values, "unit": "1",
        "tolerance": max(tolerance, spread), "timing": False, **fields,
    }  # fmt: skip


def verdict(fresh, reference):
    """Of one metric, compared by itself."""
    ((_, found, *_),) = compare({"a": fresh}, {"a": reference})
    return found


def scaled(metric, factor):
    return metric | {
        "value": metric["value"] * factor,
        "samples": [sample * factor for sample in metric["samples"]],
        **(
            {"by_seed": [value * factor for value in metric["by_seed"]]}
            if metric.get("by_seed")
            else {}
        ),
    }


def test_computed_numbers_agree_move_come_and_go():
    fresh = {"a": 1.05, "b": 1.2, "c": None, "d": None, "e": 0.05, "new": 1.0}
    old = {"a": 1.0, "b": 1.0, "c": None, "d": 1.0, "e": 0.0, "gone": 2.0}
    rows = compare({k: entry(v) for k, v in fresh.items()}, {k: entry(v) for k, v in old.items()})
    assert [row[:2] for row in rows] == [
        ("a", "agrees"), ("b", "moved"), ("c", "agrees"), ("d", "moved"), ("e", "agrees"),
        ("gone", "gone"), ("new", "new"),
    ]  # fmt: skip
    assert rows[1].detail == "1.2 against 1 (tolerance 0.1)"
    assert rows[3].detail.startswith("None against 1.0")


def test_training_seeds_are_compared_where_they_are_known():
    """Batches of one seed differ little, and say nothing of another training."""
    batches = [1.0, 1.01, 1.02, 0.99]
    fresh = entry([3 * each for each in batches], "batches", by_seed=[1.5, 3.0, 6.0])
    old = entry(batches, "batches", by_seed=[0.4, 1.0, 2.0])
    chance = by_chance(fresh["by_seed"], old["by_seed"])
    assert chance > 0.05
    assert module.probability("a", {"a": fresh}, {"a": old}) == chance
    one = [each | {"by_seed": [each["value"]]} for each in (fresh, old)]
    assert module.probability("a", {"a": one[0]}, {"a": one[1]}) < 1e-6


@pytest.mark.parametrize("factor", [1e-6, 0.24, 4.1])
def test_a_tolerance_above_1_is_a_factor_in_both_directions(factor):
    """|a - b| <= 3 b let any smaller error pass, whatever its unit."""
    assert verdict(entry(2.0 * factor, tolerance=3.0), entry(2.0, tolerance=3.0)) == "moved"
    assert within(2.0 * 3.9, 2.0, 3.0)
    assert within(2.0 / 3.9, 2.0, 3.0)


def test_another_unit_moves_a_metric():
    assert verdict(entry(1.0, unit="s"), entry(1.0, unit="ms")) == "moved"


def test_a_number_without_tolerance_is_exact():
    count = entry(100, tolerance=0.0)
    assert verdict(entry(101, tolerance=0.0), count) == "moved"
    names = ({"a_failures": entry(n, tolerance=0.0)} for n in (1, 0))
    assert compare(*names)[0].verdict == "moved"


def test_a_time_never_counts():
    assert verdict(entry(9.0, timing=True), entry(1.0)) == "time"  # an older reference has no mark
    assert verdict(entry([9.0, 9.1], "seeds", timing=True), entry([1.0, 1.1], "seeds")) == "time"


def test_a_single_batch_is_not_compared():
    reference = entry(4.1, "batches", tolerance=0.3)
    for value in (1.4, 4.0):  # in tolerance or not: its spread is not known
        assert verdict(entry(value, "batches"), reference) == "one batch"
    assert verdict(entry(4.1 * (1 + 1e-9), "batches"), reference) == "agrees"  # rounding alone
    slope, none = entry(2.2, "batches"), entry(None, "batches")
    counts = [{"a_failures": entry(n, tolerance=5.0)} for n in (4, 5)]
    found = compare({"a": none} | counts[1], {"a": slope} | counts[0])
    assert [row.verdict for row in found] == ["one batch", "agrees"]
    assert verdict(none, slope) == "moved"


def test_a_single_seed_has_the_tolerance_that_is_declared():
    assert verdict(entry(0.22, "seeds"), entry(0.21, "seeds")) == "agrees"
    assert verdict(entry(0.25, "seeds"), entry(0.21, "seeds")) == "differs"


@pytest.mark.parametrize(
    ("n", "caught", "passed"), [(3, 7.2, 6.8), (5, 3.3, 3.0), (10, 1.8, 1.6), (64, 0.62, 0.55)]
)
def test_a_shifted_mean_is_caught_from_this_size(n, caught, passed):
    """In standard deviations, for a metric that is compared by itself."""
    from scipy.stats import norm

    spread = norm.ppf((np.arange(n) + 0.5) / n)
    normal = 1000 + spread / spread.std(ddof=1)
    reference = entry(normal, "starts", tolerance=0.0)
    reference["tolerance"] = max(reference["tolerance"], 1e-6)
    for sign in (-1, 1):
        assert verdict(entry(normal + sign * caught, "starts"), reference) == "differs"
        assert verdict(entry(normal + sign * passed, "starts"), reference) == "agrees"


def test_the_mean_over_everything_has_the_spread_of_its_groups():
    groups = [0.2, 0.3, 0.4, 0.5, 0.6]
    reference = {"t": entry(groups, "batches"), "t_mean": entry(0.4, tolerance=0.05)}
    fresh = reference | {"t_mean": entry(0.5, tolerance=0.05)}
    assert [row.verdict for row in compare(fresh, reference)] == ["agrees", "agrees"]
    fresh["t_mean"] = entry(1.4, tolerance=0.05)
    assert [row.verdict for row in compare(fresh, reference)] == ["agrees", "differs"]


def test_counts_of_events_differ_by_what_chance_gives():
    def counts(n):
        return {"time_censored_noise1e3": entry(n, tolerance=0.1)}

    assert compare(counts(4), counts(1))[0].verdict == "agrees"
    assert compare(counts(20), counts(1))[0].verdict == "differs"
    assert compare(counts(0), counts(12))[0].verdict == "differs"


def test_equal_samples_and_impossible_differences():
    assert by_chance([0.0] * 5, [0.0] * 5) == 1.0
    assert by_chance([1.0] * 5, [2.0] * 5) == 0.0
    assert verdict(entry([2.0] * 5, "seeds"), entry([1.0] * 5, "seeds")) == "differs"


def test_a_sound_run_fails_by_chance_in_one_of_a_thousand():
    """Metrics of a run depend on each other, their distributions are skewed."""
    rng, alarms, verifications = np.random.default_rng(0), 0, 4000
    shapes = (np.asarray, np.exp, np.square, lambda x: np.maximum(x, 0))
    for _ in range(verifications):
        common = rng.normal(size=(2, 5))
        draws = common + 0.5 * rng.normal(size=(12, 2, 5))
        chances = [by_chance(*shape(pair)) for shape, pair in zip(shapes * 3, draws, strict=True)]
        alarms += together([max(chance, 1e-9) for chance in chances]) < module.FALSE_ALARMS
    assert alarms <= 10  # 4 are expected; more than 10 have a probability of 0.003


def test_probabilities_are_those_of_chance():
    rng = np.random.default_rng(1)
    normal = [by_chance(*rng.normal(size=(2, 3))) for _ in range(5000)]
    assert np.mean(np.array(normal) < 0.01) == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trainings_from_other_seeds_agree(seed):
    """The spread over seeds and batches of a run covers what one of its seeds gives.

    The network of another machine is nearer to ours than that of another seed.
    """
    reference = {
        name: metric
        for name, metric in RESULTS["lorenz_tokens_20"].items()
        if metric["over"] and not metric.get("timing") and metric["value"]
        if metric.get("by_seed") or metric["over"] == "seeds"
    }
    assert len(reference) > 15
    fresh = {}
    for name, metric in reference.items():
        values = metric.get("by_seed") or metric["samples"]
        fresh[name] = scaled(metric, values[seed] / metric["value"])
    rows = compare(fresh, reference)
    assert [row.name for row in rows if row.verdict in ("moved", "differs")] == []


@pytest.mark.parametrize("run", RESULTS)
def test_a_reference_agrees_with_itself(run):
    rows = compare(RESULTS[run], RESULTS[run])
    assert {row.verdict for row in rows} <= {"agrees", "time"}
    assert overall(rows) == 1.0


@pytest.mark.parametrize(("run", "pattern", "factor", "least"), [
    ("henon_tokens", "w1|w2", 2, 30),
    ("rossler_tokens", "w1|w2", 2, 15),
    (RUN, "w1|w2", 10, 25),
    (RUN, "divergence_time$", 2, 3),
    (RUN, "cross_entropy", 1.2, 35),
    ("lorenz_comparison", "accumulated_mse", 1.5, 20),
    ("lorenz_comparison", "valid_time(_noise1e.)?$", 0.5, 9),
    ("lorenz_networks", "mse", 10, 60),
    ("lotka_volterra", "mse", 0.1, 45),
])  # fmt: skip
def test_a_defect_in_one_measure_of_a_committed_reference_is_caught(run, pattern, factor, least):
    """A wrong factor in all metrics that hold a measure, smaller or larger."""
    reference = RESULTS[run]
    wrong = {
        name: scaled(metric, factor)
        for name, metric in reference.items()
        if re.search(pattern, name) and metric["value"] and not metric.get("timing")
    }
    odd = [row for row in compare(reference | wrong, reference) if row.verdict != "agrees"]
    odd = [row.name for row in odd if row.verdict in ("moved", "differs")]
    assert len(odd) >= least, len(odd)
    assert set(odd) <= set(wrong)


def test_a_wrong_unit_in_one_metric_is_caught():
    """A thousand times too large, or too small: in all but few of what is compared.

    A count of events has no unit, and a thousandth of three events is none.
    """
    for factor in (1000, 0.001):
        found = []
        for reference in RESULTS.values():
            for name, metric in reference.items():
                single = metric["over"] == "batches" and metric["n"] < 2
                count = metric["over"] is None and module.COUNT.search(name)
                if metric["value"] and not metric.get("timing") and not single and not count:
                    row = module.judged(name, {name: scaled(metric, factor)}, {name: metric})
                    far = row.chance is not None and row.chance < module.FALSE_ALARMS
                    found.append(far or row.verdict in ("moved", "differs"))
        assert np.mean(found) > 0.96, np.mean(found)


#: Metrics that are taken for those of a single batch, which no run has any more.
SINGLE = ("greedy_w1_ratio", "half_w1_ratio")


@pytest.fixture
def project(monkeypatch):
    """A run whose fresh metrics and reference are these; what `verify` says of it."""
    reference = json.loads(json.dumps(RESULTS[RUN]))
    for name in SINGLE:
        one = {"n": 1, "low": None, "high": None, "level": None, "samples": [], "by_seed": None}
        reference[name] |= one | {"samples": [reference[name]["value"]]}
    fresh = json.loads(json.dumps(reference))
    run = SimpleNamespace(name=RUN, results="fresh", reference="old")
    contents = {"fresh": {"metrics": fresh}, "old": {"metrics": reference}}
    monkeypatch.setattr(module, "load", lambda preset, *_, **__: [run] * (preset == "cpu"))
    monkeypatch.setattr(module, "state", lambda run: ("fresh", ""))
    monkeypatch.setattr(module, "read_results", contents.get)
    monkeypatch.setattr(module, "read_reference", contents.get)
    monkeypatch.setattr(module, "damaged_artefacts", lambda path: [])
    return fresh


def test_the_summary_names_metrics_verdicts_and_what_is_not_compared(project):
    for name in SINGLE:
        project[name] = scaled(project[name], 2.0)
    project["train_s"] = scaled(project["train_s"], 100.0)
    project["w1_ratio"] = scaled(project["w1_ratio"], 1.2)
    text, code = module.verify("cpu", [])
    assert code == 0
    lines = text.splitlines()
    n = sum(not metric.get("timing") for metric in project.values()) - len(SINGLE)
    assert lines[0] == f"{RUN}: {n} of {n} metrics agree"
    assert re.fullmatch(r"  drawn anew: 1; chance does this in 0\.\d+ of runs", lines[1])
    assert lines[2] == (
        "  of one batch, whose spread is not known, not compared: 2; outside the tolerance:"
    )
    old = project["greedy_w1_ratio"]["value"] / 2
    assert lines[3].startswith(f"    greedy_w1_ratio: {2 * old:.6g} against {old:.6g}")
    assert lines[5:7] == [
        "  times, not compared: 2; outside the tolerance:",
        f"    train_s: {project['train_s']['value']:.6g} against "
        f"{project['train_s']['value'] / 100:.6g} (tolerance 20)",
    ]
    assert re.fullmatch(
        r"verdicts on the \d+ claims about these runs, tested or not: \d+ agree", lines[7]
    )
    assert "  lorenz-50-distribution: does not hold; in the reference: holds" in lines[8:]


def test_the_exit_code_separates_damage_from_chance(project):
    kept = dict(project)
    assert module.verify("cpu", [])[1] == 0
    project["w1_ratio"] = scaled(kept["w1_ratio"], 1000.0)
    text, code = module.verify("cpu", [])
    assert code == 3
    assert "  w1_ratio: differs, " in text
    assert "only numbers that are drawn at random differ" in text
    del project["n_seeds"]
    text, code = module.verify("cpu", [])
    assert code == 1
    assert "  n_seeds: gone, only in the reference" in text
    project |= kept | {"markov_cross_entropy": scaled(kept["markov_cross_entropy"], 1.06)}
    text, code = module.verify("cpu", [])
    assert code == 1
    assert "  markov_cross_entropy: moved, " in text


def test_several_runs_are_summed_up(project, monkeypatch):
    (run,) = module.load("cpu", [])
    other = SimpleNamespace(**vars(run) | {"name": "other"})
    monkeypatch.setattr(module, "load", lambda *_, **__: [run, other])
    project["greedy_w1_ratio"] = scaled(project["greedy_w1_ratio"], 2.0)
    text, code = module.verify("cpu", [])
    assert code == 0
    n = 2 * sum(not metric.get("timing") for metric in project.values()) - 2
    said = f"all runs: {n} of {n} metrics agree; not compared: 2 of one batch, 4 times"
    assert said in text
