"""Trajectories from files, against what was written into them; and every refusal."""

import re

import numpy as np
import pytest

from dynlib.dynamics.data import hold_out, read_trajectories

T = 0.1 * np.arange(200)
CIRCLE = np.stack([np.cos(T), np.sin(T)], axis=1)


def lines(times, states, label=None):
    return [
        ",".join([f"{t:.6f}", *([label] if label else []), *(f"{v:.8f}" for v in x)])
        for t, x in zip(times, states, strict=True)
    ]


@pytest.fixture
def csv(tmp_path):
    def write(*rows, encoding="utf-8"):
        file = tmp_path / "data.csv"
        file.write_text("\n".join(rows) + "\n", encoding=encoding)
        return file

    return write


def test_a_csv_is_read_by_its_header(csv):
    found = read_trajectories(csv("Time,x,y", *lines(T, CIRCLE)))
    np.testing.assert_allclose(found.parts[0], CIRCLE, atol=1e-8)
    assert (len(found.parts), found.names, found.notes) == (1, ("x", "y"), ())
    assert found.tau == pytest.approx(0.1)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_marks_order_quotes_and_blank_lines_do_not_matter(csv, mark):
    rows = [f'"y" {mark} trajectory{mark}t', f"1{mark}b{mark}0", "", f"2{mark}b{mark}1",
            f"7{mark}a{mark}5", f"9{mark}a{mark}6"]  # fmt: skip
    found = read_trajectories(csv(*rows, encoding="utf-8-sig"))
    assert [part.ravel().tolist() for part in found.parts] == [[1, 2], [7, 9]]
    assert (found.names, found.origin, found.tau) == (("y",), (0, 1), 1.0)


def test_without_times_a_step_counts_one(csv):
    found = read_trajectories(csv("x", "1", "2", "4"))
    assert found.tau == 1.0
    assert "a step counts 1" in found.notes[0]


def test_a_gap_splits_a_trajectory(csv):
    times = np.delete(T, [50, 51, 120])
    found = read_trajectories(csv("t,x,y", *lines(times, np.delete(CIRCLE, [50, 51, 120], 0))))
    assert [len(part) for part in found.parts] == [50, 68, 79]
    assert found.origin == (0, 0, 0)
    np.testing.assert_allclose(found.parts[1], CIRCLE[52:120], atol=1e-8)
    assert "split at 2 gaps" in found.notes[0]


def test_what_stands_alone_between_gaps_is_left_out_and_said(csv):
    kept = [*range(50), 60, *range(80, 200)]
    found = read_trajectories(csv("t,x,y", *lines(T[kept], CIRCLE[kept])))
    assert [len(part) for part in found.parts] == [50, 120]
    assert "alone between gaps: 1." in found.notes[1]


def uneven(seed=0):
    times = np.cumsum(np.random.default_rng(seed).uniform(0.05, 0.15, 400))
    return times, np.stack([np.cos(times), np.sin(times)], axis=1)


def test_uneven_times_are_resampled_on_request_and_refused_otherwise(csv):
    times, states = uneven()
    times[200:] += 30
    states[200:] = np.stack([np.cos(times[200:]), np.sin(times[200:])], axis=1)
    file = csv("t,x,y", *lines(times, states))
    with pytest.raises(ValueError, match=r"times must be even, got a step of .*; take resample=T"):
        read_trajectories(file)
    found = read_trajectories(file, resample=True)
    assert [part.shape[1] for part in found.parts] == [2, 2]
    for part, start in zip(found.parts, (times[0], times[200]), strict=True):
        clock = start + found.tau * np.arange(len(part))
        np.testing.assert_allclose(part[:, 0], np.cos(clock), atol=2e-5)
        np.testing.assert_allclose(part[:, 1], np.sin(clock), atol=2e-5)
    assert found.tau == pytest.approx(0.1, rel=0.1)
    assert "interpolated, by cubic splines" in " ".join(found.notes)


def test_times_with_few_digits_are_even(csv):
    rows = [f"{t:.2f},{x:.6f}" for t, x in zip(T * np.pi, CIRCLE[:, 0], strict=True)]
    assert read_trajectories(csv("t,x", *rows)).tau == pytest.approx(0.1 * np.pi, rel=1e-4)


@pytest.mark.parametrize(
    ("arrays", "lengths", "names"),
    [
        ({"a": CIRCLE}, [200], ("x", "y")),
        ({"a": np.stack([CIRCLE, CIRCLE])}, [200, 200], ("x", "y")),
        ({"a": CIRCLE, "b": CIRCLE[:70]}, [200, 70], ("x", "y")),
        ({"a": CIRCLE, "t": T, "names": ["u", "v"]}, [200], ("u", "v")),
        ({"a": CIRCLE, "b": CIRCLE[:70], "t_a": T, "t_b": T[:70]}, [200, 70], ("x", "y")),
        ({"a": np.tile(CIRCLE, 2)}, [200], ("x1", "x2", "x3", "x4")),
    ],
)
def test_arrays_of_numpy_are_read(tmp_path, arrays, lengths, names):
    np.savez(tmp_path / "data.npz", **arrays)
    found = read_trajectories(tmp_path / "data.npz")
    assert [len(part) for part in found.parts] == lengths
    assert found.names == names
    np.testing.assert_array_equal(found.parts[0], np.atleast_3d(arrays["a"])[..., :].reshape(
        -1, *arrays["a"].shape[-2:])[0])  # fmt: skip
    assert found.tau == pytest.approx(0.1 if {"t", "t_a"} & set(arrays) else 1.0)


