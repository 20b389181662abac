"""What differs between two states of code, down to what may be skipped, and what was executed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from workflow.carry.difference import Code, Region, compare

NOTEBOOK = "from dynlib.room import f\nf(1)\n"


def code(
    root: Path, modules: dict[str, str], notebook: str = NOTEBOOK, *, gpu: bool = True
) -> Code:
    """The code of a notebook and of modules of a dynlib of its own."""
    for name, text in {"__init__": "", **modules}.items():
        path = root / "dynlib" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    names = [f"dynlib.{m}" for m in modules]
    return Code(root, ("notebooks/n.py", ast.parse(notebook)), names, gpu=gpu)


def texts(regions: list[Region], root: Path) -> list[str]:
    lines = {
        p.relative_to(root).as_posix(): p.read_text(encoding="utf-8") for p in root.rglob("*.py")
    }
    return [
        ast.get_source_segment(lines.get(region.path, NOTEBOOK), region.node) or ""
        for region in regions
    ]


def difference(tmp_path, old: str, new: str) -> tuple[list[str], list[str]]:
    one, two = tmp_path / "one", tmp_path / "two"
    removed, added = compare(code(one, {"room": old}), code(two, {"room": new}))
    return texts(removed, one), texts(added, two)


@pytest.mark.parametrize(
    ("old", "new", "added"),
    [
        ("def f(x):\n    return x\n", "def f(x: int) -> int:\n    return x\n", []),
        ("def f(x):\n    return x\n", "def f(x):\n    return x + 1\n", ["return x + 1"]),
        ("def f(x):\n    return g(x)\ndef g(x):\n    return x\n",
         "def f(x):\n    return h(x)\ndef h(x):\n    return x\n", ["return h(x)"]),
        ("def f(x):\n    return a if x else b\n", "def f(x):\n    return a if x else c\n", ["c"]),
        ("def f(x):\n    return a if x else b\n", "def f(x):\n    return a if y else b\n",
         ["return a if y else b"]),
        ("def f(x):\n    return x and a\n", "def f(x):\n    return x and b\n", ["b"]),
        ("def f(x):\n    return sorted(x, key=lambda y: y)\n",
         "def f(x):\n    return sorted(x, key=lambda y: -y)\n", ["-y"]),
        ("def f(x):\n    return x\n", "def f(x):\n    if x:\n        x = 2\n    return x\n",
         ["x", "x = 2"]),
        ("def f(x):\n    return x\n",
         "def f(x):\n    if x < 0:\n        raise ValueError(x)\n    return x\n", []),
        ("def f(x):\n    return x\n",
         "def f(x):\n    if (x := 2) < a:\n        raise ValueError(x)\n    return x\n",
         ["(x := 2) < a"]),
        ("def f(x):\n    return x\n", "def f(x):\n    return x\ndef other():\n    return 3\n", []),
        ("def f(x):\n    return x\n", "def f(x):\n    check_shape(x)\n    return x\n", []),
        ("def f(x):\n    return x\n",
         "def f(x):\n    resumed = load()\n    if resumed is not None:\n        x = 2\n"
         "    return x\n",
         ["resumed is not None"]),
        ("def f(x):\n    return x\n",
         "def f(x):\n    while True:\n        if x > checkpoint_seconds:\n            save(x)\n"
         "        return x\n", ["x > checkpoint_seconds", "return x"]),
        ("def f(x):\n    return x\n",
         "def f(x):\n    try:\n        return x\n    except DamagedCheckpoint:\n        return 2\n",
         ["return x"]),
        ("def f(x):\n    return x\n", "def f(x):\n    x = checked(x)\n    return x\n",
         ["x = checked(x)"]),
        ("def f(x):\n    _check(x)\ndef _check(x):\n    pass\n",
         "def f(x):\n    _check(x)\ndef _check(x):\n    n = len(x)\n", []),
        ("def f(x):\n    return x\n",
         "def f(x):\n    return x\nclass Lone:\n    def __init__(self):\n        self.x = 3\n", []),
        ("def f(x):\n    return x\n",
         "def f(x):\n    return Used()\nclass Used:\n    def __init__(self):\n        self.x = 3\n",
         ["return Used()", "self.x = 3"]),
        ("class A:\n    def use(self):\n        return 1\nclass B(A):\n    x = 1\n"
         "def f(x):\n    return B().use()\n",
         "class A:\n    def use(self):\n        return 1\nclass B(A):\n    x = 1\n"
         "    def facts(self):\n        return 2\ndef f(x):\n    return B().use()\n", []),
        ("def f(x, n=3):\n    return x\n", "def f(x, n=g(3)):\n    return x\n", ["g(3)"]),
        ("def f(x):\n    return x\n", "A = 1\ndef f(x):\n    return x\n", ["A = 1"]),
        ("class A:\n    x: int = 1\ndef f(x):\n    return x\n",
         "class A:\n    x: int = 2\ndef f(x):\n    return x\n", ["x: int = 2"]),
        ("def f(x):\n    x: int = 3\n    return x\n", "def f(x):\n    x = 3\n    return x\n", []),
        ("def f(x):\n    for i in x:\n        g(i)\n    return x\ndef g(x): return x\n",
         "def f(x):\n    for i in x:\n        pass\n    g(i)\n    return x\ndef g(x): return x\n",
         ["pass", "g(i)"]),
    ],
)  # fmt: skip
def test_the_regions_that_are_new(tmp_path, old, new, added):
    assert difference(tmp_path, old, new)[1] == added
    assert difference(tmp_path / "back", new, old)[0] == added


@pytest.mark.parametrize(
    ("new", "on_a_gpu", "without"),
    [
        ("if on_gpu(x.device):\n        x = fast(x)",
         ["on_gpu(x.device)", "x = fast(x)", "return x * 3"], ["on_gpu(x.device)"]),
        ("x = fast(x) if x > 1 and device.on_gpu(x) else slow(x)",
         ["x = fast(x) if x > 1 and device.on_gpu(x) else slow(x)", "fast(x)", "slow(x)",
          "device.on_gpu(x)", "return x * 3"],
         ["x = fast(x) if x > 1 and device.on_gpu(x) else slow(x)"]),
        ("if x or on_gpu(x):\n        x = fast(x)",
         ["x or on_gpu(x)", "on_gpu(x)", "x = fast(x)", "return x * 3"],
         ["x or on_gpu(x)", "on_gpu(x)", "x = fast(x)", "return x * 3"]),
        ("if not on_gpu(x):\n        x = fast(x)",
         ["not on_gpu(x)", "x = fast(x)", "return x * 3"],
         ["not on_gpu(x)", "x = fast(x)", "return x * 3"]),
    ],
)  # fmt: skip
def test_a_run_without_a_gpu_takes_no_branch_that_asks_for_one(tmp_path, new, on_a_gpu, without):
    old = "def f(x):\n    return x\ndef fast(x): return x * 2\n"
    text = f"def f(x):\n    {new}\n    return x\ndef fast(x): return x * 3\n"
    for gpu, expected in ((True, on_a_gpu), (False, without)):
        one, two = tmp_path / f"{gpu}-one", tmp_path / f"{gpu}-two"
        before = code(one, {"room": old}, gpu=gpu)
        (two / "dynlib").mkdir(parents=True)
        found = texts(compare(before, code(two, {"room": text}, gpu=gpu))[1], two)
        assert found == expected


def test_a_module_that_moves_is_the_same(tmp_path):
    old = code(tmp_path / "one", {"room": "A = 1\ndef f(x):\n    return A\n"})
    notebook = "from dynlib.hall import f\nf(1)\n"
    new = code(tmp_path / "two", {"hall": "A = 1\ndef f(x):\n    return A\n"}, notebook)
    removed, added = compare(old, new)
    assert [region.path for region in (*removed, *added)] == ["notebooks/n.py"] * 2


def test_the_test_of_a_branch_in_which_a_number_differs(tmp_path):
    text = "def f(x):\n    if x > 3:\n        x = 1\n    return x\n"
    for new, threshold in (("x > 4", True), ("y > 3", False)):
        old, other = code(tmp_path / "a", {"room": text}), text.replace("x > 3", new)
        (region,) = compare(old, code(tmp_path / new[0] / "b", {"room": other}))[1]
        assert region.threshold == threshold


def test_executed_by_instructions_or_by_compilation():
    tree = ast.parse("def f(x):\n    if x:\n        return a(x)\n    return b(x)\n")
    inside, outside = tree.body[0].body[0].body[0], tree.body[0].body[1]
    skipped = Region("p", inside, "f", (1,), branch=True)
    always = Region("p", outside, "f", (1,))
    assert skipped.executed([[3, 15, 3, 19]], set())
    assert not skipped.executed([[4, 11, 4, 15]], set())
    assert always.executed([], {("p", 1)})
    assert not skipped.executed([], {("p", 1)})  # which branch compiled code takes is not seen
    assert str(skipped) == "p:3 (f)"
