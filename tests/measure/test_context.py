"""Cross-entropy by length of context, on the same targets whatever the length."""

import numpy as np
import pytest

from dynlib.measure.context import context_curve

SENTENCES = np.arange(24).reshape(2, 12)


def test_every_length_sees_that_many_tokens_before_the_same_targets():
    seen = {}

    def score(windows):
        seen.setdefault(windows.shape[1] - 1, []).append(windows[:, -1].tolist())
        return -windows[:, -1].astype(float) / windows.shape[1]

    curve = context_curve(score, SENTENCES, [1, 3], [4, 9])
    assert seen == {1: [[4, 16], [9, 21]], 3: [[4, 16], [9, 21]]}
    assert curve == pytest.approx([12.5 / 2, 12.5 / 4])


@pytest.mark.parametrize(
    ("lengths", "columns"), [([0, 2], [5]), ([1, 6], [5]), ([1, 2], [5, 12])]
)  # fmt: skip
def test_targets_without_their_context_are_refused(lengths, columns):
    with pytest.raises(ValueError, match=r"must be a whole number from \d+ to 11, got"):
        context_curve(lambda windows: np.zeros(len(windows)), SENTENCES, lengths, columns)


@pytest.mark.parametrize("shape", [(9,), (2, 3, 9)])
def test_sentences_have_two_axes(shape):
    with pytest.raises(ValueError, match=r"shape \(B, T\), got .*(sentences\[None\]|transpose)"):
        context_curve(lambda windows: np.zeros(len(windows)), np.zeros(shape, int), [1], [2])
