"""Kill a smoke build 20 times at random moments, and compare what comes out: ``make kills``.

In a copy of the clone, the whole ``smoke`` book is built twice: once undisturbed, and once while
``kill -9`` strikes the runner, a notebook's process or a kernel, each kill followed at once by the
same command again. The results must be equal, to the last bit, but for times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # started as a script


TARGETS = {
    "runner": re.compile(r"-m workflow (book|run)\b"),
    "notebook's process": re.compile(r"-m workflow\.execute\b"),
    "kernel": re.compile(r"ipykernel_launcher"),
}


def descendants(pid: int) -> dict[int, str]:
    """A process and all below it, with their command lines."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        parents[int(folder.name)], commands[int(folder.name)] = int(fields[1]), command
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return {each: commands.get(each, "") for each in found}


def build(root: Path, arguments: list[str], artefacts: Path) -> subprocess.Popen:
    """Start a build in a clone."""
    environment = os.environ | {"DYNLIB_ARTEFACTS": str(artefacts), "PYTHONPATH": str(root)}
    with (root / "kills.log").open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "workflow", *arguments, "--preset", "smoke"],
            cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def clone(parent: Path, name: str) -> Path:
    """A copy of what git tracks."""
    root = parent / name
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for path in listed.stdout.decode().split("\0"):
        if path and (ROOT / path).is_file():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, root / path)
    return root


def metrics(root: Path) -> dict[str, object]:
    """Every metric of a build that does not measure time, with its samples."""
    found = {}
    for path in sorted((root / "build" / "smoke" / "results").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found[f"{path.stem}: parameters"] = content["parameters"]
        for name, entry in content["metrics"].items():
            if not entry["timing"]:
                kept = ("value", "low", "high", "samples")
                found[f"{path.stem}: {name}"] = [entry[key] for key in kept]
    return found


def strike(process: subprocess.Popen, dice: random.Random) -> str | None:
    """Kill one of the processes of a build; what it was, None where there was none."""
    wanted = dice.choice(list(TARGETS))
    family = descendants(process.pid)
    victims = [pid for pid, command in family.items() if TARGETS[wanted].search(command)]
    if not victims or process.poll() is not None:
        return None
    try:
        os.kill(dice.choice(sorted(victims)), signal.SIGKILL)
    except ProcessLookupError:
        return None
    return wanted


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if the disturbed build ends in the results of the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder for the two clones")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--run", help="one run alone, and no book")
    options = parser.parse_args(arguments)
    dice = random.Random(options.seed)
    what = ["run", options.run] if options.run else ["book"]
    print(f"seed {options.seed}, {options.kills} kills of {' '.join(what)} at smoke", flush=True)

    calm = clone(options.folder, "calm")
    began = time.monotonic()
    if build(calm, what, calm / "artefacts").wait():
        print(f"the undisturbed build failed; see {calm}/kills.log")
        return 1
    undisturbed = time.monotonic() - began
    print(f"undisturbed: {undisturbed:.0f} s, {len(metrics(calm))} values", flush=True)

    rough = clone(options.folder, "rough")
    artefacts = rough / "artefacts"
    done = 0
    while done < options.kills:
        process = build(rough, what, artefacts)
        while done < options.kills and process.poll() is None:
            until = time.monotonic() + dice.uniform(0.1, max(2.0, undisturbed / 8))
            while time.monotonic() < until and process.poll() is None:
                time.sleep(0.05)
            if struck := strike(process, dice):
                done += 1
                print(f"  {done}: {struck}", flush=True)
                if struck == "runner":
                    process.wait()
        if process.wait() == 0:  # it got through: all over again
            shutil.rmtree(rough / "build")
            shutil.rmtree(artefacts, ignore_errors=True)
    if build(rough, what, artefacts).wait():
        print(f"the build after the kills failed; see {rough}/kills.log")
        return 1
    if "Traceback" in (rough / "kills.log").read_text(encoding="utf-8"):
        print(f"a traceback was shown; see {rough}/kills.log")
        return 1
    ours, theirs = metrics(rough), metrics(calm)
    odd = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    print(f"{done} kills; {len(theirs) - len(odd)} of {len(theirs)} values equal, times apart")
    for name in odd:
        print(f"  {name}: {ours.get(name)} against {theirs.get(name)}")
    return int(bool(odd))


if __name__ == "__main__":
    sys.exit(main())
