"""The strip beside a claim, and when its criterion was written."""

import math
import subprocess

import pytest

from workflow import files
from workflow.ledger.claims import Claim
from workflow.ledger.history import criteria
from workflow.ledger.ledger import Found
from workflow.ledger.strip import strip

VALUES = {
    "a": {"value": 1.0, "low": 0.5, "high": 2.0},
    "b": {"value": 4.0, "low": 3.0, "high": 5.0},
}
OURS = tuple(Found("r", name, "cpu", True, **entry, level=0.95) for name, entry in VALUES.items())


def of(criterion: str, printed: str = "no figure"):
    fields = dict.fromkeys(Claim.__dataclass_fields__, "")
    claim = Claim(**fields | {"criterion": criterion, "printed": printed})
    return strip(claim, OURS, lambda run, name, part: VALUES[name][part])


@pytest.mark.parametrize(
    ("criterion", "name", "low", "high"),
    [
        ("r:a.high <= 1.5", "a", -math.inf, 1.5),
        ("r:b > 0.5", "b", 0.5, math.inf),
        ("r:a == 388", "a", 388, 388),
        ("r:a.high < r:b.low", "a", -math.inf, 3.0),
        ("r:a <= 2 * r:b", "a", -math.inf, 8.0),
        ("abs(r:a - 4.59) <= 0.3 * 10", "a", 4.59 - 3, 4.59 + 3),
        ("abs(r:a.low - 1) <= 0.5 and abs(r:a.high - 1) <= 0.25", "a", 0.75, 1.25),
        ("r:a >= 0.5 and r:a <= 3", "a", 0.5, 3),
    ],
)
def test_a_criterion_on_one_metric_is_met_between_two_numbers(criterion, name, low, high):
    found = of(criterion)
    assert (found.ours.metric, found.low, found.high) == (name, low, high)


@pytest.mark.parametrize(
    ("criterion", "judged", "words"),
    [
        ("r:a <= 1.5", {"value"}, "ours 1 (0.5 to 2); criterion met up to 1.5"),
        (
            "r:a.high <= 1.5", {"high"},
            "ours 1 (0.5 to 2); judged by its upper end; criterion met up to 1.5",
        ),
        (
            "r:a.low >= 0.1 and r:a <= 3", {"low", "value"},
            "ours 1 (0.5 to 2); judged by its lower end; criterion met from 0.1 to 3",
        ),
    ],
)  # fmt: skip
def test_a_strip_marks_what_is_judged(criterion, judged, words, monkeypatch):
    monkeypatch.syspath_prepend(files.ROOT / "book" / "_ext")
    from companion.strips import drawn, in_words

    found = of(criterion)
    assert found.judged == judged
    assert in_words(found) == words
    picture = drawn(found)
    assert picture.count('class="ours"') + picture.count('class="ours aside"') == 1 + 1 + len(
        judged - {"value"}
    )
    assert ('class="ours aside"' in picture) == ("value" not in judged)


@pytest.mark.parametrize(
    "criterion",
    ["r:a < 1 and r:b < 1", "(r:a < 1) or (r:a > 3)", "r:a - r:b > 0", "abs(r:a - r:b) > 1", ""],
)
def test_a_criterion_on_several_metrics_has_no_strip(criterion):
    assert of(criterion) is None


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("388", 388), ("0.00499 against 0.00379, a ratio of 1.32", 1.32), ("2.0 against 3.1", 2.0),
        ("53 s against 615 s", None), ("errors (lost from the text)", None), ("no figure", None),
    ],
)  # fmt: skip
def test_the_printed_value_is_shown_where_it_is_one_number(printed, value):
    assert of("r:a > 1", printed).printed == value


CLAIMS = """- id: one
  claim: A claim.
  criterion: "r:a > 1"
- id: two
  criterion:
    all_of:
      - "r:a > 1"
      - "r:b > 1"
  note: A note.
- id: three
  untested: A reason.
"""


def test_each_criterion_has_the_commit_that_last_changed_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    path = tmp_path / "claims.yml"

    def committed(text: str, day: int) -> str:
        path.write_text(text, encoding="utf-8")
        when = f"2026-11-0{day}T12:00:00Z"
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x", "--date", when]):
            subprocess.run([*git, *words], cwd=tmp_path, check=True)
        return files.commit()

    first = committed(CLAIMS, 1)
    second = committed(CLAIMS.replace('"r:b > 1"', '"r:b > 2"'), 2)
    committed(path.read_text(encoding="utf-8").replace("A note", "Another"), 3)
    found = criteria(files.blame(path))
    assert found == {"one": (first, "1 November 2026"), "two": (second, "2 November 2026")}
    path.write_text(
        CLAIMS.replace('"r:a > 1"\n- id: two', '"r:a > 7"\n- id: two'), encoding="utf-8"
    )
    assert "one" not in criteria(files.blame(path))
    assert criteria("") == {}
