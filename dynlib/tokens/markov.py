r"""Markov chains on tokens: Ulam's (one token of context) and n-grams with longer memory.

All orders are estimated by counting and smoothed by interpolation, so that a context never
seen falls back on a shorter one. They are the yardstick for anything that claims to have
learned from longer context.
"""

from __future__ import annotations

import copy

import numpy as np

from dynlib.dynamics.checks import check_count, check_is, check_number, check_seed, check_tokens
from dynlib.tokens.windows import Trajectories, check_trajectories, joined


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
    trajectories : numpy.ndarray or sequence of numpy.ndarray
        Training tokens, shape (M, T), or a list of M rows of unequal length; contexts never cross
        from one row to the next.
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

    def __init__(self, trajectories: Trajectories, order: int, vocabulary: int) -> None:
        check_count("vocabulary", vocabulary)
        check_trajectories("trajectories", trajectories, vocabulary=vocabulary)
        longest = max(map(len, trajectories))
        check_count("order", order, least=0, most=longest - 1, remedy="take longer trajectories")
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
        tokens, place, _ = joined(trajectories)
        at = np.arange(len(tokens))  # where a token has k others before it in its row
        before = np.zeros(len(tokens), dtype=np.int64)  # the rank of these
        for k in range(order + 1):
            if k:
                kept = place[at] >= k
                at, before = at[kept], before[kept]
                table, before = np.unique(before * vocabulary + tokens[at - k], return_inverse=True)
                self._contexts.append(table)
            transitions, counts = np.unique(before * vocabulary + tokens[at], return_counts=True)
            n_contexts = len(self._contexts[-1]) if k else 1
            origin = transitions // vocabulary
            totals = np.bincount(before, minlength=n_contexts)
            self._transitions.append(transitions)
            # Counts stay below the data's size; half the memory is worth a line.
            self._counts.append(counts.astype(np.int32))
            self._totals.append(totals.astype(np.int32))
            self._distinct.append(np.bincount(origin, minlength=n_contexts).astype(np.int32))
            self._cumulative.append(np.cumsum(counts, dtype=np.int32))
            self._ends.append(np.cumsum(totals, dtype=np.int32))

    def shorter(self, order: int) -> NGram:
        """The chain of a lower order, 0 to K, on the same counts."""
        check_count("order", order, least=0, most=self.order, remedy="count longer contexts")
        chain = copy.copy(self)
        chain.order = order
        return chain

    def _check(self, contexts: np.ndarray) -> None:
        shortest = max(self.order, 1)
        check_tokens(
            "contexts", contexts, ("B", "K"), vocabulary=self.vocabulary, shortest=shortest
        )

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
        self._check(contexts)
        check_tokens("chosen", chosen, (len(contexts),), vocabulary=self.vocabulary)
        contexts, chosen = np.asarray(contexts), np.asarray(chosen)
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
        contexts = np.asarray(contexts)
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
        check_tokens("windows", windows, ("B", "T + 1"), vocabulary=self.vocabulary, shortest=k + 1)
        windows = np.asarray(windows)
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
        check_count("n_steps", n_steps)
        check_chain_temperature("temperature", temperature)
        check_seed("seed", seed)
        rng = np.random.default_rng(seed)
        length = np.shape(prompts)[1]
        tokens = np.concatenate([prompts, np.empty((len(prompts), n_steps), np.int64)], axis=1)
        for end in range(length, length + n_steps):
            contexts = tokens[:, end - max(self.order, 1) : end]
            tokens[:, end] = self._draw(contexts, rng) if temperature else self.likeliest(contexts)
        return tokens[:, length:]


def check_chain(name: str, chain: NGram, *, least: int = 0, vocabulary: int | None = None) -> None:
    """Raise for what is not an n-gram of an order, or more, on a vocabulary."""
    remedy = "make one with NGram(trajectories, order, vocabulary)"
    check_is(name, chain, NGram, "an NGram", remedy)
    if chain.order < least:
        raise ValueError(f"{name} must be of order {least} or more, got {chain.order}; {remedy}")
    if vocabulary not in (None, chain.vocabulary):
        raise ValueError(
            f"{name} must have the vocabulary {vocabulary} of the models, got {chain.vocabulary}; "
            f"{remedy}"
        )


def check_chain_temperature(name: str, temperature: float) -> None:
    """Raise for a temperature that is not 0 or 1."""
    check_number(name, temperature, least=0, most=1)
    if temperature not in (0, 1):
        raise ValueError(f"{name} must be 0 or 1 for a chain, got {temperature}; take one of these")
