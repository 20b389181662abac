"""The doors of the project: environment, lock, pairs, README, bootstrap."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import pythons
import yaml

from workflow import bootstrap
from workflow.book.readme import rewritten
from workflow.runs.experiments import read_cells
from workflow.runs.pairs import SETUP, stripped

ROOT = Path(__file__).resolve().parents[1]


def test_environment_yml_opens_the_very_lock(tmp_path):
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [d["pip"] for d in content["dependencies"] if isinstance(d, dict)]
    assert set(map(str, content["dependencies"][:2])) == {"python=3.11", "pip"}
    # conda hands the pip section to pip as a requirements file in this folder. Given to pip with
    # no index, it must find every requirement installed already, in the locked version.
    requirements = ROOT / f".environment-{os.getpid()}.txt"
    requirements.write_text("\n".join(pip), encoding="utf-8")
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "--dry-run", "--no-index",
                "--no-build-isolation", "-r", requirements.name,
            ],
            cwd=ROOT, capture_output=True, encoding="utf-8",
        )  # fmt: skip
    finally:
        requirements.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    would = re.findall(r"Would install (.*)", done.stdout)
    assert would in ([], ["dynlib-0.1.0"])


def test_the_lock_pins_everything_once():
    lines = [
        line
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    names = [line.split("==")[0].lower() for line in lines]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in lines
    assert not [n for n in names if n.startswith(("nvidia", "triton", "cuda"))]


@pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_every_notebook_has_its_stripped_pair(source):
    assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == stripped(source), (
        "run `make pairs STRIP=1`"
    )


def test_only_the_pair_has_the_setup_cell_which_checks_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f'VERSION = "{project["version"]}"' in SETUP
    for source in (ROOT / "notebooks").glob("*.py"):
        assert "setup" not in {tag for _, tags, _ in read_cells(source) for tag in tags}
        pair = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))
        found = [cell for cell in pair["cells"] if "setup" in cell["metadata"].get("tags", ())]
        assert [cell["source"] for cell in found] == [SETUP]
        code = [cell for cell in pair["cells"] if cell["cell_type"] == "code"]
        assert code.index(found[0]) == 0


def test_the_readme_table_is_written_from_the_reference():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rewritten(text) == text, "run `make readme`"


def test_readme_and_reproduce_page_name_commands_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (
        ROOT / "book" / "reproduce.md"
    ).read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", text)):
        assert re.search(rf"^(\w+ )*{target}( \w+)*:", makefile, re.M), target


def set_up(python, *arguments, **environment):
    done = subprocess.run(
        [python, "workflow/bootstrap.py", *arguments],
        cwd=environment.pop("cwd", ROOT),
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
    )
    return done.returncode, done.stderr


def test_no_network_ends_in_one_sentence(tmp_path):
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "workflow", root / "workflow")
    for name in ("pyproject.toml", "requirements.lock", "README.md"):
        shutil.copy(ROOT / name, root)
    code, text = set_up(
        sys.executable, "venv", cwd=root,
        PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="",
        PIP_CONFIG_FILE=os.devnull, PIP_RETRIES="0", PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert code == 2
    assert text.startswith("No package index can be reached")
    assert text.count("\n") == 1


def test_an_old_python_ends_in_one_sentence(tmp_path):
    # Python itself is not asked for: the version is, so a fake one will do.
    code = (
        "import sys; sys.version_info = (3, 9, 0, 'final', 0); sys.argv = ['x', 'venv'];"
        "sys.path.insert(0, 'workflow'); import bootstrap; bootstrap.main(['venv'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2
    assert "Python 3.9.0 is too old" in done.stderr
    assert done.stderr.count("\n") == 1


def test_make_without_python_ends_in_one_sentence():
    done = subprocess.run(
        ["make", "test", "PYTHON=python-that-is-not-there"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert "install Python 3.11.2 or newer" in done.stderr


def test_no_executable_statement_asserts_outside_tests():
    for folder in ("dynlib", "workflow"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"^\s*assert ", path.read_text(encoding="utf-8"), re.M), path


def without_encoding(text):
    """Lines that read or write text in the encoding of the locale; ruff sees a part of them."""
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        owner = getattr(getattr(call.func, "value", None), "id", "")
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        modes = [getattr(value, "value", "") for value in (*call.args[:2], given.get("mode"))]
        binary = any(
            isinstance(mode, str) and re.fullmatch("[rwax+]*b[+]*", mode) for mode in modes
        )
        opens = name == "open" and owner not in ("tarfile", "archive", "Image", "os") and not binary
        texts = getattr(call.func, "attr", "") in ("read_text", "write_text")
        said = "text" in given and name in ("run", "Popen", "call", "check_call", "check_output")
        if "encoding" not in given and (opens or texts or said):
            yield call.lineno


def test_every_text_file_is_read_and_written_as_utf8():
    assert list(without_encoding("p.open('a')\np.open('rb')\nopen(p)\nrun([], text=True)")) == [
        1, 3, 4,
    ]  # fmt: skip
    folders = ("dynlib", "workflow", "book", "tests", "benchmarks", "notebooks")
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_oldest_python_is_stated_once_and_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = ".".join(map(str, bootstrap.MINIMUM))
    assert project["requires-python"] == f">={oldest}"
    assert pythons.OLDEST == bootstrap.MINIMUM
    minors = [word.split(" :: ")[-1] for word in project["classifiers"]]
    assert f"{', '.join(minors[:-1])} or {minors[-1]}" == bootstrap.TRIED
    for name in ("README.md", "Makefile"):
        assert f"Python {oldest} or newer" in (ROOT / name).read_text(encoding="utf-8"), name


@pytest.mark.slow
def test_types_of_the_library_and_the_machinery_are_sound():
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checked = int(re.search(r"no issues found in (\d+) source files", done.stdout)[1])
    assert checked >= sum(len([*(ROOT / each).rglob("*.py")]) for each in ("dynlib", "workflow"))
