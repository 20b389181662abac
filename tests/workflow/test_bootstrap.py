"""The environment's bootstrap: what it writes, what it keeps, what it says when pip fails."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from workflow import bootstrap

ROOT = Path(__file__).resolve().parents[2]
FROZEN = """numpy==2.4.6
nvidia-cublas==13.1
pip==26.0
torch==2.13.0+cpu
triton==3.8.0
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A project of two files, in which nothing is installed."""
    for name in ("requirements.lock", "pyproject.toml", bootstrap.CLUSTER):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n", encoding="utf-8")
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    return tmp_path


def fake_python(folder: Path, script: str) -> None:
    """A `python` of a virtual environment that is a shell script."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    python.chmod(0o755)


@pytest.fixture
def created(monkeypatch) -> list[tuple]:
    """Environments asked for, none of which is made."""
    calls: list[tuple] = []

    def create(folder, arguments, cost, torch="index"):
        calls.append((Path(folder).name, arguments + bootstrap.TORCH[torch]))
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / ".torch").write_text(torch, encoding="utf-8")

    monkeypatch.setattr(bootstrap, "create", create)
    monkeypatch.setattr(bootstrap, "place_on_path", lambda folder: None)
    return calls


@pytest.fixture
def oldest_minor(monkeypatch):
    """The lock is written by the oldest minor version; the tests may run with a newer one."""
    monkeypatch.setattr(sys, "version_info", (*bootstrap.MINIMUM[:2], 9, "final", 0))


def test_the_lock_leaves_cuda_and_pip_to_the_machine(root, created, oldest_minor, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "dynlib==0.1.0")  # as pip sees what lies there
    frozen = f"[ $2 = --too-new ] || {{ echo $PYTHONPATH; cat <<'END'\n{FROZEN}END\n}}"
    fake_python(root / "venv", frozen)
    bootstrap.main(["--lock", str(root / "venv")])
    assert created == [("venv", ["-e", ".[book,dev]"])]
    first, *pins = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert first.startswith("#")
    assert [pin for pin in pins if pin] == ["numpy==2.4.6", "torch==2.13.0"]


def test_the_lock_holds_for_the_oldest_python(root, created, oldest_minor, monkeypatch):
    """What asks for a newer patch of Python is excluded until a release is found that does not."""
    (root / "newest").write_text("4.1.2", encoding="utf-8")
    fake_python(
        root / "venv",
        f"newest=$(cat {root}/newest)\n"
        "if [ $2 != --too-new ]; then echo x==$newest\n"
        'elif [ $newest != 2.10 ]; then echo "x<$newest"; fi',
    )
    asked = []

    def pip(folder, arguments, log):
        limits = Path(arguments[1]).read_text(encoding="utf-8")
        asked.append(limits)
        (root / "newest").write_text({1: "4.1", 2: "2.10"}[len(limits.split())], encoding="utf-8")

    monkeypatch.setattr(bootstrap, "pip", pip)
    bootstrap.main(["--lock", str(root / "venv")])
    assert asked == ["x<4.1.2\n", "x<4.1.2\nx<4.1\n"]
    assert (root / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:] == ["x==2.10"]


