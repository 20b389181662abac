"""The rooms of dynlib: a module imports only from rooms that stand before its own."""

from __future__ import annotations

import ast

import pytest

from dynlib.training.sources import PACKAGE, imports

#: What each room may import besides itself. Methods do not know each other.
GROUND = ("dynamics", "measure", "training")
METHODS = ("tokens", "operators", "networks", "identify")
MAY_IMPORT = {room: GROUND[:number] for number, room in enumerate(GROUND)}
MAY_IMPORT |= dict.fromkeys(METHODS, GROUND)
MAY_IMPORT |= {"peers": GROUND + METHODS, "report": (*GROUND, *METHODS, "peers")}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/**/*.py")), ids=str)
def test_a_module_imports_only_from_rooms_before_its_own(path):
    room = path.relative_to(PACKAGE).parts[0]
    modules, _ = imports(ast.parse(path.read_text(encoding="utf-8")))
    rooms = {name.split(".")[1] for name in modules if "." in name}
    assert rooms <= {room, *MAY_IMPORT[room]}


def test_no_module_lies_beside_the_rooms():
    assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py"]
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)
