r"""What it costs to train a token model on a rented card, from counted operations.

A step multiplies matrices, and little else takes time. Of a model with L layers of width d, a
vocabulary V and a context T, every token of a step costs

.. math:: 6\,(12 L d^2 + V d) + 12 L d T

operations (a product and a sum are two): each weight of a matrix is used once forward and twice
backward, and each token attends to T others, whether the causal mask hides them or not. What is
left out (embeddings, norms, softmax, the optimiser) multiplies no matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from dynlib.dynamics.checks import check_count, check_is, check_number
from dynlib.tokens.gpt import GPTConfig


@dataclass(frozen=True)
class Card:
    """A graphics card that can be rented.

    Parameters
    ----------
    name : str
        What NVIDIA calls it.
    tflops : float
        Published peak of dense bf16 products summed in fp32, in 10¹² operations a second.
    memory : float
        Published memory, in GB.
    dollars : float
        Rough price of an hour, in US dollars.
    """

    name: str
    tflops: float
    memory: float
    dollars: float

    def __post_init__(self) -> None:
        check_is("name", self.name, str, "a text", "write it in quotes")
        for field in fields(self)[1:]:
            check_number(field.name, getattr(self, field.name), above=0)


#: Peaks and memories from NVIDIA's data sheets. Prices are rough list prices of specialised
#: providers in 2026, without commitment; between providers they differ threefold.
CARDS = (
    Card("H200 SXM", 989, 141, 4.0),
    Card("H100 SXM", 989, 80, 3.0),
    Card("A100 80 GB SXM", 312, 80, 1.3),
    Card("L40S", 362, 48, 0.9),
    Card("RTX 4090", 165, 24, 0.4),
)


@dataclass(frozen=True)
class Price:
    """What a training costs on a card.

    Parameters
    ----------
    card : Card
        The card.
    tokens_per_second : float
        Tokens that it trains on in a second.
    minutes : float
        Minutes of training, without evaluation.
    dollars : float
        Price of these minutes.
    """

    card: Card
    tokens_per_second: float
    minutes: float
    dollars: float


def flops_per_token(config: GPTConfig) -> int:
    """Operations of a training step for each of its tokens, forward and backward.

    Parameters
    ----------
    config : dynlib.tokens.gpt.GPTConfig
        The model; its context is the length of the windows.

    Returns
    -------
    int
        As ``torch.utils.flop_counter`` counts them, with attention in matrix products.

    Examples
    --------
    The printed model has 87 million weights in matrices, and attention adds a fifth.

    >>> flops_per_token(GPTConfig(vocabulary=2500)) / 1e6
    634.374144
    """
    _check_config(config)
    weights = config.width * (12 * config.layers * config.width + config.vocabulary)
    return 6 * weights + 12 * config.layers * config.width * config.context


def share_of_peak(config: GPTConfig, batch_size: int, seconds: float, tflops: float) -> float:
    """Which part of a card's peak a measured step reaches.

    Parameters
    ----------
    config : dynlib.tokens.gpt.GPTConfig
        The model.
    batch_size : int
        Windows of a step, each of the whole context.
    seconds : float
        Measured time of a step.
    tflops : float
        The peak, in 10¹² operations a second; published or measured.

    Examples
    --------
    The step of 34.8 ms on an H200 (``8`` windows of 1024 tokens) reached 15 % of the published
    peak.

    >>> round(share_of_peak(GPTConfig(vocabulary=2500), 8, 34.8e-3, 989), 3)
    0.151
    """
    _check_config(config)
    check_count("batch_size", batch_size)
    check_number("seconds", seconds, above=0)
    check_number("tflops", tflops, above=0)
    tokens = batch_size * config.context
    return tokens * flops_per_token(config) / (seconds * tflops * 1e12)


def prices(
    config: GPTConfig, tokens: int, share: float, cards: Sequence[Card] = CARDS
) -> list[Price]:
    """What it costs to train a model on so many tokens, on each card.

    It is a computation, not a measurement: every card is taken to reach the same share of its
    published peak. Only for the card on which the share was measured is that more than a guess. A
    card with less memory may not hold the model and its batch.

    Parameters
    ----------
    config : dynlib.tokens.gpt.GPTConfig
        The model.
    tokens : int
        Tokens of all steps: steps × windows × context.
    share : float
        Part of the published peak that a step reaches, in (0, 1), such as a measured
        :func:`share_of_peak`.
    cards : sequence of Card
        The cards; :data:`CARDS` by default.

    Returns
    -------
    list of Price
        In the order of the cards.

    Examples
    --------
    Three passes of Lorenz, 20 cells, with the share that was measured on an H200:

    >>> config, tokens = GPTConfig(vocabulary=8000), 12_000 * 8 * 1024
    >>> for each in prices(config, tokens, 0.15)[:2]:
    ...     print(f"{each.card.name}: {each.minutes:.1f} min, {each.dollars:.2f} $")
    H200 SXM: 7.3 min, 0.49 $
    H100 SXM: 7.3 min, 0.36 $
    """
    _check_config(config)
    check_count("tokens", tokens)
    check_number("share", share, above=0, below=1)
    _check_cards(cards)
    found = []
    for card in cards:
        rate = share * card.tflops * 1e12 / flops_per_token(config)
        hours = tokens / rate / 3600
        found.append(Price(card, rate, 60 * hours, hours * card.dollars))
    return found


def _check_config(config: GPTConfig) -> None:
    check_is("config", config, GPTConfig, "a GPTConfig", "make one with GPTConfig(vocabulary, ...)")


def _check_cards(cards: Sequence[Card]) -> None:
    check_is("cards", cards, (list, tuple), "a list of cards", "one card alone is [card]")
    for card in cards:
        check_is("each of cards", card, Card, "a Card", "make one with Card(name, ...)")
