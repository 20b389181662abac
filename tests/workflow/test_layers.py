"""Which part of the machinery imports which: files and errors, runs, then what stands on them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A part imports from itself and from these. Only the command line imports from all.
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "runs": {"errors", "files"},
    "ledger": {"errors", "files", "runs"},
    "carry": {"errors", "files", "runs"},
    "book": {"errors", "files", "runs", "ledger"},
    "cluster": {"errors", "files", "runs"},
    "bootstrap": set(),
}


def imported(path: Path) -> set[str]:
    """Parts of the machinery that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflow"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {name.split(".")[1] for name in names if name.startswith("workflow.")}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {name[1] for name in names if name[0] == "workflow" and len(name) > 1}
    return {name for name in found if (ROOT / "workflow" / name).exists() or name in MAY_IMPORT}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_from_those_below_it(part):
    place = ROOT / "workflow" / part
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert paths
    for path in paths:
        assert imported(path) <= MAY_IMPORT[part] | {part}, path.name


def test_every_part_has_its_place_among_them():
    parts = {path.stem for path in (ROOT / "workflow").iterdir() if not path.name.startswith("__")}
    assert parts == set(MAY_IMPORT)
