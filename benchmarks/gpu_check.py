"""Two minutes on one GPU: what the printed model costs there, beside plain transformers.

``make gpu-check``, or ``python3 -m benchmarks.gpu_check`` on a machine without a network. Every
ratio is a median over repetitions in which both sides take turns; above one means that ours is that
many times faster (or smaller). The rows go to ``results/bench.json``.

``--tiny --device cpu`` goes through every line with a tiny model; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.compare import check_same, keep, over, row
from benchmarks.training import plain
from dynlib.measure.intervals import summarise
from dynlib.report.prices import share_of_peak
from dynlib.tokens.gpt import GPTConfig, TokenGPT, generate, log_probabilities
from dynlib.tokens.loss import NextTokenLoss
from dynlib.tokens.recipes import TrainingConfig, make_optimizers
from dynlib.tokens.training import train
from dynlib.training import checkpoint
from workflow.files import ROOT, commit
from workflow.runs.cards import Cards, described
from workflow.runs.execute import machine

FILE = ROOT / "results" / "bench.json"
GIB = 2**30


@dataclass(frozen=True)
class Scale:
    """How large and how often everything is done."""

    device: str
    layers: int = 12
    heads: int = 12
    width: int = 768
    context: int = 1024
    small: int = 2500  # cells of the small and of the large vocabulary
    large: int = 125_000
    batch: int = 8
    repetitions: int = 5
    steps: int = 8  # that are timed at once
    training: int = 120
    prompt: int = 64
    tokens: int = 60  # that are generated
    long: int = 600
    windows: int = 128
    compiler: str = "inductor"

    def config(self, vocabulary: int) -> GPTConfig:
        return GPTConfig(vocabulary, self.layers, self.heads, self.width, self.context, 0.1)

    def recipe(self, steps: int) -> TrainingConfig:
        """The printed training."""
        return TrainingConfig(steps, self.batch, precision="bf16")

    def draw(self, vocabulary: int, *shape: int) -> np.ndarray:
        return np.random.default_rng(0).integers(0, vocabulary, shape)


TINY = {
    "layers": 1, "heads": 1, "width": 16, "context": 16, "small": 30, "large": 50, "batch": 2,
    "repetitions": 2, "steps": 2, "training": 6, "prompt": 4, "tokens": 4, "long": 20, "windows": 4,
    "compiler": "eager",
}  # fmt: skip


def seconds(scale: Scale, call: Callable[[], object]) -> float:
    """Time of a call, to the end of what it has started on the device."""
    if scale.device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if scale.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def in_turns(scale: Scale, *calls: Callable[[], object]) -> list[list[float]]:
    """Times of each call, which take turns; the first turn is not counted."""
    turns = [[seconds(scale, call) for call in calls] for _ in range(scale.repetitions + 1)]
    return [list(times) for times in zip(*turns[1:], strict=True)]


def peak_memory(scale: Scale, call: Callable[[], object]) -> float:
    """Most memory of the device during a call, in GiB; without a GPU that of the process so far."""
    if scale.device != "cuda":
        call()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() / GIB


def milliseconds(times: list[float], calls: int) -> str:
    found = summarise([1000 * each / calls for each in times])
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] ms"


def product_peak(scale: Scale) -> float:
    """What the device reaches in a product of two large bf16 matrices, in TFLOP/s."""
    n = 8192 if scale.device == "cuda" else 64
    a, b = (torch.randn(n, n, device=scale.device, dtype=torch.bfloat16) for _ in range(2))
    (times,) = in_turns(scale, lambda: [a @ b for _ in range(10)])
    return 10 * 2 * n**3 / statistics.median(times) / 1e12


def step(scale: Scale, vocabulary: int) -> list[dict[str, Any]]:
    """A training step: ours, with a compiled body, and plain transformers."""
    config = scale.config(vocabulary)
    drawn = scale.draw(vocabulary, scale.batch, config.context + 1)
    tokens = torch.as_tensor(drawn, device=scale.device)

    def autocast() -> torch.autocast:
        return torch.autocast(scale.device, torch.bfloat16)

    def steps(
        module: torch.nn.Module, loss: Callable[[], torch.Tensor], optimizers: list
    ) -> Callable[[], None]:
        def several() -> None:
            module.train()
            for _ in range(scale.steps):
                with autocast():
                    value = loss()
                value.backward()
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()

        return several

    def ours(which: TokenGPT) -> Callable[[], None]:
        loss = NextTokenLoss(which)
        return steps(loss, lambda: loss(tokens), make_optimizers(which, scale.recipe(1)))

    torch.manual_seed(0)
    model = TokenGPT(config).to(scale.device)
    eager = ours(model)
    memory = peak_memory(scale, eager)
    peer, compiled = plain(model).to(model.device), TokenGPT(config).to(scale.device)
    with torch.no_grad(), autocast():
        model.eval(), peer.eval()
        logits = peer(tokens[:, :-1]).logits.float().flatten(0, 1)
        expected = F.cross_entropy(logits, tokens[:, 1:].flatten()).item()
        check_same("the loss", NextTokenLoss(model)(tokens).item(), expected)
        del logits
    body = compiled.gpt2.transformer
    body.forward = torch.compile(body.forward, backend=scale.compiler)
    fast = ours(compiled)
    first = seconds(scale, fast)
    theirs = steps(
        peer,
        lambda: peer(input_ids=tokens[:, :-1], labels=tokens[:, :-1]).loss,
        [torch.optim.AdamW(peer.parameters(), 5e-5)],
    )
    times = in_turns(scale, eager, fast, theirs)
    mine, faster = (statistics.median(each) / scale.steps for each in times[:2])
    compiling, gain = max(0.0, first - scale.steps * faster), mine - faster
    pays = f"pays from {compiling / gain:.0f} steps on" if gain > 0 else "never pays"
    peak = product_peak(scale)
    share = share_of_peak(config, scale.batch, mine, peak)
    words = [milliseconds(each, scale.steps) for each in times]
    what = f"step of {scale.batch * config.context} tokens, V={vocabulary}"
    aim = 22 if vocabulary == scale.small else 40
    return [
        row(what, "plain transformers, AdamW, same autocast", over(times[2], times[0]), 1.8,
            f"{words[0]} against {words[2]}"),
        row(what, f"{aim} ms", [aim / 1000 * scale.steps / each for each in times[0]], 1.0,
            f"{words[0]}; {share:.0%} of the {peak:.3g} TFLOP/s of a bf16 product; "
            f"{memory:.1f} GiB"),
        row(f"{what}, body compiled", "not compiled", over(times[0], times[1]), None,
            f"{words[1]}; compiling takes {compiling:.0f} s and {pays}"),
    ]  # fmt: skip


def training(scale: Scale) -> list[dict[str, Any]]:
    """What `train` adds to its steps, and what its checkpoints cost."""
    config, length = scale.config(scale.small), 4 * scale.context
    data = scale.draw(scale.small, scale.batch, length)
    short = max(1, scale.training // 6)
    times: dict[str, list[float]] = {"short": [], "long": [], "kept": []}
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        for number in range(2):
            for name, steps, place in (
                ("short", short, None),
                ("long", scale.training, None),
                ("kept", scale.training, Path(folder, f"{number}")),
            ):
                done = train(
                    data, None, config, scale.recipe(steps), place, device=scale.device,
                    checkpoint_seconds=2.0, label=f"gpu-check, {name}",
                )  # fmt: skip
                times[name].append(done.seconds)
        model = done.model
        optimizer = {f"{k}.{m}": w for k, w in model.state_dict().items() for m in "ab"}
        state = {**model.state_dict(), **optimizer}  # as much as AdamW's moments
        size = sum(each.numel() * each.element_size() for each in state.values())
        saving = [
            seconds(scale, lambda: checkpoint.save(Path(folder, "whole"), state, {}))
            for _ in range(2)
        ]
    pairs = zip(times["long"], times["short"], strict=True)
    each = [(a - b) / (scale.training - short) for a, b in pairs]
    what = f"train(), {scale.training} steps, V={scale.small}"
    return [
        row(what, "22 ms a step", [0.022 / one for one in each], 1.0,
            f"{milliseconds(each, 1)} a step, with data and all, without what comes once"),
        row(f"{what}, with checkpoints", "without", over(times["long"], times["kept"]), 0.98,
            f"one of {size / GIB:.2f} GiB written by itself: {statistics.median(saving):.1f} s"),
    ]  # fmt: skip


def generation(scale: Scale, prompts: int) -> list[dict[str, Any]]:
    """Tokens for many prompts, by ours and by transformers' own generator."""
    torch.manual_seed(0)
    model = TokenGPT(scale.config(scale.small)).to(scale.device).eval()
    heard = scale.draw(scale.small, prompts, scale.prompt)
    rows = []
    if prompts > 100:
        memory = peak_memory(scale, lambda: generate(model, heard, scale.long))
        what = f"memory of generation, {prompts} prompts of {scale.prompt} + {scale.long} tokens"
        rows = [row(what, "12 GB", [12e9 / (memory * GIB)], 1.0, f"{memory:.1f} GiB")]
    peer = plain(model).to(model.device).eval()
    there = torch.as_tensor(heard, device=scale.device)

    def theirs(n: int, **options: Any) -> torch.Tensor:
        return peer.generate(
            there, attention_mask=torch.ones_like(there), max_new_tokens=n, min_new_tokens=n,
            pad_token_id=0, **options,
        )  # fmt: skip

    agreed = generate(model, heard, 1, temperature=0)
    likeliest = theirs(1, do_sample=False)[:, scale.prompt :].cpu().numpy()
    check_same("the share of equal tokens", float((agreed == likeliest).mean()), 1.0, 0.1)
    times = in_turns(
        scale,
        lambda: generate(model, heard, scale.tokens),
        lambda: theirs(scale.tokens, do_sample=True, top_k=0),
    )
    mine, plainly = (milliseconds(each, scale.tokens) for each in times)
    what, note = f"generation, {prompts} prompts, a token each", f"{mine} against {plainly}"
    rows.append(row(what, "transformers' generate", over(times[1], times[0]), None, note))
    if prompts < 100:
        ratios = [0.003 * scale.tokens / each for each in times[0]]
        rows.append(row(what, "3 ms", ratios, 1.0, mine))
    return rows


