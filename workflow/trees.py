"""The code of a run at some commit, or as it is now."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dynlib import sources
from workflow.difference import Code
from workflow.experiments import ROOT, Refused, Run
from workflow.stamps import split, used_imports
from workflow.witness import cells


@dataclass
class Tree:
    """The code at a commit, in a folder of its own, or the present code."""

    commit: str
    folder: Path

    @property
    def words(self) -> str:
        """What it is called."""
        return f"commit {self.commit[:10]}" if self.commit else "the present code"

    def code(self, run: Run, now_shown: frozenset[str] = frozenset()) -> Code:
        """The code of a run that computes, as it is in this tree.

        Statements whose forms are in `now_shown` belong to cells that only show by now.
        """
        path = f"notebooks/{run.notebook}.py"
        computing, _ = self.notebook(path)
        body = [each for each in computing.body if _form(each) not in now_shown]
        imports = [each for each in body if not _form(each)]
        body = [each for each in body if _form(each)]
        computing = ast.Module([*used_imports(imports, body), *body], [])
        package = self.folder / "dynlib"
        modules, _ = sources.imports(computing, package)
        without = self.views() | sources.NEUTRAL
        found = sources.closure(modules, without=without, package=package)
        return Code(self.folder, (path, computing), found)

    def notebook(self, path: str) -> tuple[ast.Module, ast.Module]:
        """A notebook's code that computes and its code that shows, with the file's own lines."""
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

    def views(self) -> frozenset[str]:
        """The modules of this tree that only draw."""
        text = (self.folder / "dynlib" / "sources.py").read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VIEW":
                return frozenset(ast.literal_eval(node.value.args[0]))  # type: ignore[attr-defined]
        return sources.VIEW


def _form(statement: ast.stmt) -> str:
    """A statement as text, empty for an import."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return ""
    return json.dumps(sources.canonical(statement))


def check_out(commit: str, root: Path) -> Tree:
    """The tree of a commit, below a folder.

    Raises
    ------
    Refused
        If the commit is not in this clone.
    """
    folder = root / commit
    if not folder.exists():
        wanted = ["dynlib", "notebooks", "workflow", "experiments.yml", "requirements.lock"]
        packed = subprocess.run(
            ["git", "archive", commit, *wanted], cwd=ROOT, capture_output=True, check=False
        )
        if packed.returncode:
            raise Refused(
                f"commit {commit[:10]}, which made it, is not in this clone; fetch its history "
                "(git fetch --unshallow)"
            )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
    return Tree(commit, folder)


#: Asks a tree for stamps in its own words; older trees have no such command.
OLD_STAMPS = """
import json, sys
from workflow.experiments import load
from workflow.stamps import stamp
preset, name, *own = sys.argv[1:]
seeds = [{"seed": seed} for seed in own] or [None]
print(json.dumps([stamp(run) for each in seeds for run in load(preset, [name], each)]))
"""


def stamps_at(tree: Tree, preset: str, name: str, seeds: list[str]) -> list[str]:
    """The stamps of a run, or of its points, that the code of a tree computes for itself."""
    environment = os.environ | {"PYTHONPATH": str(tree.folder)}
    done = subprocess.run(
        [sys.executable, "-c", OLD_STAMPS, preset, name, *seeds],
        cwd=tree.folder, env=environment, capture_output=True, text=True, encoding="utf-8",
        check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise Refused(f"commit {tree.commit[:10]} cannot say its own stamp: {last}")
    return list(json.loads(done.stdout))
