"""One run in its own process: execute the notebook, add provenance, rename when whole.

Started by the scheduler as ``python -m workflow.runs.execute PID RUN PRESET [-p NAME VALUE ...]``.
Exit code 0: done; 1: the notebook failed; 2: refused before a kernel was started.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dynlib.training.parallel import usable_cores
from workflow.errors import Refused
from workflow.files import ROOT, commit, hold, is_dirty, shown_path
from workflow.runs.cards import described
from workflow.runs.experiments import KERNEL, Run, load, read_notebook
from workflow.runs.integrity import sealed
from workflow.runs.parameters import split_parameters
from workflow.runs.stamps import inputs, marks, stamp, view_inputs
from workflow.runs.status import state

#: Marks the line of the log that says why a run ended.
CAUSE = "CAUSE: "
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
#: Bytes that the name of a socket may have on Linux.
LONGEST_SOCKET = 107
LOCK_PATIENCE = int(os.environ.get("WORKFLOW_LOCK_PATIENCE", "20"))  # seconds


def die_with(parent: int) -> None:
    """End this process soon after its parent has ended, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def locked(run: Run) -> Iterator[bool]:
    """Hold the lock of a run; whether another process had it first.

    The system releases it when the process ends, even if it is killed.
    """
    path = run.folder / "locks" / f"{run.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        waited = hold(file, LOCK_PATIENCE)
        if waited is None:
            file.seek(0)
            raise Refused(
                f"{run.name} ({run.preset}) is being run by process {file.read().strip()}; "
                "wait for it or stop it"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield waited


def machine() -> dict[str, Any]:
    """The machine: system, processor, cores."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"system": platform.platform(), "processor": model, "cores": usable_cores()}


def gpus(context: dict[str, Any]) -> dict[str, Any]:
    """The GPUs of a run that has computed on them."""
    used = described() if context.get("device") == "cuda" else []
    return {"gpus": used} if used else {}


def for_python() -> dict[str, str]:
    """Environment of a Python that imports this clone and uses UTF-8."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }


def scratch_folder() -> Path:
    """A new folder for a run, whose name is short enough for the sockets of its kernel."""
    places = [
        tempfile.gettempdir(),
        os.environ.get("XDG_RUNTIME_DIR") or "/tmp",
        "/tmp",
        "/dev/shm",
    ]
    for place in places:
        if len(os.fsencode(place)) + len("/run-12345678/k-99999") <= LONGEST_SOCKET:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="run-", dir=place))
    raise Refused(
        f"sockets need a folder whose name is short, and none of {', '.join(places)} can be used: "
        "set TMPDIR to a folder of at most 80 characters that can be written"
    )


def keep_partial(run: Run) -> None:
    """Keep the notebook of a run that failed, or was killed."""
    with contextlib.suppress(OSError):  # such as a full disk: its own error is the cause
        run.failed.parent.mkdir(parents=True, exist_ok=True)
        run.part.replace(run.failed)


def note_metrics(record: Path) -> Callable[..., None]:
    """What papermill calls after each cell: it notes the metrics that the cell has recorded.

    So a page can lead from a number to the cell that made it.
    """
    known: set[str] = set()

    def note(cell: Any, **_: Any) -> None:
        found = json.loads(record.read_text(encoding="utf-8"))["metrics"] if record.exists() else {}
        if new := [name for name in found if name not in known]:
            cell.metadata["metrics"] = new
            known.update(new)

    return note


def sections(notebook: Any) -> dict[str, float]:
    """Seconds of an executed notebook by section; what comes before the first is the start."""
    found: dict[str, float] = {}
    title = "start"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^## +(.+?) *$", cell.source, re.MULTILINE)
            title = titles[-1] if titles else title
        else:
            seconds = cell.metadata.get("papermill", {}).get("duration") or 0.0
            found[title] = found.get(title, 0.0) + seconds
    return {name: round(seconds, 1) for name, seconds in found.items()}


