"""Witnesses as jobs, each executed in a new process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflow.carry.difference import Region
from workflow.carry.trees import Tree
from workflow.runs.execute import ONE_THREAD
from workflow.runs.experiments import Run, load

LONGEST = 600  #: seconds that a witness may take; on an idle machine it should take ten


@dataclass
class Job:
    """One execution of a witness, of which a report or an error is kept."""

    tree: Tree
    run: Run
    parameters: dict[str, Any]
    needs: list[Job] = field(default_factory=list)
    gpu: bool = False  # whether it sees one, as the run did
    view: bool = False
    trace: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """Jobs with the same key are the same. The preset counts if runs hand something over."""
        preset = self.run.base_preset
        hand_over = {name for run in load(preset) for name in run.needs}
        shared = preset if self.needs or self.run.name in hand_over else ""
        text = json.dumps(self.parameters, sort_keys=True)
        return self.tree.folder, shared, self.run.notebook, text, self.gpu

    @property
    def words(self) -> str:
        """Its name in a line of progress."""
        return f"{self.run.name} ({self.run.preset}) with {self.tree.words}"

    def follow(self, regions: list[Region]) -> None:
        """Watch these regions too."""
        for region in regions:
            self.trace.setdefault(region.path, []).append(region.lines)

    def execute(self, scratch: Path) -> None:
        """Execute it without any cache, in a new process with one thread."""
        if failed := [job for job in self.needs if job.error]:
            self.error = failed[0].error
            return
        folder = Path(tempfile.mkdtemp(dir=scratch))
        handed = scratch / "handed" / f"{self.tree.folder.name}-{self.run.preset}"
        spec = {
            "tree": str(self.tree.folder),
            "notebook": f"notebooks/{self.run.notebook}.py",
            "parameters": self.parameters,
            "trace": self.trace,
            "view": self.view,
        }
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DYNLIB")}
        script = Path(__file__).with_name("witness.py")
        limit = ["timeout", str(LONGEST)] if shutil.which("timeout") else []
        done = subprocess.run(
            [*limit, sys.executable, str(script), str(folder / "spec.json")],
            cwd=folder,
            env=kept | ONE_THREAD | ({} if self.gpu else {"CUDA_VISIBLE_DEVICES": ""}) | {
                "DYNLIB_RECORD": str(folder / "record.json"),
                "DYNLIB_ARTEFACTS": str(folder / "artefacts"),
                "DYNLIB_HAND_OVER": str(handed),
                "DYNLIB_HANDED": str(handed),
                "DYNLIB_PROGRESS": str(folder / "progress"),
                "DYNLIB_WORKERS": "1",
                "MPLBACKEND": "agg",
                "PYTHONHASHSEED": "0",
            },
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        report = folder / "spec.report.json"
        if done.returncode == 124 and limit:
            self.error = (
                f"its witness took more than {LONGEST} s with {self.tree.words}: shorten it"
            )
        elif done.returncode or not report.exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            self.error = f"its witness failed with {self.tree.words}: {last}"
        else:
            self.report = json.loads(report.read_text(encoding="utf-8"))
        shutil.rmtree(folder, ignore_errors=True)
        print(f"  {self.words}: {self.report.get('seconds', 'failed')} s", flush=True)
