"""The rooms of dynlib: a module imports only from rooms that stand before its own."""

from __future__ import annotations

import ast
import re

import pytest

from dynlib.training.sources import PACKAGE, imports

ROOT = PACKAGE.parent

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


#: Modules that a reader of the book does not call: they check arguments, or write code for numba.
INNER = {"dynlib.dynamics.checks", "dynlib.networks.checks", "dynlib.dynamics.forms"}


def test_every_module_stands_in_the_reference_of_the_book():
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "book" / "api").glob("*.md")]
    listed = {name for text in pages for name in re.findall(r"auto\w+:: (dynlib[\w.]+)", text)}
    for path in PACKAGE.glob("*/**/*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        inside = any(each.startswith(f"{name}.") for each in listed)
        assert path.name == "__init__.py" or name in INNER or name in listed or inside, name
