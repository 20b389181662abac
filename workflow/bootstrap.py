"""Create the virtual environment from the lock: ``python3 workflow/bootstrap.py FOLDER``.

Standard library only, and old syntax, so that an unsuitable Python still prints what to do.
``--torch cpu FOLDER`` takes PyTorch's CPU build, and the folder remembers it;
``--lock FOLDER`` resolves pyproject.toml anew in FOLDER and writes requirements.lock;
``--extra NAME FOLDER`` adds an optional package from requirements-NAME.lock;
``--cluster FOLDER`` creates the environment of the cluster's scheduler from its own lock;
``--check`` only checks this Python; ``--who`` and ``--too-new`` are for an environment's Python.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: The oldest Python that is promised, Debian 12's; the lock holds for it (pyproject.toml says it too).
MINIMUM = (3, 11, 2)
TRIED = "3.11, 3.12 or 3.13"
EXTRAS = ".[book,dev]"
CLUSTER = os.path.join("workflow", "cluster", "requirements.lock")
#: Builds of torch: that of the package index, or PyTorch's CPU build.
TORCH = {"index": [], "cpu": ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]}
COSTS = {
    "cpu": "half a GB to download, 2.3 GB of disk",
    "index": "half a GB to download and 2.3 GB of disk with a CPU build of torch; 3.2 GB and 6.3 GB "
    "where the index serves the CUDA build, as PyPI does: TORCH=cpu avoids it",
}


def stop(sentence):
    sys.stderr.write(sentence + "\n")
    sys.exit(2)


def version():
    return "%d.%d.%d" % sys.version_info[:3]


def check():
    if sys.version_info[:3] < MINIMUM:
        stop(
            "Python %s is too old: the book needs %d.%d.%d or newer. Install one and say "
            "`make book PYTHON=python3.11`." % ((version(),) + MINIMUM)
        )
    try:
        import ensurepip
        import venv
    except ImportError:
        stop(
            "This Python has no venv module: install it (on Debian and Ubuntu: "
            "`apt install python3-venv`) and run make again."
        )
    return ensurepip, venv


def read(path):
    """The text of a file, empty if there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def recorded(folder):
    """The build of torch that was requested for an environment."""
    torch = read(os.path.join(folder, ".torch"))
    return torch if torch in TORCH else "index"


def interpreter():
    return "%s %s" % (version(), os.path.realpath(sys.base_prefix))


def key(names, torch):
    digest = hashlib.sha256(("%s %s" % (interpreter(), torch)).encode())
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    digest.update(ROOT.encode())  # dynlib is installed editable, from this clone
    return digest.hexdigest()


