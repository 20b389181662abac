"""What code means for numbers: canonical forms, and what a function can reach."""

from __future__ import annotations

import ast

import pytest

from dynlib.training import sources
from workflow.carry.difference import CHECK


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("x: int = 1", "x = 1  # one"),
        ("def f(a: int, *b: str) -> int:\n    c: int\n    return a", "def f(a, *b): return a"),
        ("import numpy\nimport os, sys\n", "import sys\nimport os\nimport numpy\n"),
        ("from a import b, c", "from a import c\nfrom a import b"),
        ("from __future__ import annotations\nx = 1", "x = 1"),
        ('raise ValueError(f"no {x}") from None', 'raise ValueError("not that")'),
        ('class A:\n    """Doc."""\n    x: int\n', "class A:\n    x: float\n"),
        (
            "import dynlib.training.progress as p\np.say('a')\nx = 1",
            "import dynlib.training.progress as p\nx = 1",
        ),
        (
            "from dynlib.training.progress import Meter\n"
            "m = Meter('a', 3)\nm.update(1, 'b')\nx = 1",
            "from dynlib.training.progress import Meter\nm = Meter('c', 4)\nx = 1",
        ),
    ],
)  # fmt: skip
def test_what_changes_no_number_is_left_out(one, two):
    assert sources.digest(one) == sources.digest(two)


def test_a_format_within_a_format_is_the_same_in_every_python():
    tree = ast.parse("f'{x:{y}}'")
    inner = tree.body[0].value.values[0].format_spec
    inner.values.append(ast.Constant(""))  # as Python 3.12 has it
    assert sources.canonical(tree) == sources.canonical(ast.parse("f'{x:{y}}'"))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("x = 1", "x = 2"),
        ("raise ValueError", "raise TypeError"),
        ("class A:\n    x: int = 1", "class A:\n    x = 1"),  # a field of a dataclass or not
        ("class A:\n    x: ClassVar[int] = 1", "class A:\n    x: int = 1"),
        ("class A:\n    x: InitVar[int]", "class A:\n    x: int"),
        ("class A:\n    x: int\n    y: int", "class A:\n    y: int\n    x: int"),
        ("def f(a=1): pass", "def f(a=2): pass"),
        ("from a import b", "from a import b as c"),
        ("say('a')\nx = 1", "x = 1"),  # not the one of dynlib.training.progress
        ("if a:\n    b()\nc()", "if a:\n    b()\n    c()"),
    ],
)
def test_what_may_change_a_number_counts(one, two):
    assert sources.digest(one) != sources.digest(two)


CALLER = """
from other import helper as short
import other

LIMIT = threshold() + str(Path() / "path")

def root(x):
    kept = 1            # a variable, not the function of that name
    return short(x) + other.by_attribute(x) + getattr(other, f"route_{x}")(x) + kept

def threshold(): return 1
def kept(): return 2
def unused(): return indirectly()
def indirectly(): return 3
"""
OTHER = """
import torch

def helper(x): return second(x)
def second(x): return x
def by_attribute(x): return Net(Plain()) + Heir().use()
def route_fast(x): return x
def lonely(): return Path() / "path"
def path(): return 0

class Net(torch.nn.Module):
    def forward(self, x): return self.inner(x)
    def inner(self, x): return x

class Plain:
    def __call__(self): return 1
    def never(self): return 1

class Heir(Plain):  # all calls of its methods are in these modules
    def __init__(self): self.x = 1
    def use(self): return self.hook()
    def hook(self): return 1
    def facts(self): return 1

class Late(Net):  # torch may call its methods, as those of Net
    def training_step(self): return 1

Late()

class Unused(Plain):
    def __init__(self): self.x = 1
    def forward(self): return 1
"""


def test_reach_follows_names_imports_attributes_and_texts():
    trees = {"caller": ast.parse(CALLER), "other": ast.parse(OTHER)}
    found = sources.Reach(trees, {"caller": [ast.Name("root")]})
    assert {node.name for node in found.reached} == {
        "root", "threshold", "helper", "second", "by_attribute", "route_fast", "forward", "inner",
        "__call__", "__init__", "use", "hook", "training_step",
    }  # fmt: skip


def test_a_key_covers_what_a_training_can_reach_and_no_more(monkeypatch):
    def key() -> str:
        return sources.fingerprint(["dynlib.tokens.training.train"])

    before = key()
    real = sources.tree_of

    def changed(module: str, old: str, new: str):
        def tree_of(name, package=sources.PACKAGE):
            text = sources.module_file(name, package).read_text(encoding="utf-8")
            if name == module:
                assert old in text
                text = text.replace(old, new) if old else text + new
            return ast.parse(text)

        monkeypatch.setattr(sources, "tree_of", tree_of)

    gpt, training = "dynlib.tokens.gpt", "dynlib.tokens.training"
    loop = "dynlib.training.loop"
    changed(loop, "Meter(label,", 'Meter("quite " + label,')
    assert key() == before
    changed(loop, "while step < steps and", "while step < steps - 1 and")
    assert key() != before
    for old, new in (  # what only the loop calls
        ("optimizer.step()", "optimizer.step(None)"),
        ('reduction="mean"', 'reduction="sum"'),
        ("generator.get_state()", "generator.get_state"),
        ("generator.set_state(own)", "generator.set_state(0)"),
    ):
        changed(training, old, new)
        assert key() != before, old
    changed(gpt, "", "\n\n@torch.no_grad()\ndef never_called():\n    return 1\n")
    assert key() == before
    changed(gpt, "", "\n\nLIMIT = 3\n")
    assert key() != before
    changed("dynlib.tokens.recipes", "", "\n\n@somewhere.register\ndef never_named():\n    pass\n")
    assert key() != before
    changed(loop, "steps, done", "steps + 0, done")  # a line of progress
    assert key() == before
    monkeypatch.setattr(sources, "tree_of", real)
    assert key() == before


def test_a_name_that_is_not_a_module_is_refused():
    with pytest.raises(ValueError, match=r"'dynlib\.none' is not a module of dynlib; give one"):
        sources.closure(["dynlib.none"])


CHANGES = {
    "add",
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "remove",
    "setdefault",
    "sort",
    "update",
}


def test_functions_named_check_change_nothing():
    """Carrying results over a change of code takes their calls for free: they only raise."""
    seen = 0
    for path in sorted(sources.PACKAGE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or not CHECK.fullmatch(function.name):
                continue
            seen += 1
            own = {
                node.id for node in ast.walk(function)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }  # fmt: skip
            for node in ast.walk(function):
                where = f"{path.name}:{getattr(node, 'lineno', 0)}"
                assert not isinstance(node, (ast.Global, ast.Nonlocal, ast.Yield)), where
                assert not (isinstance(node, ast.Return) and node.value), where
                if isinstance(node, (ast.Attribute, ast.Subscript)):
                    own_array = isinstance(node.value, ast.Name) and node.value.id in own
                    assert isinstance(node.ctx, ast.Load) or own_array, where
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    assert node.func.attr not in CHANGES, where
    assert seen > 4


def test_every_module_of_figures_only_draws():
    """A new one must be listed, or a changed colour would make results stale."""
    names = {
        "dynlib.report.figures",
        *(
            f"dynlib.report.figures.{path.stem}"
            for path in (sources.PACKAGE / "report" / "figures").glob("*.py")
            if path.stem != "__init__"
        ),
    }
    missing = names - sources.VIEW
    assert not missing, f"list in VIEW of dynlib/training/sources.py: {sorted(missing)}"
    assert all(sources.module_file(name) for name in sources.VIEW)