def scoring(scale: Scale, vocabulary: int) -> list[dict[str, Any]]:
    """Windows whose tokens are scored in a second."""
    torch.manual_seed(0)
    model = TokenGPT(scale.config(vocabulary)).to(scale.device).eval()
    peer = plain(model).to(model.device).eval()
    windows = scale.draw(vocabulary, scale.windows, scale.context + 1)

    @torch.no_grad()
    def theirs() -> float:
        total = 0.0
        for part in torch.as_tensor(windows, device=scale.device).split(8):
            logits = peer(part[:, :-1]).logits
            total += F.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten()).item() * len(part)
        return total / len(windows)

    check_same("the score", -float(log_probabilities(model, windows)[0].mean()), theirs())
    ours, peers = in_turns(scale, lambda: log_probabilities(model, windows), theirs)
    rate = scale.windows / statistics.median(ours)
    return [
        row(f"scoring windows of {scale.context} tokens, V={vocabulary}", "plain transformers",
            over(peers, ours), None, f"{rate:.0f} windows a second")
    ]  # fmt: skip


def gpu_name(scale: Scale) -> str:
    return torch.cuda.get_device_name() if scale.device == "cuda" else "none"


def description(scale: Scale) -> dict[str, Any]:
    """The machine, its card and the versions."""
    gpus = described() if scale.device == "cuda" else []
    return {
        **machine(),
        "gpu": gpu_name(scale),
        "driver": gpus[0]["driver"] if gpus else "unknown",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers")},
        "cuda": torch.version.cuda,
        "commit": commit(),
        "started": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and keep; 1 if some could not be measured, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="gpu-check", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try every line")
    parser.add_argument("--out", type=Path, help=f"{FILE.relative_to(ROOT)} unless --tiny")
    options = parser.parse_args(arguments)
    out = options.out or (None if options.tiny else FILE)
    cards = Cards(1 if options.device == "cuda" else 0)
    lent = cards.lend(cards.total, Counter())  # kept to the end
    if lent is None:
        print("gpu-check: a run uses the GPU, so times would be wrong; wait", file=sys.stderr)
        return 2
    if lent:
        os.environ["CUDA_VISIBLE_DEVICES"] = next(iter(lent)).uuid
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "gpu-check: torch sees no CUDA GPU here; to try every line without one: "
            "python -m benchmarks.gpu_check --tiny --device cpu",
            file=sys.stderr,
        )
        return 2
    scale = Scale(options.device, **(TINY if options.tiny else {}))
    found: dict[str, Any] = {"machine": description(scale), "rows": []}
    print(json.dumps(found["machine"], indent=1))
    code = 0
    for section, argument in (
        (step, scale.small), (training, None), (generation, 20), (generation, 200),
        (scoring, scale.small), (step, scale.large), (scoring, scale.large),
    ):  # fmt: skip
        try:
            rows = section(scale) if argument is None else section(scale, argument)
        except Exception as error:  # the rest is measured all the same: a card may be rented
            words = " ".join(f"not measured: {type(error).__name__}: {error}".split())
            rows, code = [row(f"{section.__name__} {argument or ''}", "", [], None, words)], 1
        for each in rows:
            ratio = "-" if each["ratio"] is None else f"{each['ratio']:.2f}"
            span = "" if each["low"] is None else f" [{each['low']:.2f}, {each['high']:.2f}]"
            reached = {True: ", reached", False: ", NOT reached", None: ""}[each["reached"]]
            print(f"{each['name']} / {each['against']}: {ratio}{span}{reached}; {each['note']}",
                  flush=True)  # fmt: skip
        found["rows"] += rows
        if out:  # at once: a rented machine may end before the rest
            keep(out, {"gpu": found})
        if scale.device == "cuda":
            torch.cuda.empty_cache()
    return code


if __name__ == "__main__":
    sys.exit(main())
