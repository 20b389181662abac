"""GPUs are counted, named and lent: pretended ones, which a script called nvidia-smi lists."""

import json
import os
import signal
import time
from collections import Counter

import pytest

from workflow.__main__ import main
from workflow.errors import Refused
from workflow.runs import cards, execute, schedule
from workflow.runs.cards import Cards, give_back, visible
from workflow.runs.experiments import load

#: Two whole cards, and one that is divided into two slices, as nvidia-smi prints them.
WHOLE = """GPU 0: NVIDIA H200 (UUID: GPU-aaaa1111-0000-0000-0000-000000000000)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb2222-0000-0000-0000-000000000000)
"""
DIVIDED = """GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-cccc3333-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-dddd4444-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-cccc3333-0000-0000-0000-000000000000/2/0)
"""
A, B = (line.split("UUID: ")[1].rstrip(")") for line in WHOLE.splitlines())
C, D = (line.split("UUID: ")[1].rstrip(")") for line in DIVIDED.splitlines()[1:])


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make this machine list cards; the folder of the script comes first on PATH."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    tools, place = tmp_path / "tools", tmp_path / "runtime"
    tools.mkdir()
    place.mkdir()
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))

    def lists(text: str, code: int = 0) -> None:
        script = tools / "nvidia-smi"
        query = "".join(
            f"echo '{line.split('UUID: ')[1].rstrip(')')}, 580.65.06, 143771'\n"
            for line in text.splitlines()
            if line.startswith("GPU")
        )
        script.write_text(
            f"#!/bin/sh\nif [ $1 = -L ]; then cat <<'END'\n{text}END\nelse\n{query or ':'}\nfi\n"
            f"exit {code}\n",
            encoding="utf-8",
        )
        script.chmod(0o755)

    lists(WHOLE)
    return lists


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, [A, B, C, D]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", [B]),
        ("1,0", [B, A]),
        (" 0 , 1 ", [A, B]),
        ("0,7,1", [A]),  # CUDA, too, reads no further than what is not there
        ("0,0", [A]),
        (B, [B]),
        ("GPU-bbbb", [B]),
        (f"{C},{A}", [C, A]),
        (D, [D]),
        ("2", [C]),  # of a divided card CUDA takes the first slice
        ("GPU-cccc3333", [C]),
    ],
)
def test_cards_are_those_that_the_environment_leaves(machine, monkeypatch, given, found):
    machine(WHOLE + DIVIDED)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert [card.uuid for card in visible()] == found


