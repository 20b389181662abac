"""Every ratio is a median over alternating repetitions on one thread, on this machine, now.

A ratio above one means that ours is that many times faster than the peer beside it.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import numpy as np
import ot
import torch
from scipy.integrate import odeint
from torch.nn import functional as F
from torch_levenberg_marquardt.training import LevenbergMarquardtModule
from transformers.activations import ACT2FN

from benchmarks.counting import counting
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import spectral_norm
from dynlib.dynamics.pairs import pairs
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, initial_states, trajectories
from dynlib.measure.transport import token_distance, wasserstein
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.ffnn import FFNN
from dynlib.networks.leads import LEADS, PENALTY, penalty
from dynlib.networks.levenberg import LevenbergMarquardt
from dynlib.networks.stnn import StNN
from dynlib.operators.hankel import Hankel
from dynlib.peers.leads_loop import LoopedLEADS
from dynlib.peers.released import ReleasedStNN
from dynlib.tokens.accelerated import continue_in_parts
from dynlib.tokens.gpt import GPTConfig, TokenGPT, _draw, generate
from dynlib.tokens.grid import Grid
from dynlib.tokens.loss import NextTokenLoss
from dynlib.training import parallel

REPETITIONS = 5


def ratio(ours: Callable[[], object], peer: Callable[[], object], calls: int = 1) -> list[float]:
    """Time of the peer over ours, for each repetition: each the median of so many calls.

    A single call among many short ones may pay for what others left to the allocator.
    """
    ours(), peer()
    found = []
    for _ in range(REPETITIONS):
        medians = []
        for function in (ours, peer):
            times = []
            for _ in range(calls):
                start = time.perf_counter()
                function()
                times.append(time.perf_counter() - start)
            medians.append(statistics.median(times))
        found.append(medians[1] / medians[0])
    return found


def report(name: str, found: list[float], target: str = "") -> None:
    """One line: median, smallest and largest ratio, and what the median should be."""
    print(
        f"{name:<74} {statistics.median(found):7.2f}  [{min(found):.2f}, {max(found):.2f}]"
        f"{target and '  wanted: ' + target}",
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


def static_cache() -> None:
    """What a GPU uses, on a CPU, where the growing cache stays for its digits."""
    model = TokenGPT(GPTConfig(344, 2, 4, 64, 64)).eval()
    for count in (20, 200):
        prompts = np.random.default_rng(0).integers(0, 344, (count, 50))

        def growing(prompts: np.ndarray = prompts) -> np.ndarray:
            return generate(model, prompts, 100, temperature=0)

        def static(prompts: np.ndarray = prompts) -> np.ndarray:
            return continue_in_parts(model, prompts, 100, 0.0, 0, room=10**9)

        np.testing.assert_array_equal(static(), growing())
        report(f"100 tokens for {count} prompts: static / growing cache", ratio(static, growing))


class BranchByBranch(ReleasedStNN):
    """The loop over branches with weights that can be learnt."""

    def __init__(self, model: StNN) -> None:
        super().__init__(model)
        self.weights = torch.nn.ParameterDict(self.weights)


class Contiguous(torch.nn.Module):
    """A network whose outputs lie in memory as torch-levenberg-marquardt wants them."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.network(states).contiguous()


