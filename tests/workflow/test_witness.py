"""What a witness sees of the code that it executes, on every Python that is supported."""

from __future__ import annotations

from workflow.carry.witness import Trace

SOURCE = """\
def f(x):
    import colorsys
    y = x + 1
    if y > 100:
        y = 0
    import html.entities
    return [-z for z in (y, 2)] if x else missing


def quiet(x):
    return x


f(quiet(1))
"""


def test_instructions_are_seen_before_and_after_an_import(tmp_path):
    path = str(tmp_path / "code.py")
    trace = Trace({path: [[1, 7]]})
    trace.start()
    try:
        exec(compile(SOURCE, path, "exec"), {})
    finally:
        trace.stop()
    spans = trace.spans()[path]
    assert {first for first, *_ in spans} >= {2, 3, 4, 6, 7}
    assert not {5, 11} & {first for first, *_ in spans}
    assert (3, 8, 3, 13) in spans  # x + 1
    assert (7, 12, 7, 14) in spans  # -z
    assert (7, 42, 7, 49) not in spans  # missing