def test_a_single_array_is_read(tmp_path):
    np.save(tmp_path / "data.npy", CIRCLE.astype(np.float32))
    (part,) = read_trajectories(tmp_path / "data.npy").parts
    assert part.dtype == np.float64
    np.testing.assert_allclose(part, CIRCLE, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["t,x", "0,1", "1,a"], "got 'a' in line 3, column x; fill it in"),
        (["t,x", "0,1", "1,"], "got '' in line 3, column x"),
        (["t,x", "0,1", "1,nan"], "got 'nan' in line 3, column x"),
        (["t,x", "0,1", "1,inf"], "got 'inf' in line 3, column x"),
        (["t,x", "0,1", "1,２"], "got '２' in line 3, column x"),
        (["t,x", "0,1", "1,1_0"], "got '1_0' in line 3, column x"),
        (["t;x", "0;1,5", "1;2,5"], "got '1,5' in line 2, column x; write a decimal point"),
        (["t,x", "0,1", "1,2", "0.5,3"], "increase .*got 0.5 after 1.0 in line 4, column t; sort"),
        (["t,x", "0,1", "0,2"], "got 0.0 after 0.0 in line 3"),
        (["t,x", "0,1", "1,2,3"], "every line must have 2 values.*got 3 in line 3"),
        (["t,x", "0,1"], "two states or more, got one in data.csv; leave it out"),
        (["t,trajectory,x", "0,a,1", "1,a,2", "0,b,3"], "got one in trajectory b"),
        (["t,x", "0,1", "1,1"], "every coordinate must vary, got x, which is constant"),
        (["0,1", "1,2"], "first line of data.csv must name every column.*write a header"),
        (["t,x,x", "0,1,2"], "columns must have different names, got t, x, x"),
        (["t", "0", "1"], "must have a column of numbers"),
        (["t,x"], "two lines below the header"),
        ([""], "must name every column"),
        (["t,x", "0,1", "1,1e300"], "the largest of the states of data.csv must be"),
        (["t,x", "0,1", "10,2", "1000,3"], "times must be even|gaps only"),
    ],
)
def test_a_csv_that_is_not_right_is_refused_by_line_and_column(csv, rows, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_trajectories(csv(*rows))
    assert re.search(r"must .*, got .*; .", str(caught.value), flags=re.DOTALL)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": T}, r"array a must have shape \(T, d\) or \(n, T, d\), got \(200,\)"),
        ({"a": CIRCLE, "t": T[:9]}, r"times of array a must have shape \(200,\), got \(9,\)"),
        ({"a": CIRCLE, "t": T[::-1]}, "times of array a must increase"),
        ({"a": CIRCLE, "t_c": T}, "times t_NAME of an array NAME, got a, t_c"),
        ({"t": T}, "must hold arrays of states"),
        ({"a": CIRCLE, "b": np.tile(CIRCLE, 2)}, r"as many coordinates, got \[2, 4\]"),
        ({"a": CIRCLE, "names": ["u"]}, r"names must be 2 different texts, got \('u',\)"),
        ({"a": np.where(T[:, None] > 5, np.nan, CIRCLE)}, "must be finite, got nan at index"),
        ({"a": CIRCLE.astype(str)}, "array of real numbers"),
        ({"a": CIRCLE.astype(object)}, "every array of data.npz must be one of numbers"),
    ],
)
def test_arrays_that_are_not_right_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises((ValueError, TypeError), match=words):
        read_trajectories(tmp_path / "data.npz")


@pytest.mark.parametrize("name", ["data.npz", "data.npy", "data.csv"])
def test_a_file_of_other_bytes_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 not this")
    with pytest.raises(ValueError, match=r"must be .*, got .*; (save|write) it"):
        read_trajectories(tmp_path / name)


def test_a_file_that_is_not_there_and_another_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"file of data must exist, got .*none.csv.*; correct"):
        read_trajectories(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"must be .csv, .npy or .npz, got .*data.xlsx"):
        read_trajectories(tmp_path / "data.xlsx")
    with pytest.raises(TypeError, match="path must be the path of a file, got 3"):
        read_trajectories(3)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_what_is_held_out_overlaps_with_nothing(n):
    sizes = [30 + 7 * i for i in range(n)]
    ends = np.cumsum(sizes)
    parts = [np.arange(e - s, e)[:, None] for s, e in zip(sizes, ends, strict=True)]
    origin, kept, held = hold_out(parts, range(n), 0.2)
    together = np.concatenate([*kept, *held]).ravel()
    np.testing.assert_array_equal(np.sort(together), np.arange(ends[-1]))
    assert sum(map(len, held)) == pytest.approx(0.2 * ends[-1], abs=0.5 * max(sizes))
    assert len(origin) == len(kept)
    whole = [len(part) for part in held]
    assert (set(whole) <= set(sizes)) == (n >= 5)


def test_parts_of_one_trajectory_are_held_out_together():
    parts = [np.full((10, 1), i) for i in range(8)]
    _, kept, held = hold_out(parts, [0, 0, 1, 2, 3, 4, 5, 5], 0.25)
    assert [int(part[0, 0]) for part in held] == [6, 7]
    assert len(kept) == 6
