"""Execute a notebook once, briefly, in a given tree, and report what it recorded and ran.

:mod:`workflow.carry.witnesses` starts it as ``python workflow/carry/witness.py SPEC.json``, with
any tree of this repository, old or new. It uses only the standard library, so that everything
that the notebook imports comes from that tree. The code cells run in one process, without Jupyter.

It traces the lines that the specification names, instruction by instruction. Python knows for each
instruction which characters of the source it belongs to, and so which arm of a conditional
expression was evaluated. Functions of numba are noted when they are compiled.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import io
import json
import os
import re
import sys
import threading
import time
import types
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

Span = tuple[int, int, int, int]  # first line, first column, last line, last column


_import = builtins.__import__


def quiet_import(name: str, *others: Any, **named: Any) -> types.ModuleType:
    """Import a module, without tracing if it is not of dynlib: that takes half the time."""
    if name.partition(".")[0] == "dynlib":
        return _import(name, *others, **named)
    tracing = sys.gettrace()
    sys.settrace(None)
    try:
        return _import(name, *others, **named)
    finally:
        sys.settrace(tracing)


class Trace:
    """The instructions that were executed in functions that overlap given lines of given files."""

    def __init__(self, lines: dict[str, list[list[int]]]) -> None:
        self.lines = lines
        # By identity, since Python hashes the whole of a code object; the objects are kept alive.
        self.local: dict[int, Callable[..., Any] | None] = {}
        self.executed: dict[int, tuple[types.CodeType, set[int]]] = {}
        self.compiled: set[tuple[str, int]] = set()
        self.hooked = False

    def start(self) -> None:
        """Trace from now on, in every thread."""
        if self.lines:
            builtins.__import__ = quiet_import
            threading.settrace(self._call)
            sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for it in settrace alone
            sys.settrace(self._call)

    def stop(self) -> None:
        """Stop tracing."""
        sys.settrace(None)
        threading.settrace(None)
        builtins.__import__ = _import

    def _wants(self, code: types.CodeType) -> bool:
        own = [line for _, _, line in code.co_lines() if line]
        low, high = min(own, default=0), max(own, default=0)
        ranges = self.lines[code.co_filename]
        return any(first <= high and low <= last for first, last in ranges)

    def _call(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code  # of every call of the process: be quick
        if code.co_filename not in self.lines:
            return None
        key = id(code)
        if key not in self.executed:
            self.executed[key] = code, set()
            self.local[key] = self._local(self.executed[key][1]) if self._wants(code) else None
        if local := self.local[key]:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            frame.f_trace = local  # Python 3.13 begins with instructions here
        return local

    def _local(self, seen: set[int]) -> Callable[..., Any]:
        def local(frame: types.FrameType, event: str, arg: Any) -> Any:
            if event == "opcode":
                seen.add(frame.f_lasti)
            return local

        return local

    def note_compiled(self) -> None:
        """Note from now on every function that numba compiles, if numba is imported."""
        dispatcher = getattr(sys.modules.get("numba.core.dispatcher"), "Dispatcher", None)
        if dispatcher is None or self.hooked:
            return
        self.hooked, compile_ = True, dispatcher.compile

        def noted(own: Any, signature: Any) -> Any:
            code = own.py_func.__code__
            self.compiled.add((code.co_filename, code.co_firstlineno))
            return compile_(own, signature)

        dispatcher.compile = noted

    def spans(self) -> dict[str, list[Span]]:
        """The pieces of source that were executed, by file."""
        found: dict[str, set[Span]] = {}
        for code, offsets in self.executed.values():
            places = list(code.co_positions())
            for offset in offsets:
                line, end_line, column, end_column = places[offset // 2]
                if line is not None and column is not None:
                    span = (line, column, end_line or line, end_column or column)
                    found.setdefault(code.co_filename, set()).add(span)
        return {path: sorted(each) for path, each in found.items()}


def cells(text: str) -> list[tuple[int, int, set[str], bool]]:
    """First and last line, tags, and whether it is code, of every cell of a percent notebook."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines, 1) if line.startswith("# %%")]
    ends = [n - 1 for n in starts[1:]] + [len(lines)]
    found = []
    for first, last in zip(starts, ends, strict=True):
        head = lines[first - 1]
        tags = re.search(r"tags=\[([^\]]*)\]", head)
        named = set(re.findall(r'"([^"]+)"', tags[1])) if tags else set()
        found.append((first, last, named, "[markdown]" not in head and "[raw]" not in head))
    return found


