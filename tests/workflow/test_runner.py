"""The runner: what is fresh is skipped, what dies is resumed, what is good is kept."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from workflow.runs.integrity import checksum


def test_runs_stamp_skip_and_stale(clone):
    code, text = clone("run", "--preset", "smoke")
    assert code == 0, text
    content = clone.results("tiny")
    assert content["parameters"]["steps"] == 3
    assert {"stamp", "commit", "dirty", "wall_s", "cpu_s", "peak_rss_mb", "versions"} <= set(
        content["provenance"]
    )
    assert content["provenance"]["versions"]["torch"].startswith("2.")
    sections = content["provenance"]["sections_s"]
    assert next(iter(sections)) == "start"
    assert 0 <= sum(sections.values()) <= content["provenance"]["wall_s"]

    began = time.monotonic()
    code, text = clone("run", "--preset", "smoke")
    assert code == 0
    assert text.count("fresh, nothing to do") == 2
    assert time.monotonic() - began < 15

    # Prose and comments change nothing.
    clone.edit("notebooks/tiny.py", "Prose with", "Other prose with")
    clone.edit("notebooks/tiny.py", "import time\n", "import time  # to wait\n")
    clone.edit("dynlib/tokens/gpt.py", '"""GPT-2 on cells', '"""Another docstring on cells')
    assert all(" fresh " in line for line in clone.status().values())

    # Code does, for the run that uses it and for no other.
    clone.edit(
        "dynlib/tokens/gpt.py", "cached, seen = cached + fresh", "cached, seen = 0 + cached + fresh"
    )
    found = clone.status()
    assert " stale " in found["tiny"]
    assert "changed: dynlib.tokens.gpt" in found["tiny"]
    assert " fresh " in found["plain"]

    clone.edit("requirements.lock", "torch==", "torch==1")
    assert "version of torch" in clone.status()["tiny"]
    clone.edit(
        "experiments.yml",
        "smoke: {cores: 1, parameters: {}}",
        "smoke: {cores: 1, parameters: {steps: 4}}",
    )
    assert "steps" in clone.status()["tiny"]
    assert " fresh " in clone.status()["plain"]


def test_a_failure_keeps_the_last_good_result_and_the_failed_notebook(clone):
    assert clone("run", "--preset", "smoke")[0] == 0
    before = clone.results("tiny")
    clone.edit("notebooks/tiny.py", "fail: bool = False", "fail: bool = True")
    clone.edit("notebooks/plain.py", '("n", n)', '("n", n + 1)')
    code, text = clone("run", "--preset", "smoke")
    assert code == 1
    assert "RuntimeError: asked to fail" in text
    assert "again: python -m workflow run tiny --preset smoke" in text
    assert "Traceback" not in text
    assert clone.results("tiny") == before
    failed = json.loads((clone.root / "build/smoke/failed/tiny.ipynb").read_text(encoding="utf-8"))
    assert any("asked to fail" in json.dumps(cell) for cell in failed["cells"])
    assert clone.values("plain")["n"] == 5  # the other run went on
    assert " failed " in clone.status()["tiny"]
    clone.edit("notebooks/tiny.py", "fail: bool = True", "fail: bool = False")
    assert clone("run", "--preset", "smoke", "--force")[0] == 0
    assert not (clone.root / "build/smoke/failed/tiny.ipynb").exists()


def test_own_parameters_go_to_a_folder_apart(clone):
    assert clone("run", "plain", "--preset", "smoke")[0] == 0
    before = clone.results("plain")
    code, text = clone("run", "plain", "--preset", "smoke", "-p", "n", "7")
    assert code == 0, text
    assert clone.values("plain", "smoke+n=7")["n"] == 7
    assert clone.results("plain") == before


def below(pid):
    """Process ids of all descendants."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            found += [child, *below(child)]
    return found


def alive(pids):
    found = []
    for pid in pids:
        try:
            state = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            )
        except OSError:
            continue
        if state != "Z":
            found.append(pid)
    return found


def test_kill_9_in_the_middle_of_training_ends_in_the_same_metrics(clone, tmp_path):
    clone.edit(
        "dynlib/tokens/training.py",
        "checkpoint_seconds: float = 15.0",
        "checkpoint_seconds: float = 0.2",
    )
    undisturbed = str(tmp_path / "apart")
    assert clone("run", "tiny", "--force", DYNLIB_ARTEFACTS=undisturbed)[0] == 0
    expected = clone.values("tiny", "cpu")
    (clone.root / "build/cpu/results/tiny.json").unlink()

    process = clone.start("run", "tiny")
    artefacts = clone.root / "build" / "artefacts"
    clone.until(lambda: list(artefacts.glob("tiny-*/checkpoints/step-?????????")))
    family = below(process.pid)
    assert family
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (clone.root / "build/cpu/results/tiny.json").exists()
    assert list(artefacts.glob("tiny-*/checkpoints/step-?????????"))

    code, text = clone("run", "tiny")  # at once: what is still dying is waited for
    assert code == 0, text
    assert not alive(family)  # no orphan went on training
    assert clone.values("tiny", "cpu") == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_at_once_with_130_and_keeps_nothing_half(clone, number):
    clone.edit("notebooks/tiny.py", "wait: float = 0.0", "wait: float = 300.0")
    process = clone.start("run", "tiny", "--preset", "smoke")
    progress = clone.root / "build/smoke/notebooks/tiny.part.ipynb"
    clone.until(progress.exists)
    time.sleep(1)
    family = below(process.pid)
    process.send_signal(number)
    began = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 15
    assert "interrupted" in output
    assert "Traceback" not in output
    clone.until(lambda: not alive(family), 20)
    assert not (clone.root / "build/smoke/results/tiny.json").exists()