def execute(run: Run) -> None:
    """Execute a run; raise what papermill or the notebook raises.

    Earlier outputs stay until the new notebook and its results are whole; a notebook that fails
    is kept in the folder ``failed``.
    """
    import nbformat
    import papermill
    from traitlets.config import Config

    before, shown = inputs(run), view_inputs(run)
    facts = {
        "stamp": stamp(run),
        "commit": commit(),
        "dirty": is_dirty(),
        "started": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    scratch = scratch_folder()
    target = run.part
    target.parent.mkdir(parents=True, exist_ok=True)
    os.environ |= for_python() | ONE_THREAD
    os.environ |= {
        "JUPYTER_RUNTIME_DIR": str(scratch),
        "DYNLIB_RECORD": str(scratch / "record.json"),
        "DYNLIB_HAND_OVER": str(run.folder / "handed"),
        "DYNLIB_HANDED": str(ROOT / "build" / run.base_preset / "handed"),
        "DYNLIB_ARTEFACTS": os.environ.get("DYNLIB_ARTEFACTS", str(ROOT / "build" / "artefacts")),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm asks for widgets; pages have none
    }
    try:
        notebook = read_notebook(run.source)
        notebook.metadata["kernelspec"] = KERNEL
        source = scratch / "source.ipynb"
        nbformat.write(notebook, source)
        start = time.monotonic()
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters=run.parameters,
            kernel_name="python3",
            progress_bar=False,
            cwd=str(ROOT),
            # Without `ip` the sockets are called kernel-ipc-* in the working folder, the same
            # for two kernels at once.
            config=Config({"KernelManager": {"transport": "ipc", "ip": str(scratch / "k")}}),
            start_timeout=300,
            on_cell_executed=note_metrics(scratch / "record.json"),
        )
        wall = time.monotonic() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        record_file = scratch / "record.json"
        record = json.loads(record_file.read_text(encoding="utf-8")) if record_file.exists() else {}
        if not record.get("metrics"):
            raise RuntimeError("the notebook recorded no metric (dynlib.report.record.metric)")
        done = nbformat.read(target, as_version=4)
        results = {
            "run": run.name,
            "notebook": run.notebook,
            "preset": run.preset,
            "parameters": run.parameters,
            "metrics": record["metrics"],
            "provenance": {
                **facts,
                **record["context"],
                "wall_s": round(wall, 1),
                "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
                "sections_s": sections(done),
                "peak_rss_mb": round(usage.ru_maxrss / 1024),
                "machine": machine() | gpus(record["context"]),
                "python": platform.python_version(),
                "versions": {name: importlib.metadata.version(name) for name in before["versions"]},
                "inputs": before,
                "view": shown,
            },
        }
        done.metadata["companion"] = marks(run)
        for key in ("input_path", "output_path"):
            done.metadata.get("papermill", {}).pop(key, None)
        nbformat.write(done, target)
        text = json.dumps(sealed(results, target), indent=1) + "\n"
        # Both are whole on disk before one replaces an older file.
        part = run.results.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        target.replace(run.executed)
        part.replace(run.results)
        run.failed.unlink(missing_ok=True)
    except Exception:  # an interrupt is not a failure
        keep_partial(run)
        raise
    finally:
        target.unlink(missing_ok=True)
        run.results.with_suffix(".part").unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Entry point; the scheduler reads the exit code and the line that begins with CAUSE."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parent, name, preset, *rest = arguments
    die_with(int(parent))
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    def explain(text: str) -> None:
        print(CAUSE + " ".join(text.split()), flush=True)

    try:
        (run,) = load(preset, [name], split_parameters(rest)[0])
        kept = shown_path(run.failed)
        with locked(run) as waited:
            if not (waited and state(run)[0] == "fresh"):  # the other may have done it all
                execute(run)
        return 0
    except Refused as error:
        explain(str(error))
        return 2
    except PapermillExecutionError as error:
        dead = error.ename == "BrokenProcessPool"
        hint = " (a worker was killed, as when memory runs out)" if dead else ""
        explain(f"cell {error.exec_count} raised {error.ename}: {error.evalue}{hint}; see {kept}")
    except DeadKernelError:
        explain(
            "its kernel died, as when memory runs out or someone kills it (training has "
            f"checkpoints and goes on from the last); see {kept}"
        )
    except Exception as error:
        explain(f"{type(error).__name__}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
