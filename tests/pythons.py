"""Set up, run, render and test with every Python at hand: ``make test-pythons``.

By default with one of each minor version that is found: the system's, those on PATH, those of
pyenv. ``PYTHONS="python3.11 /path/to/python3.13"`` chooses. Each has an environment and a clone of
its own in ``build/pythons/VERSION``; the environment is kept for the next time. The clone holds
what git tracks, as it is in the working tree. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, MINORS = (3, 11, 2), range(11, 15)
QUICK = "not slow and not slurm"
ASK = "import sys; print(*sys.version_info[:3], sys.base_prefix)"


def asked(python: str) -> tuple[tuple[int, ...], str] | None:
    """Version and place of an interpreter, None where there is none that answers."""
    try:
        done = subprocess.run([python, "-c", ASK], capture_output=True, encoding="utf-8")
    except OSError:
        return None
    words = done.stdout.strip().split(" ", 3)
    if done.returncode or len(words) < 4:  # as a shim of pyenv, whose Python is not chosen
        return None
    return tuple(map(int, words[:3])), words[3]


def found() -> dict[str, str]:
    """Interpreters by version, one of each minor version: the system's first, then PATH, pyenv."""
    names = [f"python3.{minor}" for minor in MINORS]
    candidates = [f"/usr/bin/{name}" for name in names]
    candidates += [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [str(path) for path in sorted(pyenv.glob("3.*/bin/python"))]
    chosen: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
    for python in candidates:
        answer = asked(python)
        if answer and answer[0] >= OLDEST and answer[0][1] in MINORS:
            chosen.setdefault(answer[0][:2], (answer[0], python))
    return {".".join(map(str, version)): python for version, python in sorted(chosen.values())}


def named(pythons: list[str]) -> dict[str, str]:
    """The interpreters that were asked for, by version.

    Raises
    ------
    SystemExit
        If one does not answer.
    """
    chosen = {}
    for python in pythons:
        answer = asked(python)
        if answer is None:
            sys.exit(f"{python} is not a Python that answers: give names on PATH, or paths")
        chosen[".".join(map(str, answer[0]))] = shutil.which(python) or python
    return chosen


def clone(root: Path) -> None:
    """A clone with the working tree's version of every tracked file.

    Raises
    ------
    SystemExit
        If this is not a git repository.
    """
    shutil.rmtree(root, ignore_errors=True)
    if subprocess.call(["git", "clone", "--quiet", "--shared", str(ROOT), str(root)]):
        sys.exit("test-pythons needs a git repository to clone (git clone, not a ZIP)")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        else:
            (root / name).unlink(missing_ok=True)


def attempt(version: str, python: str) -> str:
    """Set up, run, render, test; a line that says how it went."""
    folder = ROOT / "build" / "pythons" / version
    folder.mkdir(parents=True, exist_ok=True)
    venv, root, log = folder / "venv", folder / "clone", folder / "log.txt"
    clone(root)
    make = ["make", f"PYTHON={python}", f"VENV={venv}", "PRESET=smoke"]
    tests = [f"{venv}/bin/python", "-m", "pytest", "-n", "2", "--dist", "loadscope", "-m", QUICK]
    steps = {"set-up": [*make, "setup"], "runs": [*make, "run"], "book": [*make, "book"]}
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    environment.pop("PYTHONPATH", None)  # it names this clone
    went = []
    with log.open("wb") as file:
        for name, command in {**steps, "quick tests": tests}.items():
            print(f"Python {version}: {name} ...", flush=True)
            began = time.monotonic()
            code = subprocess.call(
                command, cwd=root, env=environment, stdout=file, stderr=subprocess.STDOUT
            )
            went.append(f"{name} {time.monotonic() - began:.0f} s")
            if code:
                return f"FAILED ({', '.join(went)}); see {log.relative_to(ROOT)}"
    last = re.findall(
        r"^=*\s*(\d+ passed[^=\n]*)", log.read_text(encoding="utf-8", errors="replace"), re.M
    )
    return f"passed ({', '.join(went)}{': ' + last[-1].strip() if last else ''})"


def main(pythons: list[str]) -> int:
    """Exit code 0 if all went well with every Python."""
    chosen = named(pythons) if pythons else found()
    if not chosen:
        sys.exit('no Python from 3.11.2 on was found; name one: PYTHONS="/path/to/python"')
    lines = {}
    for version, python in chosen.items():
        print(f"Python {version} is {python}", flush=True)
        lines[version] = attempt(version, python)
    print()
    for version, line in lines.items():
        print(f"Python {version}: {line}")
    return int(any(line.startswith("FAILED") for line in lines.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
