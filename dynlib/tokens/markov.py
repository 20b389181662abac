r"""Markov chains on tokens: Ulam's (one token of context) and n-grams with longer memory.

All orders are estimated by counting and smoothed by interpolation, so that a context never
seen falls back on a shorter one. They are the yardstick for anything that claims to have
learned from longer context.
"""

from __future__ import annotations

import copy

import numpy as np

from dynlib.tokens.windows import check_tokens


def _lookup(table: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Rank of each key in a sorted table, -1 where it is absent."""
    if not len(table):
        return np.full(keys.shape, -1)
    rank = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where((keys >= 0) & (table[rank] == keys), rank, -1)


class NGram:
    r"""Next-token probabilities given the last K tokens, by interpolated counts.

    With :math:`n_k(h, w)` the number of times that w followed the last k tokens h in
    training, :math:`n_k(h)` their sum and :math:`s_k(h)` the number of different successors
    (Witten and Bell's weights),

    .. math:: p_k(w|h) = \frac{n_k(h, w) + s_k(h)\, p_{k-1}(w|h)}{n_k(h) + s_k(h)},
              \qquad p_{-1}(w) = \frac1V,

    and :math:`p_k = p_{k-1}` for a context never seen. K = 1 is Ulam's approximation of the
    transfer operator on the cells.

    Parameters
    ----------
    trajectories : numpy.ndarray
        Training tokens, shape (M, T); contexts never cross from one row to the next.
    order : int
        K, tokens of context, at least 0.
    vocabulary : int
        V.

    Raises
    ------
    ValueError
        If the order does not fit the trajectories or a token is not in [0, V).

    Examples
    --------
    >>> chain = NGram(np.array([[0, 1, 0, 1, 0, 1]]), order=1, vocabulary=2)
    >>> bool(chain.probabilities(np.array([[0]]))[0, 1] > 0.7)
    True

    References
    ----------
    Ulam (1960), A Collection of Mathematical Problems; Witten & Bell (1991), IEEE Trans.
    Inf. Theory 37, 1085-1094, method C.
    """

    def __init__(self, trajectories: np.ndarray, order: int, vocabulary: int) -> None:
        trajectories = np.asarray(trajectories, dtype=np.int64)
        if (
            trajectories.ndim != 2
            or not trajectories.size
            or not 0 <= order < trajectories.shape[1]
        ):
            raise ValueError(
                "trajectories must have shape (M, T), M at least 1, and order lie in [0, T - 1], "
                f"got {trajectories.shape} and {order}; one trajectory is trajectory[None]"
            )
        check_tokens(trajectories, vocabulary)
        self.order, self.vocabulary = order, vocabulary
        # Level k names a context of k tokens by its rank among those seen: the shorter
        # context's rank and the one older token make its key, the rank and the successor
        # make the key of a transition. No hash, no overflow: ranks stay below the data's size.
        self._contexts: list[np.ndarray] = []
        self._transitions: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        self._totals: list[np.ndarray] = []
        self._distinct: list[np.ndarray] = []
        self._cumulative: list[np.ndarray] = []
        self._ends: list[np.ndarray] = []
        before = np.zeros(trajectories.shape, dtype=np.int64)  # rank of the k tokens before t >= k
        for k in range(order + 1):
            if k:
                key = before[:, 1:] * vocabulary + trajectories[:, :-k]
                table, rank = np.unique(key, return_inverse=True)
                before = rank.reshape(key.shape)
                self._contexts.append(table)
            following = before * vocabulary + trajectories[:, k:]
            transitions, counts = np.unique(following, return_counts=True)
            n_contexts = len(self._contexts[-1]) if k else 1
            origin = transitions // vocabulary
            totals = np.bincount(before.ravel(), minlength=n_contexts)
            self._transitions.append(transitions)
            # Counts stay below the data's size; half the memory is worth a line.
            self._counts.append(counts.astype(np.int32))
            self._totals.append(totals.astype(np.int32))
            self._distinct.append(np.bincount(origin, minlength=n_contexts).astype(np.int32))
            self._cumulative.append(np.cumsum(counts, dtype=np.int32))
            self._ends.append(np.cumsum(totals, dtype=np.int32))

    def shorter(self, order: int) -> NGram:
        """The chain of a lower order, 0 to K, on the same counts."""
        if not 0 <= order <= self.order:
            raise ValueError(f"order must lie in [0, {self.order}], got {order}")
        chain = copy.copy(self)
        chain.order = order
        return chain

    def _check(self, contexts: np.ndarray, chosen: np.ndarray | int = 0) -> None:
        contexts, chosen = np.asarray(contexts), np.asarray(chosen)
        if contexts.ndim != 2 or contexts.shape[1] < max(self.order, 1):
            raise ValueError(
                f"contexts must be (B, K) with K of {max(self.order, 1)} or more for an "
                f"order-{self.order} chain, got shape {contexts.shape}"
            )
        if chosen.shape not in ((), contexts.shape[:1]):
            raise ValueError(
                f"chosen must have shape (B,), one token for each of the {len(contexts)} contexts, "
                f"got {chosen.shape}"
            )
        for tokens in (contexts, chosen):
            check_tokens(tokens, self.vocabulary)

    def _levels(self, contexts: np.ndarray):
        """Yield k and the ranks at level k of contexts (B, K or more), newest token last."""
        rank = np.zeros(len(contexts), dtype=np.int64)
        for k in range(self.order + 1):
            if k:
                key = np.where(rank < 0, -1, rank * self.vocabulary + contexts[:, -k])
                rank = _lookup(self._contexts[k - 1], key)
            yield k, np.where((rank >= 0) & (self._totals[k][rank] > 0), rank, -1)

    def likelihood(self, contexts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Probability of `chosen` (B,) after `contexts` (B, K or more), shape (B,)."""
        self._check(contexts, chosen)
        probability = np.full(len(contexts), 1 / self.vocabulary)
        for k, rank in self._levels(contexts):
            key = np.where(rank < 0, -1, rank * self.vocabulary + chosen)
            place = _lookup(self._transitions[k], key)
            count = np.where(place < 0, 0, self._counts[k][place])
            total, distinct = self._totals[k][rank], self._distinct[k][rank]
            mixed = (count + distinct * probability) / (total + distinct)
            probability = np.where(rank < 0, probability, mixed)
        return probability

    def probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """All next-token probabilities (B, V) after `contexts` (B, K or more)."""
        self._check(contexts)
        probability = np.full((len(contexts), self.vocabulary), 1 / self.vocabulary)
        for k, rank in self._levels(contexts):
            for row in np.flatnonzero(rank >= 0):
                total, distinct = self._totals[k][rank[row]], self._distinct[k][rank[row]]
                first = rank[row] * self.vocabulary
                low, high = np.searchsorted(self._transitions[k], [first, first + self.vocabulary])
                probability[row] *= distinct / (total + distinct)
                successors = self._transitions[k][low:high] - first
                probability[row, successors] += self._counts[k][low:high] / (total + distinct)
        return probability

    def likeliest(self, contexts: np.ndarray) -> np.ndarray:
        """The most probable next token after each of `contexts`, shape (B,).

        Only successors of the newest token can be it, and the most frequent token of all:
        on the others the interpolation is the same multiple of the unigram frequencies.
        """
        self._check(contexts)
        distinct, inverse = np.unique(contexts, axis=0, return_inverse=True)
        everywhere = self._transitions[0][self._counts[0].argmax()]
        candidates = [np.full(len(distinct), everywhere)]
        rows = [np.arange(len(distinct))]
        if self.order:
            rank = list(self.shorter(1)._levels(distinct))[1][1]
            number = np.where(rank < 0, 0, self._distinct[1][rank])
            first = (np.cumsum(self._distinct[1]) - self._distinct[1])[rank]
            rows.append(np.repeat(rows[0], number))
            within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
            place = np.repeat(first, number) + within
            candidates.append(self._transitions[1][place] % self.vocabulary)
        row, candidate = np.concatenate(rows), np.concatenate(candidates)
        probability = self.likelihood(distinct[row], candidate)
        best = np.empty(len(distinct), dtype=np.int64)
        rising = np.lexsort((-candidate, probability))  # ties: the smallest token is written last
        best[row[rising]] = candidate[rising]
        return best[inverse.reshape(-1)]

    def _draw(self, contexts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw from :meth:`probabilities` a row, without building them.

        The interpolation is a mixture: at level k take a counted successor with probability
        n / (n + s), else go on to the shorter context.
        """
        tokens = np.full(len(contexts), -1)
        for k, rank in reversed(list(self._levels(contexts))):
            total, distinct = self._totals[k][rank], self._distinct[k][rank]
            here = (tokens < 0) & (rank >= 0)
            here &= rng.random(len(contexts)) * (total + distinct) < total
            # Transitions are sorted by context, so a context's occurrences are one stretch.
            occurrence = self._ends[k][rank] - 1 - rng.integers(0, np.maximum(total, 1))
            place = np.searchsorted(self._cumulative[k], occurrence, side="right")
            tokens = np.where(here, self._transitions[k][place] % self.vocabulary, tokens)
        return np.where(tokens < 0, rng.integers(0, self.vocabulary, len(tokens)), tokens)

    def log_probabilities(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""As :func:`dynlib.tokens.gpt.log_probabilities`, on windows (B, T + 1).

        Returns :math:`\ln p` of each next token given the K before it, shape (B, T + 1 - K)
        (the positions that have K tokens of context, the last T + 1 - K), and whether it was
        the likeliest.
        """
        k = max(self.order, 1)
        if np.ndim(windows) != 2 or np.shape(windows)[1] <= k:
            raise ValueError(
                f"windows must have shape (B, T + 1) with T of {k} or more, got "
                f"{np.shape(windows)}; one window is window[None]"
            )
        contexts = np.lib.stride_tricks.sliding_window_view(windows[:, :-1], k, axis=1)
        shape, flat = contexts.shape[:2], contexts.reshape(-1, k)
        chosen = windows[:, k:].reshape(-1)
        log_likelihood = np.log(self.likelihood(flat, chosen))
        correct = self.likeliest(flat) == chosen
        return log_likelihood.reshape(shape), correct.reshape(shape)

    def generate(
        self, prompts: np.ndarray, n_steps: int, *, temperature: float = 1.0, seed: int = 0
    ) -> np.ndarray:
        """Continue prompts (B, P), P at least K, for `n_steps`.

        `temperature` is 1 (a draw from the chain) or 0 (always its likeliest token). Returns
        the generated tokens without the prompts, shape (B, n_steps).
        """
        self._check(prompts)
        if temperature not in (0, 1):
            raise ValueError(f"temperature must be 0 or 1 for a chain, got {temperature}")
        rng = np.random.default_rng(seed)
        length = prompts.shape[1]
        tokens = np.concatenate([prompts, np.empty((len(prompts), n_steps), np.int64)], axis=1)
        for end in range(length, length + n_steps):
            contexts = tokens[:, end - max(self.order, 1) : end]
            tokens[:, end] = self._draw(contexts, rng) if temperature else self.likeliest(contexts)
        return tokens[:, length:]
