"""Sets of results beside the references: how they are kept, and what they do to a verdict."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_ledger import CLAIMS, claim, metrics

from workflow.errors import Refused
from workflow.ledger.ledger import REDRAWN, SECOND, as_csv, as_json, ledger
from workflow.ledger.second import against, beyond_ranges, in_words, set_of
from workflow.runs.integrity import read_reference


def test_runs_of_another_processor_are_kept_small_and_with_what_differs(project):
    reference = project.reference()
    reference["metrics"]["n"] |= {"value": 900.0, "samples": [900.0], "tolerance": 0.0}
    project.write(reference)
    code, text = project("verify", "toy", "--keep", "Another processor")
    assert code == 0, text
    assert "toy: kept for Another processor, second set; 2 of 3 metrics agree" in text
    content = read_reference(project.root / "results" / "second" / "toy.json")
    kept = content["metrics"]["n"]
    assert (kept["value"], kept["samples"], kept["unit"]) == (500.0, [], "1")
    facts = content["provenance"]
    assert facts["machine"]["processor"] == "Another processor"
    assert facts["agreement"] == {"agrees": 2, "moved": 1}
    assert facts["odd"] == ["`n`: moved, 500 against 900 (tolerance 0)"]


def test_the_same_processor_another_preset_and_a_stale_run_are_refused(project):
    code, text = project("verify", "toy", "--keep", "")
    assert code == 2
    assert "its reference was made on" in text
    code, text = project("verify", "toy", "--preset", "smoke", "--keep", "Another processor")
    assert code == 2
    assert "preset must be cpu for sets to keep, got smoke" in text
    project.change("dynlib/toy.py", "SCALE = 2.0", "SCALE = 3.0")
    code, text = project("verify", "toy", "--keep", "Another processor")
    assert code == 2
    assert "toy (cpu) is stale" in text
    assert not (project.root / "results" / "second").exists()


def test_a_run_with_other_seeds_is_of_the_redrawn_set_on_the_same_processor_too(project):
    project.change(
        "experiments.yml", "cpu: {cores: 1, parameters: {", "cpu: {cores: 1, parameters: {seed: 7, "
    )
    assert project("run", "toy")[0] == 0
    code, text = project("verify", "toy", "--keep", "")
    assert code == 0, text
    assert "redrawn set; 0 of 0 metrics with a 95 % interval differ" in text
    content = read_reference(project.root / "results" / "redrawn" / "toy.json")
    assert content["parameters"]["seed"] == 7
    assert (
        content["metrics"]["spread"]["value"] != project.reference()["metrics"]["spread"]["value"]
    )
    assert not (project.root / "results" / "second").exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, SECOND),
        ({"seed": 1, "data_seed": 1}, REDRAWN),
        ({"seed": 1}, "all of its seeds must differ .* data_seed do not"),
        (
            {"seed": 1, "data_seed": 1, "n_seeds": 2},
            "all parameters but seeds .* n_seeds 2 instead of 3",
        ),
        ({"more": 1}, "all parameters but seeds .* more 1 instead of None"),
    ],
)
def test_only_seeds_may_differ_and_then_all_of_them(changes, what):
    reference = {"n": 5, "seed": 0, "data_seed": 0, "n_seeds": 3}
    if what in (SECOND, REDRAWN):
        assert set_of("r", reference | changes, reference) == what
    else:
        with pytest.raises(Refused, match=what):
            set_of("r", reference | changes, reference)


def test_a_run_without_seeds_is_never_redrawn():
    assert set_of("r", {"n": 5}, {"n": 5}) == SECOND


def test_other_draws_are_counted_by_what_their_intervals_allow():
    """Of 400 estimates with their true intervals one in twenty differs, of shifted ones all do."""
    rng = np.random.default_rng(0)

    def draw(shift: float, **fields) -> dict:
        values = rng.normal(10.0 + shift, 1.0, 400)
        return {f"m{i:03d}": metric(value, 1.96, **fields) for i, value in enumerate(values)}

    reference = draw(0.0)
    same, moved = against(draw(0.0), reference), against(draw(9.0), reference)
    assert same["drawn"]["intervals"]["metrics"] == 400
    assert 8 <= same["drawn"]["intervals"]["beyond"] <= 34  # binomial(400, 0.05), 0.1 % at an end
    assert len(same["odd"]) == same["drawn"]["intervals"]["beyond"]
    assert moved["drawn"]["intervals"] == {"metrics": 400, "beyond": 400, "expected": 20}
    assert moved["drawn"]["ranges"] == {"metrics": 0, "beyond": 0, "expected": 0}
    words = in_words([same["drawn"], moved["drawn"]])
    assert "of 800 metrics with a 95 % interval differ" in words
    assert words.endswith("allow, where 40 are expected")


def test_ranges_are_counted_apart_and_times_and_single_values_not_at_all():
    wide, narrow = metric(1.0, 0.5, level=None), metric(2.0, 0.1)
    timed = metric(1.0, 0.1, timing=True)
    alone = metric(1.0, 0.0) | {"low": None, "high": None, "level": None}
    fresh = {"a": wide, "b": narrow, "t": timed, "s": alone, "new": narrow, "same": narrow}
    near = metric(2.01, 0.1)
    other = {"a": narrow, "b": near, "t": metric(9.0, 0.1, timing=True), "s": narrow}
    found = against(fresh, other | {"same": narrow})  # what is equal was not drawn anew
    assert found["drawn"]["ranges"] == {"metrics": 1, "beyond": 1, "expected": 0.16}
    assert found["drawn"]["intervals"] == {"metrics": 1, "beyond": 0, "expected": 0.05}
    assert found["odd"] == ["`a`: 1 (0.5 to 1.5) against 2 (1.9 to 2.1)"]  # 1 > hypot(0.5, 0.1)
    words = in_words([found["drawn"]])
    assert words.endswith("are expected; 1 of 1 metrics with a range do, where 0 are expected")
    alone = found["drawn"] | {"intervals": {"metrics": 0, "beyond": 0, "expected": 0.0}}
    assert in_words([alone]).startswith("1 of 1 metrics with a range differ by more than the two ")


@pytest.mark.parametrize(("n", "share"), [(2, 0.422), (3, 0.160), (5, 0.025)])
def test_as_many_ranges_of_few_values_fail_by_chance_as_are_expected(n, share):
    assert beyond_ranges(n) == pytest.approx(share, abs=0.004)
    rng = np.random.default_rng(1)

    def draw() -> dict:
        rows = rng.normal(size=(4000, n))
        return {
            str(i): {
                "value": float(np.median(row)), "low": row.min(), "high": row.max(), "level": None,
                "timing": False, "n": n,
            }
            for i, row in enumerate(rows)
        }  # fmt: skip

    found = against(draw(), draw())["drawn"]["ranges"]
    spread = 4 * np.sqrt(4000 * share * (1 - share))
    assert abs(found["beyond"] - found["expected"]) < spread + 16  # of the share itself


def test_the_half_width_is_that_towards_the_other_value():
    near = metric(1.0, 0.1) | {"high": 3.0}
    assert against({"a": near}, {"a": metric(2.5, 0.1)})["drawn"]["intervals"]["beyond"] == 0
    assert against({"a": near}, {"a": metric(0.5, 0.1)})["drawn"]["intervals"]["beyond"] == 1


def metric(value: float, half: float, level: float | None = 0.95, timing: bool = False) -> dict:
    """A metric with a symmetric interval, as the record has it."""
    return {
        "value": value, "low": value - half, "high": value + half, "level": level,
        "timing": timing, "n": 3,
    }  # fmt: skip


def there(preset: str, run: str, name: str) -> dict:
    """Beside the results of test_ledger.py: a = 4 in the second set, which has no b."""
    if preset == SECOND:
        known = {"a": {"value": 4.0, "low": 3.5, "high": 4.5, "level": 0.95}}
        return known[name]
    if (preset, run, name) == ("cpu", "r", "tight"):
        return {"value": 1.0, "low": 0.9, "high": 1.1, "level": 0.95}
    return metrics(preset, run, name)


def test_a_verdict_that_turns_in_the_second_set_is_not_firm():
    claims = [*CLAIMS, claim("distant", criterion="r:a < 3.9"), claim("b-too", criterion="r:b > 3")]
    found = {each.claim.id: each for each in ledger(claims, there, "cpu")}
    firm = {each.claim.id: each for each in ledger(claims, metrics, "cpu")}
    assert firm["distant"].flag == "firm"
    assert (found["distant"].flag, found["distant"].second) == ("within chance", "does not hold")
    assert found["distant"].turned
    assert found["distant"].margin == firm["distant"].margin
    assert (found["b-too"].second, found["b-too"].turned) == ("", False)
    assert (firm["distant"].second, firm["distant"].turned) == ("", False)
    exported = {
        each["id"]: each for each in json.loads(as_json([*found.values()], "cpu"))["claims"]
    }
    assert exported["distant"]["second_verdict"] == "does not hold"
    assert "does not hold" in as_csv([found["distant"]])


def test_the_redrawn_set_is_judged_beside_the_second():
    """Each set alone can turn a verdict, and either takes its firmness."""

    def drawn(preset: str, run: str, name: str) -> dict:
        return there({REDRAWN: SECOND, SECOND: "none"}.get(preset, preset), run, name)

    (found,) = ledger([claim("distant", criterion="r:a < 3.9")], drawn, "cpu")
    assert (found.second, found.redrawn, found.turned) == ("", "does not hold", True)
    assert found.flag == "within chance"
    assert json.loads(as_json([found], "cpu"))["claims"][0]["redrawn_verdict"] == "does not hold"
    assert "redrawn_verdict" in as_csv([found]).splitlines()[0]


def test_a_common_rule_that_turns_in_a_set_takes_the_firmness_too():
    """Here a is 1 (0.5 to 2), there 4 (3.5 to 4.5): its upper end is below 4 here alone."""
    lasting = claim("lasting", criterion="r:a < 500", common="r:a.high < 4")
    (found,) = ledger([lasting], there, "cpu")
    assert (found.second, found.second_common) == ("holds", "does not hold")
    assert (found.split, found.turned, found.flag) == (False, True, "within chance")
    (exported,) = json.loads(as_json([found], "cpu"))["claims"]
    assert exported["second_common_verdict"] == "does not hold"
    (same,) = ledger([claim("lasting", criterion="r:a < 500", common="r:a.high < 5")], there, "cpu")
    assert (same.turned, same.flag) == (False, "firm")


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_other_presets_have_no_second_set(preset):
    def everywhere(which: str, run: str, name: str) -> dict:
        return there("cpu" if which == preset else which, run, name)

    assert all(not each.second and not each.redrawn for each in ledger(CLAIMS, everywhere, preset))