def lorenz_pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised states and successors, padded to four coordinates: (count, 4), float32."""
    flow = Lorenz()
    initial = flow.initial_states(count // 100, np.random.default_rng(0))
    states, successors = pairs(simulate(TimeMap(flow, 0.01), initial, 101, transient=500))
    mean, scale = states.mean(0), states.std(0)
    columns = (
        torch.as_tensor((s - mean) / scale, dtype=torch.float32) for s in (states, successors)
    )
    return tuple(F.pad(c, (0, 1)) for c in columns)


def levenberg_steps() -> None:
    """Two steps on 1000 pairs each, from the same weights: later ones may be tried again."""
    model = StNN(4, 6, released=True)
    model.draw_alive(torch.Generator().manual_seed(0), used=3)
    batches = list(zip(*(c.split(1000) for c in lorenz_pairs(2000)), strict=True))
    theta = torch.cat([weight.detach().flatten() for weight in model.parameters()])[None]
    optimizer = LevenbergMarquardt(model, theta, rule="factor")
    start = {name: value.clone() for name, value in optimizer.state().items()}
    columns = [tuple(c.T.unsqueeze(0).contiguous() for c in batch) for batch in batches]

    def ours() -> None:
        optimizer.restore(start)
        for batch in columns:
            optimizer.step(*batch)

    def peer(network: torch.nn.Module, solve: str) -> Callable[[], None]:
        module = LevenbergMarquardtModule(network, attempts_per_step=20, solve_method=solve)
        weights = module.flat_params.clone()

        def steps() -> None:
            module.flat_params.copy_(weights)
            module.backup_parameters()
            module.reset()
            for inputs, targets in batches:
                module.training_step(inputs, targets)

        return steps

    for what, network, solve, target in (
        ("loop over branches, QR", BranchByBranch(model), "qr", "at least 4, better 8"),
        ("our StNN, QR", Contiguous(copy.deepcopy(model)), "qr", ""),
        ("our StNN, Cholesky", Contiguous(copy.deepcopy(model)), "cholesky", ""),
    ):
        name = f"LM step, p=6, 1000 pairs: ours / torch-lm ({what})"
        report(name, ratio(ours, peer(network, solve)), target)


@torch.no_grad()
def inference() -> None:
    model, plain = StNN(4, 6, released=True), FFNN()
    loop, fast = ReleasedStNN(model), AssembledStNN(model)
    for batch, calls in ((1, 200), (10_000, 5)):
        padded, states = torch.randn(batch, 4), torch.randn(batch, 3)
        for what, peer, target in (
            ("loop over branches", lambda x=padded: loop(x), "at least 100" if batch == 1 else ""),
            ("StNN", lambda x=padded: model(x), ""),
            ("FFNN 3-30-30-30-3", lambda x=states: plain(x), "above 1"),
        ):
            found = ratio(lambda x=padded: fast(x), peer, calls)
            report(f"StNN p=6, batch {batch}: multiplied out / {what}", found, target)


def leads() -> None:
    """Forward, loss with its penalty (five power iterations, as published), backward, Adam."""
    paths = trajectories(ENVIRONMENTS, initial_states(8))
    whole = torch.as_tensor(paths, dtype=torch.float32)  # (10, 8, 20, 2)
    windows = whole.unfold(2, 2, 1).flatten(1, 2).mT.contiguous()  # (10, 152, 2, 2)

    vectors = [torch.ones(10, size, 1) for size in (2, 64, 64, 64)]

    def stacked(model: LEADS, batch: torch.Tensor) -> torch.Tensor:
        followed = model(batch[:, :, 0], batch.shape[2] - 1, 0.5)
        error = (followed - batch[:, :, 1:]).square().sum() / batch.numel()
        return error + PENALTY * penalty(model, batch.flatten(1, 2), vectors)

    def step(model: torch.nn.Module, loss: Callable) -> Callable[[], None]:
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=isinstance(model, LEADS))

        def once() -> None:
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

        return once

    for what, batch, target in (
        ("rollouts of 19 steps", whole, "at least 10, better 20"),
        ("windows of one step", windows, ""),
    ):
        model = LEADS(10, generator=torch.Generator().manual_seed(0))
        loop = LoopedLEADS(model)
        report(
            f"LEADS, 10 environments x 8, {what}: at once / one by one",
            ratio(
                step(model, lambda m=model, b=batch: stacked(m, b)),
                step(loop, lambda m=loop, b=batch: m.loss(b, 0.5, rounds=5)),
                3,
            ),
            target,
        )


def hankel() -> None:
    operator, states = Hankel(torch.randn(2047)), torch.randn(256, 1024)
    report(
        "Hankel operator, n=1024, batch 256: two transforms / matrix",
        ratio(lambda: operator.multiply_fft(states), lambda: operator.multiply_dense(states), 10),
    )


def main() -> None:
    print(f"{'ours / peer':<74} {'times faster':>7}")
    parallel.set_threads(1)
    for section in (
        simulation, flows, norms, transport, common_mass, training, sampling, generation,
        static_cache, levenberg_steps, leads, inference, hankel,
    ):  # fmt: skip
        section()
    counting(report, ratio)


if __name__ == "__main__":
    main()
