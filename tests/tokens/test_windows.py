"""Windows of token trajectories: where they lie, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from dynlib.tokens.windows import random_windows, windows


def test_windows_lie_inside_and_the_seed_alone_decides():
    tokens = np.arange(60).reshape(3, 20)
    for found in (windows(tokens, 5, 9), random_windows(tokens, 5, 9, [0, 1])):
        assert found.shape == (9, 5)
        assert (np.diff(found, axis=1) == 1).all()  # never from one row to the next
        assert (found // 20 == found[:, :1] // 20).all()
    again = random_windows(tokens, 5, 9, [0, 1])
    np.testing.assert_array_equal(again, random_windows(tokens, 5, 9, [0, 1]))


@pytest.mark.parametrize("cut", [windows, lambda *a: random_windows(*a, [0])])
def test_wrong_axes_and_short_trajectories_are_refused(cut):
    with pytest.raises(ValueError, match=r"shape \(M, T\), got \(20,\); .*trajectories\[None\]"):
        cut(np.arange(20), 5, 3)
    with pytest.raises(
        ValueError, match=r"30 tokens or longer for windows of 30 .*got 20; use longer"
    ):
        cut(np.arange(20)[None], 30, 3)


def test_trajectories_of_unequal_length_are_cut_alike():
    tokens = [np.arange(20), np.arange(20, 26), np.arange(26, 60)]
    ends = np.array([20, 26, 60])
    for found in (windows(tokens, 5, 9), random_windows(tokens, 5, 9, [0, 1])):
        assert found.shape == (9, 5)
        assert (np.diff(found, axis=1) == 1).all()
        assert (np.ptp(np.searchsorted(ends, found, side="right"), axis=1) == 0).all()
    np.testing.assert_array_equal(windows(tokens, 5, 3, first=1)[:, 0], [1, 21, 27])
    np.testing.assert_array_equal(windows(tokens, 5, 6)[3:, -1], [19, 25, 59])


def test_a_list_of_equal_rows_is_cut_as_the_array():
    tokens = np.arange(600).reshape(6, 100)
    for cut in (lambda t: windows(t, 8, 33, first=3), lambda t: random_windows(t, 8, 33, [4])):
        np.testing.assert_array_equal(cut(tokens), cut(list(tokens)))
