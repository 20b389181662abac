"""Whatever fails, finished work stays, the cause is said, and the next command does the rest."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mounted(made, namespaces):
    """Run a shell script in the clone where ``build`` is a file system of 4 MB of its own."""
    before = made.root / "before"
    (made.root / "build").rename(before)
    (made.root / "build").mkdir()

    def script(text: str) -> str:
        setup = f"""
            set -e
            mount -t tmpfs -o size=4m none build
            cp -a before/. build/
            set +e
            workflow() {{ {sys.executable} -m workflow "$@"; }}
            free() {{ stat -f -c %f build; }}
        """
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", setup + text],
            cwd=made.root, capture_output=True, encoding="utf-8", timeout=300,
        )  # fmt: skip
        return done.stdout + done.stderr

    return script


@pytest.mark.parametrize("left", [0, 1, 2])  # blocks of 4 kB
def test_a_full_disk_is_named_and_nothing_finished_is_lost(mounted, left):
    text = mounted(f"""
        sum=$(sha256sum build/smoke/{{notebooks,results}}/*)
        head -c $(( ($(free) - {left}) * 4096 )) /dev/zero > build/filler
        workflow run plain --preset smoke --force
        echo "code $?"
        sum2=$(sha256sum build/smoke/{{notebooks,results}}/*)
        rm build/filler
        [ "$sum" = "$sum2" ] && echo intact
        workflow run plain --preset smoke --force > again
        echo "again $?"
        workflow status --preset smoke
    """)
    assert "Traceback" not in text
    assert "again 0" in text
    assert re.search(r"plain +smoke +fresh", text), text
    if "code 0" not in text:  # the notebook, its log and its results take some blocks
        assert "code 1" in text, text
        assert "intact" in text
        assert re.search(r"full|No space left", text), text
        assert "again: python -m workflow run plain" in text
    assert left or "code 1" in text, text


def test_a_build_folder_that_cannot_be_written_is_named(mounted):
    text = mounted("""
        mount -o remount,ro build
        for command in "run plain --force" "run tiny" book "bundle plain"; do
            workflow $command --preset smoke
            echo "code $?"
        done
        workflow status --preset smoke
        workflow verify plain --preset smoke
    """)
    assert "Traceback" not in text
    assert text.count("Read-only file system") == 4, text
    assert text.count("give the same command again") == 4
    assert text.count("code 1") == 4
    assert re.search(r"plain +smoke +fresh", text)


def test_a_second_book_at_once_is_refused_in_a_sentence(made):
    lock = made.root / "build" / "smoke" / "book.lock"
    with lock.open("a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, text = made("book", "--preset", "smoke")
    assert code == 2
    assert text == ("the smoke book is being built by another process; wait for it or stop it\n")


def test_a_notebooks_process_that_is_killed_leaves_its_notebook(clone):
    clone.edit("notebooks/tiny.py", "wait: float = 0.0", "wait: float = 300.0")
    process = clone.start("run", "--preset", "smoke", "--cores", "2")
    part = clone.root / "build/smoke/notebooks/tiny.part.ipynb"
    clone.until(part.exists)
    lock = clone.root / "build/smoke/locks/tiny.lock"
    os.kill(int(lock.read_text(encoding="utf-8")), signal.SIGKILL)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "tiny: FAILED: its process was stopped by signal 9 (SIGKILL)" in text
    assert "again: python -m workflow run tiny --preset smoke" in text
    assert (clone.root / "build/smoke/failed/tiny.ipynb").exists()
    assert not part.exists()
    found = clone.status()
    assert " failed " in found["tiny"]
    assert " fresh" in found["plain"]


def test_a_clock_that_jumps_changes_nothing(made):
    for moment in (0, 2**31 + 10**8):  # 1970, and after 2038
        for path in made.root.rglob("*"):
            os.utime(path, (moment, moment))
        assert " fresh" in made.status()["plain"]
        assert "nothing to do" in made("run", "plain", "--preset", "smoke")[1]


def test_durations_are_read_from_a_clock_that_cannot_jump():
    calls = re.compile(r"\btime\.time\(|perf_counter_ns|datetime\.(?:now|today|utcnow)\(")
    for folder in ("dynlib", "workflow"):
        for path in (ROOT / folder).rglob("*.py"):
            for line in path.read_text(encoding="utf-8").splitlines():
                if calls.search(line):
                    assert '"started": ' in line, f"{path}: {line}"


def test_a_render_dies_with_the_book_and_holds_its_lock_until_then(made):
    """Jupyter Book is replaced by something that only waits."""
    fake = made.root / "jupyter_book" / "cli"
    fake.mkdir(parents=True)
    (fake.parent / "__init__.py").touch()
    (fake / "__init__.py").touch()
    (fake / "main.py").write_text(
        "import os, pathlib, time\n"
        "def main():\n"
        "    pathlib.Path('rendering').write_text(str(os.getpid()))\n"
        "    time.sleep(300)\n",
        encoding="utf-8",
    )
    shutil.copytree(ROOT / "book", made.root / "book")
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, made.root)
    made.edit("experiments.yml", made_tiny(made), "")
    process = made.start("book", "--preset", "smoke")
    mark = made.root / "rendering"
    made.until(lambda: mark.exists() and mark.read_text(encoding="utf-8"))
    render = int(mark.read_text(encoding="utf-8"))
    process.kill()
    process.wait()
    lock = (made.root / "build/smoke/book.lock").open("a", encoding="utf-8")

    def free():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    made.until(free, 10)  # which is when it is dead, or a corpse that nobody has buried
    stat = Path(f"/proc/{render}/stat")
    assert (
        not stat.exists() or stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    )


def made_tiny(clone):
    """The declaration of the run `tiny`."""
    text = (clone.root / "experiments.yml").read_text(encoding="utf-8")
    return text[text.index("tiny:") : text.index("plain:")]
