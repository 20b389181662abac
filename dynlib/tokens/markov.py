r"""Markov chains on tokens: Ulam's (one token of context) and n-grams with longer memory.

All orders are estimated by counting and smoothed by interpolation, so that a context never
seen falls back on a shorter one. They are the yardstick for anything that claims to have
learned from longer context.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import numba
import numpy as np

from dynlib.dynamics.checks import check_count, check_is, check_number, check_seed, check_tokens
from dynlib.tokens.windows import Trajectories, check_trajectories


@dataclasses.dataclass(frozen=True)
class _Level:
    """Contexts of k tokens, sorted by their newest token, then by the one before, and so on.

    A context is named by its place in this order. Those of k + 1 tokens that end in it, and the
    tokens that followed it in training, are one stretch of a table each.
    """

    longer: np.ndarray  # where the stretch of each context's longer ones begins, and the end
    oldest: np.ndarray  # the oldest token of each of these
    first: np.ndarray  # where the stretch of each context's successors begins, and the end
    successors: np.ndarray  # tokens, rising within a stretch
    cumulative: np.ndarray  # how often these and all in front of them occurred, and a zero first

    def successor(self, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        """Place of a token among the successors of a context, -1 where it is none."""
        return _found(self.first, self.successors, context, token)

    def extended(self, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        """The context with an older token, -1 where it never occurred."""
        return _found(self.longer, self.oldest, context, token)

    def counts(self, place: np.ndarray) -> np.ndarray:
        """How often a successor followed."""
        return self.cumulative[place + 1] - self.cumulative[place]

    def distinct(self, context: np.ndarray) -> np.ndarray:
        """How many different tokens followed a context."""
        return self.first[1:][context] - self.first[:-1][context]

    def totals(self, context: np.ndarray) -> np.ndarray:
        """How often a context was followed by a token."""
        return self.ends(context) - self.cumulative[self.first[:-1][context]]

    def ends(self, context: np.ndarray) -> np.ndarray:
        """How often a context, and all in front of it, were followed by a token."""
        return self.cumulative[self.first[1:][context]]


@numba.njit
def _found(first, table, group, value):
    """Place of each value in its group's stretch of a table that rises there, -1 if absent."""
    place = np.empty(len(group), np.int64)
    for i in range(len(group)):
        place[i] = -1
        if group[i] >= 0:
            low, end = first[group[i]], first[group[i] + 1]
            high = end
            while low < high:
                middle = low + (high - low) // 2
                if table[middle] < value[i]:
                    low = middle + 1
                else:
                    high = middle
            if low < end and table[low] == value[i]:
                place[i] = low
    return place


@numba.njit
def _starts(group, n, dtype):
    """Where each of n groups begins if all are laid side by side, and the end."""
    first = np.zeros(n + 1, dtype)
    for each in group:
        if each >= 0:
            first[each + 1] += 1
    return np.cumsum(first).astype(dtype)


@numba.njit
def _grouped(group, order, shift, first, values):
    """Values by group, within a group in the given order of places, each place so many later."""
    free, found = first[:-1].copy(), np.empty(first[-1], values.dtype)
    for place in order:
        place += shift
        if place < len(group) and group[place] >= 0:
            found[free[group[place]]] = values[place]
            free[group[place]] += 1
    return found


@numba.njit
def _runs(first, values):
    """Different values of each group's stretch, which rises: starts, values, cumulated counts."""
    n = 0
    for g in range(len(first) - 1):
        for i in range(first[g], first[g + 1]):
            n += i == first[g] or values[i] != values[i - 1]
    starts, distinct = np.empty_like(first), np.empty(n, values.dtype)
    ends, n = np.zeros(n + 1, first.dtype), 0
    for g in range(len(first) - 1):
        starts[g] = n
        for i in range(first[g], first[g + 1]):
            if i == first[g] or values[i] != values[i - 1]:
                distinct[n] = values[i]
                n += 1
            ends[n] = i + 1
    starts[-1] = n
    return starts, distinct, ends