def pip(folder, arguments, log):
    python = os.path.join(folder, "bin", "python")
    command = [python, "-m", "pip", "--disable-pip-version-check", "install"] + arguments
    with open(log, "wb") as file:
        code = subprocess.call(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    if code == 0:
        return
    text = read(log)
    if "No space left" in text:
        stop("The disk is full: the environment takes about 2.5 GB (more with CUDA). See %s." % log)
    if not download(python, "iniconfig")[0]:
        stop(
            "No package index can be reached: connect this machine to the network (or set "
            "PIP_INDEX_URL to a mirror) and run make again. See %s." % log
        )
    package = unsuitable(python, text)
    if package:
        stop(
            "%s has no build for Python %s on this platform; the lock was tried with Python %s: "
            "`make setup PYTHON=/path/to/python` sets up with another. See %s."
            % (package, version(), TRIED, log)
        )
    lines = [line for line in text.strip().splitlines() if "ResolutionImpossible" not in line]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no output"]
    stop("pip failed: %s. See %s." % (errors[-1].rstrip("."), log))


def download(python, package):
    """Whether pip can download a package for this Python, and its output."""
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        options = ["--no-deps", "--retries", "1", "-d", folder, package]
        probe = [python, "-m", "pip", "download"] + options
        done = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout.decode("utf-8", "replace")


def unsuitable(python, text):
    """The package that does not support this Python, with its requirement; empty if all do."""
    found = re.search(r"Package '([^']+)' requires a different Python: \S+ not in '([^']+)'", text)
    if found:
        return "%s (it asks for Python %s)" % found.groups()
    before = r"(?:\(constraint\)|satisfies the requirement|distribution found for) "
    for package in sorted(set(re.findall(before + r"([\w.-]+==[^\s;,]+)", text))):
        there, output = download(python, package)
        if not there:
            number = re.escape(package.split("==")[1])
            asked = re.search(r"\b%s Requires-Python ([^;\n]+)" % number, output)
            return package + (" (it asks for Python %s)" % asked.group(1) if asked else "")
    return ""


def ask(folder, question):
    """The output of this program with an option, in another environment's Python."""
    command = [os.path.join(folder, "bin", "python"), os.path.abspath(__file__), question]
    return subprocess.check_output(command, stderr=subprocess.STDOUT).decode()


def too_new():
    """Packages that need a newer Python than the oldest, as constraints for pip."""
    import importlib.metadata

    from packaging.specifiers import SpecifierSet

    return [
        "%s<%s" % (each.metadata["Name"], each.version)
        for each in importlib.metadata.distributions()
        if "%d.%d.%d" % MINIMUM not in SpecifierSet(each.metadata["Requires-Python"] or "")
    ]


def another(folder, torch):
    """Why the environment in `folder` must be made anew; empty if it fits."""
    try:
        theirs = ask(folder, "--who").strip()
    except (OSError, subprocess.CalledProcessError):
        return "the Python that made it is gone"
    if theirs != interpreter():
        return "it belongs to Python %s" % theirs.replace(" ", " in ", 1)
    return "" if torch == recorded(folder) else "it has another build of torch"


def create(folder, arguments, cost, torch="index"):
    log = os.path.join(os.path.dirname(os.path.abspath(folder)), ".setup.log")
    _, venv = check()
    marked = os.path.exists(os.path.join(folder, "pyvenv.cfg"))
    if os.path.isdir(folder) and os.listdir(folder) and not marked:
        stop(
            "%s holds files and is not a virtual environment: move it, or name another folder "
            "(`make setup VENV=/path/to/folder`)." % folder
        )
    reason = another(folder, torch) if marked else ""
    if reason:
        print("making %s anew: %s" % (folder, reason))
    print("setting up %s with Python %s (once; minutes; %s) ..." % (folder, version(), cost))
    sys.stdout.flush()
    try:  # what is there is kept, unless there is a reason
        venv.EnvBuilder(symlinks=True, with_pip=True, clear=bool(reason)).create(folder)
        write(os.path.join(folder, ".torch"), torch)
    except (OSError, subprocess.CalledProcessError) as error:
        stop("The virtual environment cannot be created in %s: %s" % (folder, error))
    pip(folder, arguments + TORCH[torch], log)
    os.remove(log)


def lock(folder):
    """Resolve pyproject.toml anew and write the lock, so that it holds for the oldest Python too.

    Only the oldest minor version sees what only older Pythons need. Packages that need a newer
    patch of it are excluded, and pip resolves again.
    """
    if sys.version_info[:2] != MINIMUM[:2]:
        stop(
            "The lock must hold for Python %d.%d, and Python %s cannot see what that needs: say "
            "`make lock PYTHON=python%d.%d`." % (MINIMUM[:2] + (version(),) + MINIMUM[:2])
        )
    torch = recorded(folder)
    create(folder, ["-e", EXTRAS], COSTS[torch], torch)
    python = os.path.join(folder, "bin", "python")
    excluded, limits = "", os.path.join(folder, "limits.txt")
    newer = ask(folder, "--too-new")
    while newer.strip():
        excluded += newer
        write(limits, excluded)
        pip(folder, ["-c", limits, "-e", EXTRAS] + TORCH[torch], os.path.join(folder, "lock.log"))
        newer = ask(folder, "--too-new")
    frozen = subprocess.check_output(
        [python, "-m", "pip", "freeze", "--all", "--exclude-editable"], cwd=ROOT
    )
    # Torch's CPU wheels carry a local version; the same pin is the CUDA build elsewhere.
    # What comes with CUDA, and pip itself, are left to the machine.
    skip = ("nvidia-", "triton", "cuda-", "pip==")
    lines = [line.replace("+cpu", "") for line in frozen.decode().splitlines()]
    lines = [line for line in lines if not line.startswith(skip)]
    first = ["# Written by `make lock` from pyproject.toml; used as pip constraints."]
    write(os.path.join(ROOT, "requirements.lock"), "\n".join(first + lines) + "\n")


def extra(name, folder):
    """Add an optional package to an environment, within the versions of the lock."""
    file = "requirements-%s.lock" % name
    if not os.path.exists(os.path.join(ROOT, file)):
        found = [re.match(r"requirements-(\w+)\.lock$", each) for each in os.listdir(ROOT)]
        known = sorted(each.group(1) for each in found if each)
        stop("EXTRA must be %s, not %r." % (" or ".join(known), name))
    stamp = os.path.join(folder, ".extra-" + name)
    current = key([file], recorded(folder))
    if read(stamp) != current:
        print("adding %s to %s ..." % (name, folder))
        log = os.path.join(folder, "extra.log")
        pip(folder, ["-c", "requirements.lock", "-r", file], log)
        os.remove(log)
        write(stamp, current)


def main(arguments):
    if arguments == ["--who"]:
        print(interpreter())
        return
    if arguments == ["--too-new"]:
        print("\n".join(too_new()))
        return
    check()
    if arguments == ["--check"]:
        return
    os.environ.pop("PYTHONPATH", None)  # pip would count what lies there as installed
    option, folder = arguments[0], arguments[-1]
    if option == "--lock":
        lock(folder)
        return
    if option == "--extra":
        extra(arguments[1], folder)
        return
    cluster = option == "--cluster"
    torch = arguments[1] if option == "--torch" else recorded(folder)
    if torch not in TORCH:
        stop("TORCH must be %s, not %r." % (" or ".join(sorted(TORCH)), torch))
    current = key([CLUSTER] if cluster else ["requirements.lock", "pyproject.toml"], torch)
    stamp = os.path.join(folder, ".complete")
    if read(stamp) == current:
        return
    if cluster:
        create(folder, ["-r", CLUSTER], "100 MB to download")
    else:
        create(folder, ["-c", "requirements.lock", "-e", EXTRAS], COSTS[torch], torch)
        place_on_path(folder)
    write(stamp, current)


def place_on_path(folder):
    """Let the environment import `workflow` from this clone, wherever Python is started.

    It is not installed, and Python does not look into the current folder under PYTHONSAFEPATH.
    """
    site = os.path.join(folder, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    write(os.path.join(site, "companion.pth"), ROOT + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
