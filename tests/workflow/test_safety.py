"""What no code of ours does: unpickle, evaluate text, start a shell, fetch anything at run time."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workflow.runs.expressions import is_true

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for folder in ("dynlib", "workflow", "notebooks", "book/_ext", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
#: Modules that unpickle or talk to a network.
MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "socket", "urllib",
    "http", "ftplib", "requests", "httpx", "aiohttp", "huggingface_hub", "datasets",
}  # fmt: skip
CALLS = re.compile(
    r"(^|\.)(eval|exec|compile|__import__|os\.system|popen|from_pretrained|unsafe_load|full_load"
    r"|load_all|hf_hub_download|load_dataset|urlopen|urlretrieve|read_pickle|torch\.hub\.load)$"
)
#: Regular expressions are compiled too, and addresses are only written.
HARMLESS = {"re.compile", "model.eval", "torch.compile", "urllib.parse"}


def faults(source: str) -> list[str]:
    """What is forbidden in a source text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [node.module] if node.module.split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            method = name.endswith(".eval") and not node.args  # of a network: no text is given
            if CALLS.search(name) and not method:
                found.append(name)
            if name.endswith("yaml.load"):
                found.append(name)
            if name == "torch.load" and given.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
            if given.get("allow_pickle", "False") != "False":
                found.append("allow_pickle")
            if given.get("shell", "False") != "False":
                found.append("shell=True")
    return [name for name in found if name not in HARMLESS]


#: A witness executes a notebook of this repository, cell by cell, as a kernel would. Numba needs
#: functions with a fixed number of arguments: their text is made of names of arguments and numbers.
ALLOWED = {
    "workflow/carry/witness.py": {"exec", "eval", "compile"},
    "dynlib/dynamics/forms.py": {"exec"},
    "dynlib/dynamics/systems/catalogue.py": {"exec"},
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled_evaluated_or_fetched(path):
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    assert {*faults(path.read_text(encoding="utf-8"))} - allowed == set()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import urllib.request", "eval('1')",
        "exec(text)", "import os; os.system('ls')", "subprocess.run('ls', shell=True)",
        "yaml.load(text)", "torch.load(path)", "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)", "GPT2Model.from_pretrained('gpt2')",
        "torch.hub.load('a', 'b')", "frame.eval('x')",
    ],
)  # fmt: skip
def test_the_scan_finds_what_it_is_for(source):
    assert faults(source)
    assert not faults("model.eval(); yaml.safe_load(t); re.compile('x'); np.load(p)")


NAMES = {"a": 2, "b": -3.5, "c": 0}
LEAVES = st.sampled_from(sorted(NAMES)) | st.integers(0, 9).map(str)
NUMBERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner)
        | st.builds("({} // {})".format, inner, inner)
        | inner.map("abs({})".format)
        | inner.map("(-{})".format)
    ),
    max_leaves=6,
)
SIGNS = st.sampled_from(["<", "<=", ">", "==", ">="])
COMPARED = st.builds("{} {} {}".format, NUMBERS, SIGNS, NUMBERS)
CHAINS = st.builds("{} < {} <= {}".format, NUMBERS, NUMBERS, NUMBERS)
RULES = st.recursive(
    COMPARED | CHAINS,
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
    max_leaves=4,
)


@given(RULES)
@example("a < a <= a / c or a < 3")
def test_an_expression_means_what_it_means_in_python(text):
    try:
        expected = eval(text, {"abs": abs}, NAMES)
    except ZeroDivisionError:
        if " and " in text or " or " in text:
            return  # which operand divides by zero first is nobody's concern
        expected = False
    assert is_true(text, NAMES) is bool(expected)