def test_two_at_once_on_one_run_are_refused(clone):
    clone.edit("notebooks/tiny.py", "wait: float = 0.0", "wait: float = 300.0")
    first = clone.start("run", "tiny", "--preset", "smoke")
    clone.until((clone.root / "build/smoke/notebooks/tiny.part.ipynb").exists)
    code, text = clone("run", "tiny", "--preset", "smoke", WORKFLOW_LOCK_PATIENCE="1")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    assert code == 2
    assert "is being run by process" in text


def test_a_killed_kernel_is_explained(clone):
    clone.edit("notebooks/tiny.py", "time.sleep(wait)", "import os; os.kill(os.getpid(), 9)")
    code, text = clone("run", "tiny", "--preset", "smoke")
    assert code == 1
    assert "kernel died" in text
    assert "memory" in text


def test_a_child_started_before_its_scheduler_died_does_not_live_on(clone):
    process = clone.start("run", "plain", "--preset", "smoke")
    clone.until(lambda: below(process.pid))
    family = below(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    clone.until(lambda: not alive(family), 10)


def test_runs_in_parallel_do_not_share_sockets(clone):
    code, text = clone("run", "--preset", "smoke", "--cores", "2")
    assert code == 0, text
    assert not list(clone.root.glob("kernel-ipc*"))


def test_sockets_go_where_names_are_short(clone, tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    code, text = clone("run", "plain", "--preset", "smoke", TMPDIR=str(folder))
    assert code == 0, text
    assert not list(folder.iterdir())


def test_runs_wait_for_what_they_need_and_are_stale_with_it(clone):
    clone.edit("experiments.yml", "title: Tiny\n  needs: []", "title: Tiny\n  needs: [plain]")
    code, text = clone("run", "tiny", "--preset", "smoke")
    assert code == 2
    assert "needs plain, which is missing" in text
    code, text = clone("run", "--preset", "smoke", "--cores", "2")
    assert code == 0, text
    assert text.index("plain: done") < text.index("tiny: done")
    clone.edit("notebooks/plain.py", '("n", n)', '("n", n + 1)')
    assert "run plain" in clone.status()["tiny"]
    clone.edit("notebooks/plain.py", '("n", n + 1)', '("n", n / 0)')
    code, text = clone("run", "--preset", "smoke")
    assert code == 1
    assert "tiny: not run, it needs plain" in text


def test_what_another_run_needs_begins_first(clone):
    clone.edit("experiments.yml", "title: Tiny\n  needs: []", "title: Tiny\n  needs: [plain]")
    first = "first:\n  notebook: tiny\n  title: First\n  needs: []\n  presets:\n" + "".join(
        f"    {preset}: {{cores: 1, parameters: {{}}}}\n" for preset in ("smoke", "cpu", "paper")
    )
    clone.edit("experiments.yml", "tiny:\n  notebook", f"{first}tiny:\n  notebook")
    code, text = clone("run", "--preset", "smoke", "--cores", "1")
    assert code == 0, text
    assert text.index("plain: done") < text.index("first: done") < text.index("tiny: done")


def test_the_cause_of_a_failure_is_the_error_not_its_last_line(clone):
    clone.edit("notebooks/plain.py", '("n", n)', '("n", n); raise RuntimeError("why\\nhint")')
    code, text = clone("run", "plain", "--preset", "smoke")
    assert code == 1
    assert "RuntimeError: why hint" in text


def reseal(file, content):
    """Write results as if the run had made them."""
    content["provenance"].pop("checksum")
    content["provenance"]["checksum"] = checksum(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_verify_and_accept(clone):
    assert clone("run", "plain", "--preset", "smoke")[0] == 0
    code, text = clone("accept", "plain", "--preset", "smoke")
    assert code == 2
    assert f"{clone.root} is not a git repository" in text
    file = clone.root / "build/smoke/results/plain.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["provenance"]["dirty"] = False
    reseal(file, content)
    assert clone("accept", "plain", "--preset", "smoke")[0] == 0
    code, text = clone("verify", "plain", "--preset", "smoke")
    assert (code, text) == (0, "plain: 2 of 2 metrics agree\n")
    content["metrics"]["n"]["value"] = 9
    reseal(file, content)
    code, text = clone("verify", "plain", "--preset", "smoke")
    assert code == 1
    assert "n: moved, 9 against 4" in text
    clone.edit("notebooks/plain.py", '("n", n)', '("n", n + 1)')
    code, text = clone("verify", "plain", "--preset", "smoke")
    assert code == 1
    assert "the run is stale" in text
