"""Every ratio is a median over alternating repetitions on one thread, on this machine, now.

A ratio above one means that ours is that many times faster than the peer beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import ot
import torch
from scipy.integrate import odeint
from torch.nn import functional as F
from transformers.activations import ACT2FN

from dynlib import parallel
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import spectral_norm
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems import Henon, Lorenz
from dynlib.measure.transport import token_distance, wasserstein
from dynlib.tokens.gpt import GPTConfig, NextTokenLoss, TokenGPT, _draw, generate
from dynlib.tokens.grid import Grid

REPETITIONS = 5


def ratio(ours: Callable[[], object], peer: Callable[[], object]) -> list[float]:
    """Time of the peer over ours, for each repetition."""
    ours(), peer()
    found = []
    for _ in range(REPETITIONS):
        times = []
        for function in (ours, peer):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        found.append(times[1] / times[0])
    return found


def report(name: str, found: list[float]) -> None:
    """One line: median, smallest and largest ratio."""
    print(
        f"{name:<74} {statistics.median(found):7.2f}  [{min(found):.2f}, {max(found):.2f}]",
        flush=True,
    )


def simulation() -> None:
    system = Henon()
    initial = system.initial_states(100, np.random.default_rng(0))

    def loop() -> None:
        for state in initial:
            for _ in range(500):
                state = system.step(state)

    report(
        "100 orbits at once / one after the other",
        ratio(lambda: simulate(system, initial, 500), loop),
    )


def flows() -> None:
    flow = Lorenz()
    initial = simulate(TimeMap(flow, 0.03), flow.initial_states(50, np.random.default_rng(0)), 500)

    equations = flow.equations()

    def scipy() -> None:
        for state in initial[:, -1]:
            odeint(lambda x, _: equations(*x), state, np.arange(200) * 0.03, rtol=1e-6, atol=1e-6)

    report(
        "Lorenz, 50 trajectories of 200 states: TimeMap / scipy's odeint at 1e-6",
        ratio(lambda: simulate(TimeMap(flow, 0.03), initial[:, -1], 200), scipy),
    )


def norms() -> None:
    matrices = np.random.default_rng(0).normal(size=(100_000, 2, 2))
    report(
        "spectral norm of 10^5 2x2 matrices: closed form / numpy's SVD",
        ratio(lambda: spectral_norm(matrices), lambda: np.linalg.norm(matrices, 2, axis=(-2, -1))),
    )


def transport() -> None:
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(350, 2)), rng.normal(size=(350, 2)), np.full(350, 1 / 350)
    costs = ot.dist(a, b, metric="euclidean")
    report(
        "exact transport, 350 cells a side / POT's Sinkhorn at 1 % of the mean cost",
        ratio(
            lambda: wasserstein(a, w, b, w),
            lambda: ot.sinkhorn2(w, w, costs, 0.01 * costs.mean(), numItermax=10_000),
        ),
    )


def common_mass() -> None:
    flow = Lorenz()
    states = simulate(
        TimeMap(flow, 0.03), flow.initial_states(40, np.random.default_rng(0)), 500, transient=500
    )
    grid = Grid.fit(states, 35)
    a, b = grid.encode(states).reshape(2, -1)
    weights = [np.bincount(t, minlength=grid.vocabulary) for t in (a, b)]
    report(
        "W1 of 10^4 states a side on cells: without what both have / with it",
        ratio(
            lambda: token_distance(a, b, grid.centres),
            lambda: wasserstein(grid.centres, weights[0], grid.centres, weights[1]),
        ),
    )


def training_step(
    width: int, vocabulary: int, *, bf16: bool = False, whole: bool = False, activation: str = ""
) -> Callable:
    torch.manual_seed(0)
    model = TokenGPT(GPTConfig(vocabulary, 1, 4, width, 32))
    if activation:
        for block in model.gpt2.transformer.h:
            block.mlp.act = ACT2FN[activation]
    tokens = torch.randint(0, vocabulary, (64, 33))
    loss_of = NextTokenLoss(model)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if whole:
                logits = model(tokens[:, :-1])
                loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
            else:
                loss = loss_of(tokens)
        loss.backward()
        model.zero_grad()

    def steps() -> None:
        for _ in range(5):
            step()

    return steps


def training() -> None:
    report(
        "training step, width 64: fused tanh-GELU / transformers' gelu_new",
        ratio(training_step(64, 344), training_step(64, 344, activation="gelu_new")),
    )
    for width, vocabulary in ((64, 344), (128, 5000)):
        report(
            f"training step, width {width}, {vocabulary} tokens: bf16 / fp32",
            ratio(training_step(width, vocabulary, bf16=True), training_step(width, vocabulary)),
        )
    report(
        "training step, width 128, 5000 tokens, bf16: logits in stretches / whole",
        ratio(training_step(128, 5000, bf16=True), training_step(128, 5000, bf16=True, whole=True)),
    )


def sampling() -> None:
    logits, generator = torch.randn(200, 5000), torch.Generator().manual_seed(0)
    report(
        "200 draws from 5000 tokens: inverted sum / torch.multinomial",
        ratio(
            lambda: _draw(logits, generator),
            lambda: torch.multinomial(logits.softmax(-1), 1, generator=generator),
        ),
    )


def generation() -> None:
    model = TokenGPT(GPTConfig(344, 1, 4, 64, 128)).eval()
    prompts = np.random.default_rng(0).integers(0, 344, (50, 28))

    @torch.no_grad()
    def whole() -> None:
        sequence = torch.as_tensor(prompts)
        for _ in range(100):
            sequence = torch.cat([sequence, model(sequence)[:, -1:].argmax(-1)], dim=1)

    def theirs() -> None:
        model.gpt2.generate(
            torch.as_tensor(prompts), do_sample=False, max_new_tokens=100, pad_token_id=0,
            attention_mask=torch.ones(prompts.shape, dtype=torch.long),
        )  # fmt: skip

    def ours() -> None:
        generate(model, prompts, 100, temperature=0)

    report("100 tokens for 50 prompts: ours / whole forward passes", ratio(ours, whole))
    report("100 tokens for 50 prompts: ours / transformers' generate", ratio(ours, theirs))


def main() -> None:
    print(f"{'ours / peer':<74} {'times faster':>7}")
    parallel.set_threads(1)
    for section in (
        simulation, flows, norms, transport, common_mass, training, sampling, generation,
    ):  # fmt: skip
        section()


if __name__ == "__main__":
    main()
