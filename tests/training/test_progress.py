"""Lines of progress: where they go, how often, and what they promise."""

import pytest

from dynlib.training import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def at(seconds):
        now[0] = 100.0 + seconds

    return at


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    monkeypatch.delenv("DYNLIB_PROGRESS", raising=False)


def test_a_line_goes_to_the_terminal_or_to_the_runners_file(tmp_path, monkeypatch, capsys):
    progress.say("one")
    monkeypatch.setenv("DYNLIB_PROGRESS", str(tmp_path / "lines"))
    progress.say("two")
    progress.say("three: å")
    assert capsys.readouterr().out == "one\n"
    assert (tmp_path / "lines").read_text(encoding="utf-8") == "two\nthree: å\n"


def test_a_meter_speaks_once_an_interval_and_at_the_end(clock, capsys):
    meter = progress.Meter("training", 100)
    for seconds, done in ((5, 10), (10, 20), (19, 30), (20, 40), (21, 100)):
        clock(seconds)
        meter.update(done, "loss 0.5" if done == 40 else "")
    assert capsys.readouterr().out.splitlines() == [
        "training: 20 of 100, about 40 s left",
        "training: 40 of 100, loss 0.5, about 30 s left",
        "training: 100 of 100",
    ]


def test_the_rest_is_reckoned_from_what_was_done_since_the_resumption(clock, capsys):
    meter = progress.Meter("training", 100, done=80, interval=1.0)
    clock(10)
    meter.update(80)
    clock(20)
    meter.update(90)
    assert capsys.readouterr().out.splitlines() == [
        "training: 80 of 100",
        "training: 90 of 100, about 20 s left",
    ]


def test_a_long_computation_is_announced_and_a_short_one_is_not(capsys):
    progress.announce("short", 29.0)
    progress.announce("long", 600.0)
    assert capsys.readouterr().out == "long: about 10 min on one core\n"