@numba.njit
def _rename(context, k, places, first, tokens, longer):
    """Replace each place's context of k - 1 tokens by that of k tokens."""
    for g in range(len(first) - 1):
        name = longer[g] - 1
        for i in range(first[g], first[g + 1]):
            place = places[i]
            name += i == first[g] or tokens[place - k] != tokens[places[i - 1] - k]
            context[place] = name


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
        self._levels: list[_Level] = []
        lengths = np.array([len(each) for each in trajectories])
        size = np.int32 if lengths.sum() < 2**31 else np.int64
        tokens = np.concatenate(trajectories, dtype=np.int32, casting="unsafe")
        begins = np.cumsum(lengths) - lengths  # of rows
        places = np.arange(len(tokens), dtype=size)
        # Places in the order of their tokens. Whatever is sorted by counting in this order rises
        # within its group, so that no level has to compare anything.
        by_token = _grouped(tokens, places, 0, _starts(tokens, vocabulary, size), places)
        context = np.zeros(len(tokens), size)  # before each place, -1 if it is too near the start
        n, empty = 1, np.zeros(0, np.int32)
        for k in range(order + 1):
            first = _starts(context, n, size)
            followers = _runs(first, _grouped(context, by_token, 0, first, tokens))
            if k == order:
                self._levels.append(_Level(empty, empty, *followers))
                break
            late = begins + k
            context[late[late < begins + lengths]] = -1
            first = _starts(context, n, size)
            longer = _grouped(context, by_token, k + 1, first, places)
            starts, oldest, _ = _runs(first, tokens[longer - (k + 1)])
            self._levels.append(_Level(starts, oldest, *followers))
            _rename(context, k + 1, longer, first, tokens, starts)
            n = len(oldest)

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

    def _known(self, contexts: np.ndarray) -> Iterator[tuple[_Level, np.ndarray]]:
        """Each level with the contexts (B, K or more) as it names them, -1 where it has none."""
        context = np.zeros(len(contexts), dtype=np.int64)
        for k, level in enumerate(self._levels[: self.order + 1]):
            yield level, context
            if k < self.order:
                context = level.extended(context, contexts[:, -k - 1])

    def likelihood(self, contexts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Probability of `chosen` (B,) after `contexts` (B, K or more), shape (B,)."""
        self._check(contexts)
        check_tokens("chosen", chosen, (len(contexts),), vocabulary=self.vocabulary)
        contexts, chosen = np.asarray(contexts), np.asarray(chosen)
        probability = np.full(len(contexts), 1 / self.vocabulary)
        for level, context in self._known(contexts):
            place = level.successor(context, chosen)
            count = np.where(place < 0, 0, level.counts(place))
            total, distinct = level.totals(context), level.distinct(context)
            mixed = (count + distinct * probability) / (total + distinct)
            probability = np.where(context < 0, probability, mixed)
        return probability

    def probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """All next-token probabilities (B, V) after `contexts` (B, K or more)."""
        self._check(contexts)
        contexts = np.asarray(contexts)
        probability = np.full((len(contexts), self.vocabulary), 1 / self.vocabulary)
        for level, context in self._known(contexts):
            for row in np.flatnonzero(context >= 0):
                total, distinct = level.totals(context[row]), level.distinct(context[row])
                places = np.arange(*level.first[context[row] : context[row] + 2])
                probability[row] *= distinct / (total + distinct)
                probability[row, level.successors[places]] += level.counts(places) / (
                    total + distinct
                )
        return probability

    def likeliest(self, contexts: np.ndarray) -> np.ndarray:
        """The most probable next token after each of `contexts`, shape (B,).

        Only successors of the newest token can be it, and the most frequent token of all:
        on the others the interpolation is the same multiple of the unigram frequencies.
        """
        self._check(contexts)
        distinct, inverse = np.unique(contexts, axis=0, return_inverse=True)
        alone = self._levels[0]
        everywhere = alone.successors[np.diff(alone.cumulative).argmax()]
        candidates = [np.full(len(distinct), everywhere, dtype=np.int64)]
        rows = [np.arange(len(distinct))]
        if self.order:
            level, context = list(self.shorter(1)._known(distinct))[1]
            number = np.where(context < 0, 0, level.distinct(context))
            rows.append(np.repeat(rows[0], number))
            within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
            place = np.repeat(level.first[context], number) + within
            candidates.append(level.successors[place])
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
        for level, context in reversed(list(self._known(contexts))):
            total, distinct = level.totals(context), level.distinct(context)
            here = (tokens < 0) & (context >= 0)
            here &= rng.random(len(contexts)) * (total + distinct) < total
            # A context's occurrences are one stretch of all of them.
            occurrence = level.ends(context) - 1 - rng.integers(0, np.maximum(total, 1))
            place = np.searchsorted(level.cumulative[1:], occurrence, side="right")
            tokens = np.where(here, level.successors[place], tokens)
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