def test_a_slurm_job_has_only_what_it_was_given(machine, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert visible() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [card.uuid for card in visible()] == [B]


def test_without_a_driver_there_are_no_cards(machine, monkeypatch, tmp_path):
    machine(WHOLE, code=9)
    assert visible() == []
    machine("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
    assert visible() == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible() == []
    assert Cards().uncounted
    assert not Cards(0).uncounted


def uuids(lent):
    return None if lent is None else [card.uuid for card in lent]


def test_a_lent_card_is_lent_to_no_one_else(machine):
    ours, theirs = Cards(), Cards()
    first = ours.lend(1, Counter())
    assert uuids(first) == [A]
    assert uuids(ours.lend(1, Counter([*first]))) == [B]
    second = theirs.lend(1, Counter())
    assert uuids(second) == [B]
    assert ours.lend(1, Counter([*first])) is None
    assert ours.lend(2, Counter()) is None
    give_back(second)
    assert uuids(ours.lend(1, Counter([*first]))) == [B]
    give_back(first)
    assert uuids(theirs.lend(2, Counter())) == [A, B]  # what a refused loan had taken is free
    assert ours.lend(0, Counter([*first])) == {}


def test_a_limit_holds_for_cards_and_not_for_runs(machine):
    limited = Cards(1, share=2)
    first = limited.lend(1, Counter())
    second = limited.lend(1, Counter([*first]))
    assert uuids(first) == uuids(second) == [A]
    assert limited.lend(1, Counter([*first, *second])) is None
    alone = Cards()
    assert uuids(alone.lend(1, Counter())) == [B]
    assert Cards(5).total == 2
    spread = Cards(share=2)
    third = spread.lend(1, Counter([*first]))
    assert third is None or uuids(third) == [B]


def test_a_shared_card_is_not_lent_to_a_run_alone(machine):
    machine(WHOLE.splitlines()[0] + "\n")
    shared = Cards(share=2).lend(1, Counter())
    assert Cards().lend(1, Counter()) is None
    assert uuids(Cards(share=2).lend(1, Counter())) == [A]
    give_back(shared)
    assert uuids(Cards().lend(1, Counter())) == [A]


def test_no_place_for_locks_is_refused(machine, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(Refused, match="set XDG_RUNTIME_DIR to a folder"):
        Cards().lend(1, Counter())


def test_all_shells_of_a_user_share_the_locks(machine, monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert cards.locks().parent.as_posix() in (f"/run/user/{os.getuid()}", "/tmp")


@pytest.mark.parametrize(
    ("preset", "own", "gpus"),
    [
        ("cpu", {}, 0),
        ("cpu", {"device": "cuda"}, 1),
        ("paper", {}, 1),
        ("paper", {"device": "cpu"}, 0),
        ("paper", {"device": "cuda"}, 1),
    ],
)
def test_a_run_asks_for_what_its_preset_declares_or_its_device_says(preset, own, gpus):
    assert load(preset, ["henon_tokens"], own)[0].gpus == gpus
    assert load("paper", ["hankel_operator"])[0].gpus == 0  # it has no device


def test_a_card_without_a_gpu_is_refused(machine):
    runs = load("smoke", ["henon_tokens"], {"device": "cuda"})
    with pytest.raises(Refused, match="device=cuda, and --gpus 0 leaves no GPU to it"):
        schedule.schedule(runs, gpus=0)


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--gpus", "-1", 0), ("--gpus", "all", 0), ("--runs-per-gpu", "0", 1), ("--gpus", "１", 0)],
)
def test_a_number_that_is_none_is_refused(capsys, option, value, least):
    with pytest.raises(SystemExit) as ended:
        main(["run", "henon_tokens", f"{option}={value}"])
    assert ended.value.code == 2
    assert f"{value!r} is not a whole number from {least}" in capsys.readouterr().err


# --- runs that write down when they see which cards


#: The smoke preset of the run `plain`.
PLAIN = "title: Plain\n  needs: []\n  presets:\n    smoke: {cores: 1,"
NOTE = """
import json, os, time
from pathlib import Path
notes = Path("{NOTES}")
at_least = 1
began, seen = time.time(), os.environ["CUDA_VISIBLE_DEVICES"]
(notes / f"{os.getpid()}.began").touch()
while len([*notes.glob("*.began")]) < at_least and not (notes / "go").exists():
    if time.time() > began + 120:
        raise TimeoutError("waited in vain for others")
    time.sleep(0.05)
time.sleep(1.0)
with open(notes / f"{os.getpid()}.json", "w", encoding="utf-8") as file:
    json.dump([seen, began, time.time()], file)
record.metric("n", n)
"""


@pytest.fixture
def noting(clone, machine, tmp_path):
    """A clone whose run `plain` asks for a GPU, and what its runs wrote down so far."""
    folder = tmp_path / "notes"
    folder.mkdir()
    note = NOTE.replace("{NOTES}", str(folder))
    clone.edit("notebooks/plain.py", 'record.metric("n", n)', note)
    clone.edit("experiments.yml", PLAIN, PLAIN.replace("cores: 1,", "cores: 1, gpus: 1,"))

    def notes():
        return sorted(
            json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")
        )

    return clone, notes


def overlap(notes):
    """Pairs of runs that were under way at one time on one card."""
    return [
        (first, second)
        for number, first in enumerate(notes)
        for second in notes[:number]
        if {*first[0].split(",")} & {*second[0].split(",")}
        and first[1] < second[2]
        and second[1] < first[2]
    ]


SWEEP = ("sweep", "plain", "--preset", "smoke", "-p", "n")


def test_two_schedulers_never_share_a_card(noting, machine, tmp_path):
    clone, notes = noting
    machine(WHOLE.splitlines()[0] + "\n")
    clone.edit("notebooks/plain.py", "at_least = 1", "at_least = 99")
    first = clone.start(*SWEEP, "1,2", "--cores", "2")
    clone.until(lambda: [*(tmp_path / "notes").glob("*.began")])
    second = clone.start(*SWEEP, "3,4", "--cores", "2")
    heard = next(line for line in second.stdout if "waits" in line)
    assert heard == "plain -p n 3: waits for a GPU, all are in use\n"
    (tmp_path / "notes" / "go").touch()
    assert "waits for a GPU, all are in use" in first.communicate(timeout=300)[0]
    second.communicate(timeout=300)
    assert [first.returncode, second.returncode] == [0, 0]
    assert [seen for seen, *_ in notes()] == [A] * 4
    assert overlap(notes()) == []


def test_two_cards_are_two_runs_at_once_and_a_third_waits(noting):
    clone, notes = noting
    clone.edit("notebooks/plain.py", "at_least = 1", "at_least = 2")
    code, text = clone(*SWEEP, "1,2,3", "--cores", "3")
    assert code == 0, text
    assert "plain -p n 3: waits for a GPU" in text
    assert {seen for seen, *_ in notes()} == {A, B}
    assert overlap(notes()) == []


def test_runs_share_a_card_where_that_is_asked(noting, machine):
    clone, notes = noting
    machine(WHOLE.splitlines()[0] + "\n")
    clone.edit("notebooks/plain.py", "at_least = 1", "at_least = 2")
    code, text = clone(*SWEEP, "1,2", "--cores", "2", "--runs-per-gpu", "2")
    assert code == 0, text
    assert "waits" not in text
    assert len(overlap(notes())) == 1


@pytest.mark.parametrize(
    ("gpus", "limit", "seen", "said"),
    [
        (0, (), "", ""),
        (3, (), f"{A},{B}", "asks for 3 GPU and gets 2"),
        (1, ("--gpus", "0"), "", "asks for 1 GPU and gets 0"),
    ],
)
def test_a_run_sees_what_it_was_lent_and_nothing_else(noting, gpus, limit, seen, said):
    clone, notes = noting
    clone.edit("experiments.yml", "gpus: 1", f"gpus: {gpus}")
    code, text = clone("run", "plain", "--preset", "smoke", *limit)
    assert code == 0, text
    assert said in text
    assert [each for each, *_ in notes()] == [seen]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_scheduler_frees_its_cards(noting, machine, tmp_path, number):
    clone, notes = noting
    machine(WHOLE.splitlines()[0] + "\n")
    clone.edit("notebooks/plain.py", "time.sleep(1.0)", "time.sleep(1.0 if n < 9 else 300)")
    process = clone.start("run", "plain", "--preset", "smoke", "-p", "n", "9")
    lock = tmp_path / "runtime" / f"dynlib-gpus-{os.getuid()}" / f"{A}.lock"
    clone.until(lock.exists)
    time.sleep(1)
    assert Cards().lend(1, Counter()) is None
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    began = time.monotonic()
    code, text = clone("run", "plain", "--preset", "smoke")
    assert code == 0, text
    assert time.monotonic() - began < 60
    assert [seen for seen, *_ in notes()] == [A]


def test_jobs_of_snakemake_do_not_share_a_card(noting, machine, snakemake):
    clone, notes = noting
    machine(WHOLE.splitlines()[0] + "\n")
    clone.edit("notebooks/plain.py", "time.sleep(1.0)", "time.sleep(5.0)")
    code, text = clone(*SWEEP, "1,2", "--profile", "local")
    assert code == 0, text
    assert [seen for seen, *_ in notes()] == [A, A]
    assert overlap(notes()) == []


# --- the card in the provenance


def test_a_run_on_a_card_names_it(machine, monkeypatch):
    machine(WHOLE + DIVIDED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{B},{C}")
    found = execute.gpus({"device": "cuda"})
    assert found == {
        "gpus": [
            {"name": "NVIDIA H200", "driver": "580.65.06", "memory_mb": 143771},
            {"name": "NVIDIA A100-SXM4-40GB MIG 3g.20gb", "driver": "580.65.06"},
        ]
    }
    assert execute.gpus({"device": "cpu"}) == execute.gpus({}) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert execute.gpus({"device": "cuda"}) == {}


def test_a_run_is_not_lost_to_a_driver_that_answers_nonsense(machine, monkeypatch):
    machine(WHOLE)
    answers = {"-L": WHOLE.splitlines()}
    monkeypatch.setattr(cards, "_smi", lambda word, *_: answers.get(word, ["Unable to", ""]))
    unknown = {"name": "NVIDIA H200", "driver": "unknown"}
    assert execute.gpus({"device": "cuda"}) == {"gpus": [unknown, unknown]}


def test_status_names_the_card_of_a_run(made, machine):
    assert "on NVIDIA" not in made.status()["plain"]
    assert "gpus" not in made.results("plain")["provenance"]["machine"]
    used = 'record.context(device="cuda")\nrecord.metric("n", n)'
    made.edit("notebooks/plain.py", 'record.metric("n", n)', used)
    made.edit("experiments.yml", PLAIN, PLAIN.replace("cores: 1,", "cores: 1, gpus: 2,"))
    code, text = made("run", "plain", "--preset", "smoke")
    assert code == 0, text
    assert made.status()["plain"].endswith("  on 2 × NVIDIA H200")
