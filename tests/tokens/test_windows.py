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
    with pytest.raises(ValueError, match=r"shape \(batch, T\), got \(20,\); .*trajectory\[None\]"):
        cut(np.arange(20), 5, 3)
    with pytest.raises(ValueError, match=r"windows of 30 tokens .*do not fit trajectories of 20"):
        cut(np.arange(20)[None], 30, 3)
