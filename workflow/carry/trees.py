"""The code of a run at a commit, or as it is now."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from dynlib.training import sources
from workflow.carry.difference import Code
from workflow.carry.witness import cells
from workflow.errors import Refused
from workflow.files import ROOT
from workflow.runs.experiments import Run
from workflow.runs.stamps import split, used_imports


@dataclass
class Tree:
    """The code at a commit, in its own folder, or the present code."""

    commit: str
    folder: Path

    @property
    def words(self) -> str:
        """Its name in messages."""
        return f"commit {self.commit[:10]}" if self.commit else "the present code"

    def code(self, run: Run, now_shown: frozenset[str] = frozenset(), *, gpu: bool) -> Code:
        """The code of a run that computes, on a GPU or without one, as it is in this tree.

        Statements whose forms are in `now_shown` are left out: by now their cells only show.
        """
        path = f"notebooks/{run.notebook}.py"
        computing, _ = self.notebook(path)
        body = [each for each in computing.body if _form(each) not in now_shown]
        imports = [each for each in body if not _form(each)]
        body = [each for each in body if _form(each)]
        computing = ast.Module([*used_imports(imports, body), *body], [])
        package = self.folder / "dynlib"
        modules, _ = sources.imports(computing, package)
        without = self.modules("VIEW") | self.modules("NEUTRAL")
        found = sources.closure(modules, without=without, package=package)
        return Code(self.folder, (path, computing), found, gpu=gpu)

    def notebook(self, path: str) -> tuple[ast.Module, ast.Module]:
        """A notebook's code that computes and its code that shows, with the lines of the file."""
        text = (self.folder / path).read_text(encoding="utf-8-sig")
        lines = text.splitlines()
        return split(
            ("code", tuple(tags), "\n" * first + "\n".join(lines[first:last]))
            for first, last, tags, is_code in cells(text)
            if is_code
        )

    def shown(self, run: Run) -> frozenset[str]:
        """The forms of the statements of a run's notebook that only show."""
        showing = self.notebook(f"notebooks/{run.notebook}.py")[1]
        return frozenset(_form(each) for each in showing.body) - {""}

    def modules(self, kind: str) -> frozenset[str]:
        """The modules that the ``VIEW`` or the ``NEUTRAL`` of this tree's own code lists."""
        path = self.folder / "dynlib" / "training" / "sources.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == kind:
                return frozenset(ast.literal_eval(node.value.args[0]))  # type: ignore[attr-defined]
        return frozenset(getattr(sources, kind))


def _form(statement: ast.stmt) -> str:
    """A statement as text, empty for an import."""
    if isinstance(statement, sources.IMPORTS):
        return ""
    return json.dumps(sources.canonical(statement))


def check_out(commit: str, root: Path) -> Tree:
    """Check out a commit below a folder; Refused if the commit is not in this clone."""
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise Refused(f"it was made by {commit!r:.60}, which does not name a commit")
    folder = root / commit
    if not folder.exists():
        wanted = ["dynlib", "notebooks", "workflow", "experiments.yml", "requirements.lock"]
        packed = subprocess.run(
            ["git", "archive", "--format=zip", commit, *wanted], cwd=ROOT, capture_output=True
        )
        if packed.returncode:
            raise Refused(
                f"commit {commit[:10]}, which made it, is not in this clone; fetch its history "
                "(git fetch --unshallow)"
            )
        with zipfile.ZipFile(io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder)
    return Tree(commit, folder)


def stamp_at(tree: Tree, preset: str, name: str, seed: int | None = None) -> str:
    """The stamp of a run, or of one with another seed, as the code of a tree computes it."""
    command = ["-m", "workflow", "stamp", name, "--preset", preset]
    command += [] if seed is None else ["-p", "seed", str(seed)]
    done = subprocess.run(
        [sys.executable, *command], cwd=tree.folder, capture_output=True, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(tree.folder)}, errors="replace",
    )  # fmt: skip
    if done.returncode == 0:
        return str(json.loads(done.stdout)["stamp"])
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise Refused(f"{tree.words} cannot compute its own stamp: {last}")
