"""Create the virtual environment from the lock: ``python3 workflow/bootstrap.py FOLDER``.

Standard library only, and old syntax, so that an unsuitable Python still says what to do.
``--lock FOLDER`` resolves pyproject.toml anew in FOLDER and writes requirements.lock;
``--cluster FOLDER`` creates the environment of the cluster's scheduler from its own lock.
"""

import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINIMUM, EXTRAS = (3, 11), ".[book,dev]"
CLUSTER = os.path.join("workflow", "cluster", "requirements.lock")


def stop(sentence):
    sys.stderr.write(sentence + "\n")
    sys.exit(2)


def check():
    if sys.version_info < MINIMUM:
        stop(
            "Python %d.%d is too old: the book needs 3.11 or newer. Install one and say "
            "`make book PYTHON=python3.11`." % sys.version_info[:2]
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


def key(names):
    digest = hashlib.sha256(("%d.%d" % sys.version_info[:2]).encode())
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    digest.update(ROOT.encode())  # dynlib is installed editable, from this clone
    return digest.hexdigest()


def pip(folder, arguments, log):
    python = os.path.join(folder, "bin", "python")
    command = [python, "-m", "pip", "--disable-pip-version-check", "install"] + arguments
    with open(log, "w", encoding="utf-8") as file:
        code = subprocess.call(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    if code == 0:
        return
    with open(log, encoding="utf-8") as file:
        text = file.read()
    if "No space left" in text:
        stop("The disk is full: the environment takes about 2.5 GB (more with CUDA). See %s." % log)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        probe = [python, "-m", "pip", "download", "--no-deps", "--retries", "1", "-d", folder]
        offline = subprocess.call(probe + ["iniconfig"], stdout=nowhere, stderr=nowhere) != 0
    if offline:
        stop(
            "No package index can be reached: connect this machine to the network (or set "
            "PIP_INDEX_URL to a mirror) and run make again. See %s." % log
        )
    if "No matching distribution" in text or "requires a different Python" in text:
        stop(
            "Some locked package has no build for Python %d.%d on this platform: use Python 3.11 "
            "(`make book PYTHON=python3.11`). See %s." % (sys.version_info[:2] + (log,))
        )
    stop("pip failed: %s. See %s." % (text.strip().splitlines()[-1], log))


def create(folder, arguments, cost="minutes, half a GB to download without CUDA"):
    log = os.path.join(os.path.dirname(os.path.abspath(folder)), ".setup.log")
    print("setting up %s (once; %s) ..." % (folder, cost))
    sys.stdout.flush()
    _, venv = check()
    try:
        venv.EnvBuilder(symlinks=True, with_pip=True).create(folder)  # what is there is kept
    except (OSError, subprocess.CalledProcessError) as error:
        stop("The virtual environment cannot be created in %s: %s" % (folder, error))
    pip(folder, arguments, log)
    os.remove(log)


def main(arguments):
    check()
    if arguments[0] == "--lock":
        create(arguments[1], ["-e", EXTRAS])
        python = os.path.join(arguments[1], "bin", "python")
        frozen = subprocess.check_output(
            [python, "-m", "pip", "freeze", "--all", "--exclude-editable"], cwd=ROOT
        )
        # Torch's CPU wheels carry a local version; the same pin is the CUDA build elsewhere.
        # What comes with CUDA, and pip itself, are left to the machine.
        skip = ("nvidia-", "triton", "cuda-", "pip==")
        lines = [line.replace("+cpu", "") for line in frozen.decode().splitlines()]
        lines = [line for line in lines if not line.startswith(skip)]
        with open(os.path.join(ROOT, "requirements.lock"), "w", encoding="utf-8") as file:
            file.write("# Written by `make lock` from pyproject.toml; used as pip constraints.\n")
            file.write("\n".join(lines) + "\n")
        return
    folder = arguments[-1]
    cluster = arguments[0] == "--cluster"
    current = key([CLUSTER] if cluster else ["requirements.lock", "pyproject.toml"])
    stamp = os.path.join(folder, ".complete")
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as file:
            if file.read() == current:
                return
    if cluster:
        create(folder, ["-r", CLUSTER], "a minute")
    else:
        create(folder, ["-c", "requirements.lock", "-e", EXTRAS])
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(current)


if __name__ == "__main__":
    main(sys.argv[1:])
