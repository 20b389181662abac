"""Stamps are equal for equal content, on every clone and in every Python."""

import ast
import importlib.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from dynlib.training import sources
from workflow.errors import Refused
from workflow.runs.experiments import load
from workflow.runs.stamps import DISTRIBUTIONS, inputs, locked, split, stamp


def test_comments_docstrings_and_layout_do_not_count():
    one = 'def f(x):\n    """Doc."""\n    return [x, "a"]  # why\n'
    two = "def f(x):\n    return [\n        x,\n        'a',\n    ]\n"
    assert sources.digest(one) == sources.digest(two)
    assert sources.digest(one) != sources.digest(two.replace("'a'", "'b'"))


@given(st.integers(), st.integers())
def test_constants_count(a, b):
    assert (sources.digest(f"x = {a}") == sources.digest(f"x = {b}")) == (a == b)


def test_the_closure_follows_imports_at_any_depth():
    found = sources.closure(["dynlib.tokens.training"])
    assert {
        "dynlib.tokens.gpt",
        "dynlib.training.checkpoint",
        "dynlib.training.sources",
        "dynlib.tokens",
    } <= set(found)
    assert "dynlib.tokens.grid" not in found
    assert "torch" in sources.distributions(["dynlib.tokens.training"])


def test_rooms_import_only_from_rooms_above():
    """The order of the design: measures know no method, methods know no recording."""
    shared, methods = ["dynamics", "measure"], ["tokens", "operators", "networks", "identify"]
    for room in shared + methods:
        for path in (sources.PACKAGE / room).glob("*.py"):
            names = (
                sources.closure([f"dynlib.{room}.{path.stem}"]) if path.stem != "__init__" else {}
            )
            below = shared[shared.index(room) + 1 :] if room in shared else []
            closed = {*below, *methods} - {room}  # nor sideways into another method's room
            assert not [n for n in names if n.split(".")[1:2] and n.split(".")[1] in closed], path
            assert "dynlib.report.record" not in names, path
            assert "dynlib.report.style" not in names, path


def test_a_stamp_is_a_function_of_its_inputs():
    (run,) = load("smoke", ["henon_tokens"])
    assert stamp(run) == stamp(run)
    (other,) = load("cpu", ["henon_tokens"])
    assert stamp(run) != stamp(other)
    assert inputs(run)["modules"] == inputs(other)["modules"]


def test_the_stamp_covers_what_a_file_holds(tmp_path):
    file = tmp_path / "data.csv"
    found = set()
    for text in ("x\n1\n", "x\n2\n"):
        file.write_text(text, encoding="utf-8")
        (run,) = load("smoke", ["your_system"], {"data": str(file)})
        found.add(stamp(run))
    assert len(found) == 2


def test_import_names_map_to_the_distributions_that_provide_them():
    provided = importlib.metadata.packages_distributions()
    for name, distribution in DISTRIBUTIONS.items():
        assert canonicalize_name(distribution) in {canonicalize_name(d) for d in provided[name]}


def test_what_is_installed_is_what_is_locked():
    for name in ("torch", "transformers", "jupyter-book", "papermill", "numpy", "pot"):
        assert importlib.metadata.version(name).split("+")[0] == locked()[name]


@pytest.mark.parametrize(
    ("computing", "view", "later"),
    [
        ("x = 1", "y = x", "z = x"),
        ("x = 1", "x = 2", "x = 3\nz = x"),
        ("x = 1", "for x in a: pass", "z = [x for x in b]"),
        ("def f(model):\n    return lambda: model", "model = 1", "z = f(2)"),
    ],
)
def test_a_view_cell_that_sets_nothing_that_is_read_is_apart(computing, view, later):
    cells = [("code", (), computing), ("code", ("view",), view), ("code", (), later)]
    assert "".join(map(ast.unparse, split(cells)[1].body)) == ast.unparse(ast.parse(view))


@pytest.mark.parametrize(
    ("computing", "view", "later", "words"),
    [
        ("x = 1", "x = 2", "z = x", "reads x, which a cell tagged 'view' sets"),
        ("x = 1", "x = 2", "x = x + 1", "reads x, which a cell tagged 'view' sets"),
        ("def f():\n    return x", "x = 2", "z = f()", "reads x, which a cell tagged 'view' sets"),
        ("x = 1", "record.metric('a', 1)", "z = x", "a cell tagged 'view' calls record.metric"),
    ],
)
def test_a_view_cell_on_which_numbers_could_depend_is_refused(computing, view, later, words):
    cells = [("code", (), computing), ("code", ("view",), view), ("code", (), later)]
    with pytest.raises(Refused, match=words):
        split(cells)