class Shown:
    """Checksums of what the cells tagged ``view`` display, cell by cell."""

    def __init__(self) -> None:
        self.cells: list[str] = []
        self.current = hashlib.sha256()

    def add(self, *pieces: str | bytes) -> None:
        """Add what is displayed."""
        for piece in pieces:
            self.current.update(piece.encode() if isinstance(piece, str) else piece)

    def end_cell(self) -> None:
        """End a cell."""
        self.cells.append(self.current.hexdigest())
        self.current = hashlib.sha256()

    def value(self, value: Any) -> None:
        """Add the last value of a cell, in its rich form if it has one."""
        if value is None:
            return
        for name in ("_repr_mimebundle_", "_repr_html_", "_repr_markdown_"):
            if hasattr(value, name):
                self.add(repr(getattr(value, name)()))
                return
        self.add(re.sub(r" at 0x[0-9a-f]+", "", repr(value)))

    def figures(self) -> None:
        """Add every open figure as SVG; this stands for ``plt.show()``."""
        import matplotlib.pyplot as plt

        for number in plt.get_fignums():
            file = io.BytesIO()
            with plt.rc_context({"svg.hashsalt": "the same in both"}):
                plt.figure(number).savefig(file, format="svg", metadata={"Date": None})
            self.add(file.getvalue())
        plt.close("all")


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Execute a notebook as a specification says, and report.

    The specification has ``tree`` (a folder with dynlib and notebooks), ``notebook`` (a path in
    it), ``parameters``, ``view`` (whether cells with this tag are executed too) and ``trace``
    (ranges of lines by file).
    """
    tree, path = Path(spec["tree"]), Path(spec["tree"], spec["notebook"])
    text = path.read_text(encoding="utf-8-sig")
    trace = Trace({str(tree / name): lines for name, lines in spec["trace"].items()})
    shown = Shown()
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    whole = ast.parse(text)
    start = time.monotonic()
    if spec["view"]:
        import matplotlib.pyplot as plt

        plt.show = lambda *_, **__: shown.figures()
    printed = io.StringIO()
    with redirect_stdout(printed):
        trace.start()
        try:
            for first, last, tags, is_code in cells(text):
                if not is_code or "setup" in tags or ("view" in tags and not spec["view"]):
                    continue
                trace.note_compiled()
                body = [s for s in whole.body if first <= s.lineno <= last]
                final = body[-1] if body and isinstance(body[-1], ast.Expr) else None
                module = ast.Module(body=body[:-1] if final else body, type_ignores=[])
                exec(compile(module, str(path), "exec"), namespace)
                value = None
                if final:
                    value = eval(compile(ast.Expression(final.value), str(path), "eval"), namespace)
                if "view" in tags:
                    shown.value(value)
                    shown.figures()
                    shown.end_cell()
                if "parameters" in tags:
                    namespace.update(spec["parameters"])
        finally:
            trace.stop()
    record = json.loads(Path(os.environ["DYNLIB_RECORD"]).read_text(encoding="utf-8"))
    return {
        "metrics": record["metrics"],
        "shown": shown.cells,
        "spans": {str(Path(p).relative_to(tree)): s for p, s in trace.spans().items()},
        "compiled": sorted(
            [str(Path(p).relative_to(tree)), line]
            for p, line in trace.compiled
            if Path(p).is_relative_to(tree)
        ),
        "seconds": round(time.monotonic() - start, 2),
    }


def main(file: str) -> None:
    """Execute the specification in a file, and write the report beside it."""
    spec = json.loads(Path(file).read_text(encoding="utf-8"))
    sys.path[:] = [
        spec["tree"],
        *(each for each in sys.path if Path(each) != Path(__file__).parent),
    ]
    report = Path(file).with_suffix(".report.json")
    report.write_text(json.dumps(run(spec)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
