"""Checkpoints that survive a kill: tensors as safetensors, the rest as JSON, checked and atomic.

A checkpoint is a folder with ``tensors.safetensors`` and ``state.json``; the latter holds the
checksum of the former and of itself. It is written under a temporary name, flushed to disk
and renamed, so that a folder with the final name is whole or has been damaged since, which
:func:`load` notices. No pickle is written or read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dynlib.dynamics.checks import check_is
from dynlib.training import sources

#: Tensors by name, and a state that JSON can hold.
Whole = tuple[dict[str, torch.Tensor], dict[str, Any]]


class DamagedCheckpoint(ValueError):
    """A checkpoint that is incomplete or does not match its checksums."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def save(folder: Path, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint, replacing one of the same name only when the new one is whole.

    The tensors may be on any device; the state is anything that JSON can hold.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     save(Path(root, "a"), {"w": torch.ones(2)}, {"step": 3})
    ...     tensors, state = load(Path(root, "a"))
    >>> tensors["w"].tolist(), state
    ([1.0, 1.0], {'step': 3})
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
        part / "tensors.safetensors",
    )
    record = {
        "tensors_sha256": _digest(part / "tensors.safetensors"),
        "state_sha256": _checksum(state),
        "state": state,
    }
    (part / "state.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    for path in (part / "tensors.safetensors", part / "state.json", part):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def load(folder: Path, device: str | torch.device = "cpu") -> Whole:
    """Read back what was given to :func:`save`, the tensors on `device`.

    Raises
    ------
    DamagedCheckpoint
        If a file is missing, unreadable or changed since it was written; it is safe to
        delete the folder and train again.
    """
    try:
        record = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if record["tensors_sha256"] != _digest(folder / "tensors.safetensors"):
            raise ValueError("tensors.safetensors does not match its checksum")
        if record["state_sha256"] != _checksum(record["state"]):
            raise ValueError("state.json does not match its checksum")
        return load_file(folder / "tensors.safetensors", device=str(device)), record["state"]
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{folder} is no whole checkpoint ({error}); delete it") from error


def finished(
    folder: Path | None,
    compute: Callable[[Path | None], Whole],
    device: str | torch.device = "cpu",
    *,
    writes: bool = True,
) -> Whole:
    """Load an earlier result from a folder, or keep there what `compute` returns.

    It is kept in the folder's ``model``; a damaged one is replaced. Without a folder nothing is
    kept, and `compute` (as for :func:`dynlib.training.artefacts.kept`) is given None. Loaded
    tensors go to `device`. Of several processes that compute together, one `writes`.
    """
    check_is("folder", folder, Path | None, "a pathlib.Path or None", "use Path(...)")
    found, checkpoints = None, None
    if folder is not None:
        checkpoints = folder / "checkpoints"
        with contextlib.suppress(DamagedCheckpoint):
            found = load(folder / "model", device)
    if found is None:
        found = compute(checkpoints)
        if folder is not None and writes:
            save(folder / "model", *found)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return found


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold an artefact folder alone; a second process waits until the first is done or dead."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system drops it when the process dies
        yield


def save_step(folder: Path, step: int, tensors: dict[str, torch.Tensor], state: dict) -> None:
    """Write the checkpoint of a step below `folder` and keep the two newest."""
    save(folder / f"step-{step:09d}", tensors, state | {"step": step})
    for old in sorted(folder.glob("step-?????????"))[:-2]:
        shutil.rmtree(old, ignore_errors=True)


#: The largest share of a training's time that its checkpoints take.
SHARE = 0.02
#: Bytes a second that a disk is expected to take until the first checkpoint is measured.
BYTES_A_SECOND = 3e8


class Writer:
    """Writes the checkpoints of a training below `folder` in a thread, and counts what they cost.

    A checkpoint costs the time in which the training waits and its tensors are copied, and that of
    the thread, which may slow the training. The last one is whole, or has failed, when this context
    is left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.costs: list[float] = []  # in seconds, of each checkpoint
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[float] | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._wait()

    def _wait(self) -> None:
        """Wait for the thread, and raise what it has raised."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self.costs[-1] += writing.result()

    def offer(self, step: int, state: Any, elapsed: float, *, always: bool) -> None:
        """Write the state after a step, `always` or if all checkpoints take at most ``SHARE``.

        `elapsed` are the seconds of training so far. The next one is expected to cost as much as
        the most expensive one so far. When this returns the tensors of the state may change.
        """
        if not always and self._writing is not None and not self._writing.done():
            return
        begin = time.perf_counter()
        self._wait()
        tensors: dict[str, torch.Tensor] = {}
        skeleton = flatten(state, "loop", tensors)
        guess = sum(tensor.nbytes for tensor in tensors.values()) / BYTES_A_SECOND
        expected = max(self.costs, default=guess)
        if always or sum(self.costs) + expected <= SHARE * elapsed:
            copies = {k: v.detach().to("cpu", copy=True) for k, v in tensors.items()}
            self.costs.append(time.perf_counter() - begin)
            self._writing = self._pool.submit(self._write, step, copies, {"loop": skeleton})

    def _write(self, step: int, tensors: dict[str, torch.Tensor], state: dict) -> float:
        begin = time.perf_counter()
        save_step(self.folder, step, tensors, state)
        return time.perf_counter() - begin


def latest_step(folder: Path) -> Whole | None:
    """The newest whole checkpoint below `folder`, None where there is none."""
    for candidate in sorted(folder.glob("step-?????????"), reverse=True):
        try:
            return load(candidate)
        except DamagedCheckpoint:
            shutil.rmtree(candidate, ignore_errors=True)
    return None


def flatten(nested: Any, prefix: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Move the tensors of nested dicts and lists into `tensors`; return the JSON skeleton."""
    if isinstance(nested, torch.Tensor):
        tensors[prefix] = nested
        return {"__tensor__": prefix}
    if isinstance(nested, dict):
        pairs = [[k, flatten(v, f"{prefix}.{k}", tensors)] for k, v in nested.items()]
        return {"__pairs__": pairs}  # a list of pairs, because optimiser states have int keys
    if isinstance(nested, (list, tuple)):
        return [flatten(v, f"{prefix}.{i}", tensors) for i, v in enumerate(nested)]
    return nested


def unflatten(skeleton: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Undo :func:`flatten`."""
    if isinstance(skeleton, dict) and "__tensor__" in skeleton:
        return tensors[skeleton["__tensor__"]]
    if isinstance(skeleton, dict):
        return {k: unflatten(v, tensors) for k, v in skeleton["__pairs__"]}
    if isinstance(skeleton, list):
        return [unflatten(v, tensors) for v in skeleton]
    return skeleton


def artefact_folder(kind: str, parameters: dict[str, Any], code: list[str]) -> Path:
    """Where a trained artefact belongs, by a key of what determines it and nothing else.

    The key covers the parameters (of data and training), the code that computes it
    (:func:`dynlib.training.sources.fingerprint`) and torch's version. Nothing with another key is
    ever reused.

    `kind` is a readable first half of the name. The parameters are anything that JSON can hold, and
    the code is functions that compute it, such as ``"dynlib.tokens.training.train"``. The folder,
    which is not created, is below ``$DYNLIB_ARTEFACTS`` (set by the runner), else below
    ``build/artefacts`` of this clone.
    """
    default = Path(__file__).resolve().parents[2] / "build" / "artefacts"
    root = Path(os.environ.get("DYNLIB_ARTEFACTS", default))
    torch_version = torch.__version__.split("+")[0]
    key = json.dumps(
        [parameters, sources.fingerprint(code), torch_version], sort_keys=True,
        default=np.generic.item,  # one of numpy's is the same number
    ).encode()  # fmt: skip
    return root / f"{kind}-{hashlib.sha256(key).hexdigest()[:20]}"