def test_what_is_too_new_for_the_oldest_python_is_found(tmp_path):
    """The question that the lock puts to the environment, answered by two made-up packages."""
    for name, asks in (("new", ">=3.11.5"), ("old", ">=3.11")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: {asks}\n"
        (folder / "METADATA").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, bootstrap.__file__, "--too-new"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert "new<1.0" in done.stdout.splitlines()
    assert "old<1.0" not in done.stdout.splitlines()


def test_a_newer_python_does_not_write_the_lock(root, created, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    with pytest.raises(SystemExit):
        bootstrap.main(["--lock", str(root / "venv")])
    assert "make lock PYTHON=python3.11" in capsys.readouterr().err
    assert created == []


def test_the_cpu_build_of_torch_is_asked_for_once_and_remembered(root, created):
    folder = str(root / "venv")
    plain = ["-c", "requirements.lock", "-e", ".[book,dev]"]
    cpu = [*plain, "--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    bootstrap.main(["--torch", "cpu", folder])
    bootstrap.main([folder])
    assert created == [("venv", cpu)]
    (root / "requirements.lock").write_text("changed\n", encoding="utf-8")
    bootstrap.main([folder])
    assert created[1:] == [("venv", cpu)]
    bootstrap.main(["--torch", "index", folder])
    bootstrap.main([folder])
    assert created[2:] == [("venv", plain)]


def test_another_build_of_torch_is_refused(root, created, capsys):
    with pytest.raises(SystemExit):
        bootstrap.main(["--torch", "rocm", str(root / "venv")])
    assert "TORCH must be cpu or index, not 'rocm'" in capsys.readouterr().err
    assert created == []


def environment(folder: Path, version: str, prefix: str) -> None:
    """A virtual environment whose Python gives itself out for another one."""
    fake_python(folder, f'echo "{version} {prefix}"')
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="utf-8")
    (folder / "kept").write_text("", encoding="utf-8")


@pytest.fixture
def installed(monkeypatch) -> list[list[str]]:
    """What pip would install, for nothing is; environments are made without pip."""
    builder = venv.EnvBuilder
    monkeypatch.setattr(
        venv, "EnvBuilder", lambda **options: builder(**options | {"with_pip": False})
    )
    calls: list[list[str]] = []

    def pip(folder, arguments, log):
        calls.append(arguments)
        Path(log).write_text("", encoding="utf-8")

    monkeypatch.setattr(bootstrap, "pip", pip)
    return calls


OURS = "%d.%d.%d" % sys.version_info[:3]  # noqa: UP031


@pytest.mark.parametrize(
    ("version", "prefix", "words"),
    [
        (OURS, sys.base_prefix, ""),
        ("3.11.1", sys.base_prefix, "it belongs to Python 3.11.1 in "),
        (OURS, "/elsewhere", f"it belongs to Python {OURS} in /elsewhere"),
    ],
)
def test_an_environment_of_another_python_is_made_anew(
    root, installed, capsys, version, prefix, words
):
    folder = root / "venv"
    environment(folder, version, prefix)
    bootstrap.create(str(folder), ["x"], "minutes")
    assert (folder / "kept").exists() == (not words)
    said = capsys.readouterr().out
    assert words in said
    assert ("anew" in said) == bool(words)
    ask = [folder / "bin" / "python", bootstrap.__file__, "--who"]
    if words:
        who = subprocess.run(ask, capture_output=True, encoding="utf-8", check=True).stdout
        assert who == f"{OURS} {sys.base_prefix}\n"
    assert installed == [["x"]]


def test_an_environment_whose_python_is_gone_is_made_anew(root, installed, capsys):
    folder = root / "venv"
    environment(folder, OURS, sys.base_prefix)
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(root / "removed")
    bootstrap.create(str(folder), [], "minutes")
    assert "the Python that made it is gone" in capsys.readouterr().out
    assert not (folder / "kept").exists()


def test_an_environment_with_another_build_of_torch_is_made_anew(root, installed):
    folder = root / "venv"
    environment(folder, OURS, sys.base_prefix)
    bootstrap.create(str(folder), [], "minutes", "cpu")
    assert not (folder / "kept").exists()
    assert bootstrap.recorded(str(folder)) == "cpu"


def test_a_folder_that_is_not_an_environment_is_left_alone(root, installed, capsys):
    folder = root / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit):
        bootstrap.create(str(folder), [], "minutes")
    assert "holds files and is not a virtual environment" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["chapter.tex"]
    assert installed == []


def test_the_environment_is_stamped_with_its_python(root, created, monkeypatch):
    folder = root / "venv"
    bootstrap.main([str(folder)])
    monkeypatch.setattr(sys, "version_info", (*sys.version_info[:2], 99, "final", 0))
    bootstrap.main([str(folder)])
    assert len(created) == 2


def test_what_is_downloaded_is_said_before_it_is(root, installed, capsys):
    bootstrap.create(str(root / "one"), [], bootstrap.COSTS["index"])
    said = capsys.readouterr().out
    assert "3.2 GB" in said
    assert "TORCH=cpu" in said
    bootstrap.create(str(root / "two"), [], bootstrap.COSTS["cpu"], "cpu")
    assert "3.2 GB" not in capsys.readouterr().out


def test_the_machinery_is_found_under_safe_path(root, installed):
    folder = root / "venv"
    (root / "workflow" / "__init__.py").write_text("", encoding="utf-8")
    bootstrap.create(str(folder), [], "minutes")
    bootstrap.place_on_path(str(folder))
    found = subprocess.run(
        [folder / "bin" / "python", "-c", "import workflow; print(workflow.__file__)"],
        cwd="/", env=bare(PYTHONSAFEPATH="1"), capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert found.stdout == f"{root}/workflow/__init__.py\n", found.stderr


def bare(**variables: str) -> dict[str, str]:
    """The environment of a shell, without what the `make` that runs these tests put there."""
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PYTHON", "TORCH", "PYTHONPATH")
    return {k: v for k, v in os.environ.items() if k not in ours} | variables


def makes(*arguments: str, **variables: str) -> str:
    """What `make` would call."""
    return subprocess.run(
        ["make", "-n", "--no-print-directory", *arguments], cwd=ROOT, env=bare(**variables),
        capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip


def test_make_keeps_the_python_of_an_environment_until_another_is_named(tmp_path):
    folder = tmp_path / "venv"
    given = f"VENV={folder}"
    assert "\npython3 workflow/bootstrap.py " in makes("setup", given)
    fake_python(folder, "exit 0")
    assert f"\n{folder}/bin/python workflow/bootstrap.py " in makes("setup", given)
    assert "\npython3.13 workflow/bootstrap.py " in makes("setup", given, "PYTHON=python3.13")
    assert "\npython3.13 workflow/bootstrap.py " in makes("setup", given, PYTHON="python3.13")
    fake_python(tmp_path / "old", "exit 1")
    assert "\npython3 workflow/bootstrap.py " in makes("setup", f"VENV={tmp_path}/old")


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ((), "{venv}"),
        (("TORCH=cpu",), "--torch cpu {venv}"),
    ],
)
def test_make_hands_the_build_of_torch_on(tmp_path, given, arguments):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$#: $*"\n', encoding="utf-8")
    python.chmod(0o755)
    folder = f"{tmp_path}/venv"
    said = subprocess.run(
        ["make", "--no-print-directory", "setup", f"PYTHON={python}", f"VENV={folder}", *given],
        cwd=ROOT, env=bare(), capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip
    words = arguments.format(venv=folder)
    assert said == f"{4 if given else 2}: workflow/bootstrap.py {words}\n"


def test_every_target_finds_the_machinery_under_safe_path(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH"\n', encoding="utf-8")
    python.chmod(0o755)
    for given, expected in (({}, str(ROOT)), ({"PYTHONPATH": "/a"}, f"{ROOT}:/a")):
        said = subprocess.run(
            ["make", "--no-print-directory", "setup", f"PYTHON={python}", f"VENV={tmp_path}/venv"],
            cwd=ROOT, env=bare(**given), capture_output=True, encoding="utf-8", check=True,
        ).stdout  # fmt: skip
        assert said == f"{expected}\n"


def test_an_environment_is_made_anew_only_when_lock_or_project_change(root, created):
    folder = root / "venv"
    for _ in range(2):
        bootstrap.main([str(folder)])
    assert created == [("venv", ["-c", "requirements.lock", "-e", ".[book,dev]"])]
    for name in ("requirements.lock", "pyproject.toml"):
        (root / name).write_text("changed\n", encoding="utf-8")
        bootstrap.main([str(folder)])
    assert len(created) == 3


def test_the_clusters_environment_has_a_lock_of_its_own(root, created):
    bootstrap.main(["--cluster", str(root / "cluster")])
    (root / "requirements.lock").write_text("changed\n", encoding="utf-8")
    bootstrap.main(["--cluster", str(root / "cluster")])
    assert created == [("cluster", ["-r", bootstrap.CLUSTER])]
    (root / bootstrap.CLUSTER).write_text("changed\n", encoding="utf-8")
    bootstrap.main(["--cluster", str(root / "cluster")])
    assert len(created) == 2


def test_an_extra_is_added_once_from_its_own_lock_within_the_lock(root, monkeypatch, capsys):
    calls = []

    def pip(folder, arguments, log):
        calls.append(arguments)
        Path(log).touch()

    monkeypatch.setattr(bootstrap, "pip", pip)
    (root / "venv").mkdir()
    lock = root / "requirements-dysts.lock"
    lock.write_text("dysts==0.95\n", encoding="utf-8")
    for _ in range(2):
        bootstrap.main(["--extra", "dysts", str(root / "venv")])
    assert calls == [["-c", "requirements.lock", "-r", "requirements-dysts.lock"]]
    lock.write_text("dysts==0.97\n", encoding="utf-8")
    bootstrap.main(["--extra", "dysts", str(root / "venv")])
    assert len(calls) == 2
    with pytest.raises(SystemExit):
        bootstrap.main(["--extra", "dists", str(root / "venv")])
    assert "EXTRA must be dysts, not 'dists'." in capsys.readouterr().err


def test_make_adds_an_extra_after_the_set_up(tmp_path):
    steps = [line for line in makes("setup", f"VENV={tmp_path}", "EXTRA=dysts").splitlines()
             if "bootstrap.py" in line]  # fmt: skip
    assert [f"--extra dysts {tmp_path}" in line for line in steps] == [False, True]


OLD_PIP = """ERROR: Cannot install beautifulsoup4==4.15.0 because these package versions conflict.

The conflict is caused by:
    beautifulsoup4 4.15.0 depends on soupsieve>=1.6.1
    The user requested (constraint) soupsieve==4.1.2

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest"""
OF_PROBE = "ERROR: Ignored the following versions that require a different python version: "


@pytest.mark.parametrize(
    ("said", "probe", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "", "The disk is full"),
        (
            OLD_PIP,
            f"{OF_PROBE}4.1 Requires-Python >=3.11.5; 4.1.2 Requires-Python >=3.11.6; 5",
            f"soupsieve==4.1.2 (it asks for Python >=3.11.6) has no build for Python {OURS}",
        ),
        (OLD_PIP, "ERROR: nothing there", "soupsieve==4.1.2 has no build for Python"),
        (OLD_PIP, None, "pip failed: ERROR: Cannot install beautifulsoup4==4.15.0 because"),
        ("ERROR: No matching distribution found for x==1", "", "x==1 has no build for Python"),
        (
            "ERROR: Could not find a version that satisfies the requirement x-y==1.0 (from: 2)",
            "",
            "x-y==1.0 has no build for Python",
        ),
        (
            "ERROR: Package 'x' requires a different Python: 3.11.2 not in '>=3.12'",
            "",
            "x (it asks for Python >=3.12) has no build for Python",
        ),
        ("ERROR: something else", "", "pip failed: ERROR: something else."),
    ],
)
def test_what_pip_says_ends_in_one_sentence(root, capsys, said, probe, words):
    """`probe` is what pip says when it is asked for one package; with None it downloads it."""
    fake_python(
        root / "venv",
        'case "$*" in *iniconfig*) exit 0;;\n'
        + (f'*download*) echo "{probe}"; exit 1;;' if probe is not None else "*download*) exit 0;;")
        + f"\nesac\ncat <<'END'\n{said}\nEND\nexit 1",
    )
    with pytest.raises(SystemExit) as end:
        bootstrap.pip(str(root / "venv"), ["x"], str(root / "log"))
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert words in text
    assert str(root / "log") in text
    assert text.count("\n") == 1
    if "no build" in words:
        assert f"Python {bootstrap.TRIED}" in text
        assert "make setup PYTHON=" in text


def test_an_index_that_does_not_answer_is_told_apart_from_a_package_that_is_missing(root, capsys):
    fake_python(root / "venv", 'echo "ERROR: No matching distribution found for x==1"\nexit 1')
    with pytest.raises(SystemExit):
        bootstrap.pip(str(root / "venv"), ["x"], str(root / "log"))
    assert capsys.readouterr().err.startswith("No package index can be reached")


def test_pip_that_succeeds_says_nothing(root, capsys):
    fake_python(root / "venv", 'echo "$@"')
    bootstrap.pip(str(root / "venv"), ["-e", "."], str(root / "log"))
    assert (root / "log").read_text(encoding="utf-8").endswith("install -e .\n")
    assert capsys.readouterr().err == ""


def test_a_place_where_nothing_can_be_made_is_named(root, capsys):
    (root / "file").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit):
        bootstrap.create(str(root / "file" / "venv"), [], "minutes")
    text = capsys.readouterr().err
    assert text.startswith("The virtual environment cannot be created in")
    assert text.count("\n") == 1


def test_a_made_environment_leaves_no_log(root, installed):
    bootstrap.create(str(root / "venv"), [], "minutes")
    assert (root / "venv" / "bin" / "python").exists()
    assert not (root / ".setup.log").exists()


def test_a_python_without_venv_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit):
        bootstrap.check()
    assert "apt install python3-venv" in capsys.readouterr().err


def test_an_old_python_is_told_its_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 0, "final", 0))
    with pytest.raises(SystemExit):
        bootstrap.check()
    assert "Python 3.9.0 is too old" in capsys.readouterr().err
