"""Training: it learns, it resumes to the same weights after a kill, it shares nothing wrongly."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dynlib.tokens import loss, recipes, training
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.training import train
from dynlib.tokens.windows import random_windows, windows
from dynlib.training import checkpoint
from dynlib.training.device import resolve_device

MODEL = GPTConfig(vocabulary=6, layers=1, heads=2, width=16, context=8, dropout=0.1)
CONFIG = TrainingConfig(
    steps=60, batch_size=8, learning_rate=1e-2, optimizer="muon", schedule="cosine", clip=1.0
)


@pytest.fixture
def cycle():
    """Sentences that a model can learn perfectly: 0 1 2 3 4 5 0 1 ..."""
    return (np.arange(200)[None] + np.arange(4)[:, None]) % 6


def weights(result):
    return {name: value.clone() for name, value in result.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("embedding", ["plain", "factorised"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_variant_learns_a_cycle(cycle, optimizer, embedding, precision):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, precision=precision, steps=150)
    model = dataclasses.replace(MODEL, embedding=embedding, dropout=0.0)
    cells = np.stack(np.unravel_index(np.arange(6), (3, 2)), axis=-1)
    result = train(cycle, cells, model, config, validation=cycle, device="cpu")
    assert result.validation_loss < 0.05
    assert result.tokens_seen == 150 * 8 * 8


def test_one_step_of_adamw_is_torchs(cycle):
    config = TrainingConfig(steps=1, batch_size=4, learning_rate=1e-3)
    model = dataclasses.replace(MODEL, dropout=0.0)
    result = train(cycle, None, model, config, device="cpu")
    torch.manual_seed(0)
    twin = training.TokenGPT(model)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-3, eps=1e-6, weight_decay=0.0)
    batch = torch.as_tensor(random_windows(cycle, 9, 4, [0, 0]))
    loss = torch.nn.functional.cross_entropy(
        twin(batch[:, :-1]).reshape(-1, 6), batch[:, 1:].reshape(-1)
    )
    loss.backward()
    optimizer.step()
    assert_same(weights(result), {k: v.clone() for k, v in twin.state_dict().items()})


@pytest.mark.parametrize(
    ("precision", "width", "vocabulary", "device", "expected"),
    [
        ("fp32", 768, 2500, "cuda", False),
        ("fp32", 768, 2500, "cpu", False),
        ("bf16", 16, 6, "cpu", True),
        ("bf16", 16, 6, "cuda", True),
        ("auto", 16, 6, "cuda", True),
        ("auto", 128, 400, "cpu", True),
        ("auto", 127, 400, "cpu", False),
        ("auto", 128, 399, "cpu", False),
    ],
)
def test_bf16_is_used_where_it_pays(monkeypatch, precision, width, vocabulary, device, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    config = TrainingConfig(1, 1, precision=precision)
    assert config.autocast(GPTConfig(vocabulary, heads=1, width=width), device) is expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),  # most laptops
        ({"avx2": True}, False),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": True}, True),
    ],
)
def test_a_processor_without_bf16_instructions_trains_in_fp32(monkeypatch, known, expected):
    """There torch emulates bf16, and a training takes four times as long as in fp32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    model = GPTConfig(400, heads=1, width=128)
    assert TrainingConfig(1, 1).autocast(model, "cpu") is expected
    assert TrainingConfig(1, 1).autocast(model, "cuda")
    assert TrainingConfig(1, 1, precision="bf16").autocast(model, "cpu")


@pytest.mark.parametrize(
    ("precision", "context", "attention"),
    [("fp32", 8, "sdpa"), ("bf16", 8, "eager"), ("bf16", 257, "sdpa")],
)
def test_short_contexts_in_bf16_train_with_plain_attention(cycle, precision, context, attention):
    tokens = np.tile(cycle, (1, 2))
    model = dataclasses.replace(MODEL, context=context)
    config = TrainingConfig(1, 2, precision=precision)
    seen = []
    original = training.NextTokenLoss.forward

    def watched(self, batch):
        seen.append(self.model.gpt2.config._attn_implementation)
        return original(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.NextTokenLoss, "forward", watched)
        train(tokens, None, model, config, device="cpu")
    assert seen == [attention]


def test_plain_attention_is_the_same_function():
    torch.manual_seed(0)
    model = training.TokenGPT(dataclasses.replace(MODEL, dropout=0.0))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    tokens = torch.randint(0, 6, (4, 8))
    fused = model(tokens)
    model.gpt2.set_attn_implementation("eager")
    torch.testing.assert_close(model(tokens), fused)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 17, 30, 59])
def test_a_run_stopped_at_any_step_ends_in_the_same_weights(cycle, tmp_path, stopping, stop):
    whole = train(cycle, None, MODEL, CONFIG, validation=cycle, device="cpu")
    with stopping(stop):
        train(cycle, None, MODEL, CONFIG, tmp_path, validation=cycle, checkpoint_seconds=0)
    resumed = train(cycle, None, MODEL, CONFIG, tmp_path, validation=cycle, device="cpu")
    assert_same(weights(whole), weights(resumed))
    np.testing.assert_array_equal(whole.history, resumed.history)
    assert not (tmp_path / "checkpoints").exists()


def test_the_older_checkpoint_serves_when_the_newest_is_torn(cycle, tmp_path, monkeypatch):
    whole = train(cycle, None, MODEL, CONFIG, device="cpu")
    original = checkpoint.save_step

    def save_and_tear(folder, step, tensors, state):
        original(folder, step, tensors, state)
        if step == 40:
            file = folder / "step-000000040" / "tensors.safetensors"
            file.write_bytes(file.read_bytes()[:-7])
            raise Stopped

    monkeypatch.setattr(checkpoint, "save_step", save_and_tear)
    with pytest.raises(Stopped):
        train(cycle, None, MODEL, CONFIG, tmp_path, device="cpu", checkpoint_seconds=0)
    monkeypatch.setattr(checkpoint, "save_step", original)
    assert checkpoint.latest_step(tmp_path / "checkpoints")[1]["step"] == 39
    assert_same(weights(whole), weights(train(cycle, None, MODEL, CONFIG, tmp_path, device="cpu")))


KILLED = """
import numpy as np, sys, pathlib, dataclasses, torch
torch.set_num_threads({threads})  # sums are bitwise equal for equal threads only
sys.path.insert(0, {tests!r})
from test_training import MODEL, CONFIG
from dynlib.tokens.training import train
tokens = (np.arange(200)[None] + np.arange(4)[:, None]) % 6
config = dataclasses.replace(CONFIG, steps=4000)
train(tokens, None, MODEL, config, pathlib.Path({folder!r}), device="cpu", checkpoint_seconds=0.2)
"""


def test_kill_9_in_the_middle_of_training(cycle, tmp_path):
    code = KILLED.format(
        tests=os.path.dirname(__file__), folder=str(tmp_path), threads=torch.get_num_threads()
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("checkpoints/step-?????????")) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    found = checkpoint.latest_step(tmp_path / "checkpoints")
    assert found is not None
    assert 0 < found[1]["step"] < 4000
    step = found[1]["step"]
    config = dataclasses.replace(CONFIG, steps=4000)
    # The learning rate depends on the number of steps, so go the whole way only briefly: the
    # state at the checkpoint must be that of an undisturbed run at the same step.
    reached = {}

    def capture(folder, at, tensors, state):
        if at == step:
            reached.update({k: v.clone() for k, v in tensors.items()})
            raise Stopped

    original, checkpoint.save_step = checkpoint.save_step, capture
    try:
        with pytest.raises(Stopped):
            train(cycle, None, MODEL, config, tmp_path / "twin", checkpoint_seconds=0)
    finally:
        checkpoint.save_step = original
    for name, value in found[0].items():
        assert torch.equal(value, reached[name]), name


def test_a_finished_model_is_loaded_and_a_damaged_one_trained_again(cycle, tmp_path, monkeypatch):
    first = train(cycle, None, MODEL, CONFIG, tmp_path, device="cpu")

    def never(*_):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(training, "random_windows", never)
        assert_same(weights(first), weights(train(cycle, None, MODEL, CONFIG, tmp_path)))
    file = tmp_path / "model" / "state.json"
    file.write_text(
        file.read_text(encoding="utf-8").replace('"tokens_seen": ', '"tokens_seen": 1'),
        encoding="utf-8",
    )
    again = train(cycle, None, MODEL, CONFIG, tmp_path, device="cpu")
    assert again.tokens_seen == first.tokens_seen
    assert_same(weights(first), weights(again))


def test_artefacts_are_kept_by_everything_that_matters(cycle, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    cells, short = np.zeros((6, 1), int), dataclasses.replace(CONFIG, steps=3)

    def folders(data=cycle, model=MODEL, config=short):
        before = set(tmp_path.iterdir())
        train_seeds(data, cells, model, config, [0], name="x", device="cpu")
        return set(tmp_path.iterdir()) - before

    assert len(folders()) == 1
    assert not folders()
    changed = cycle.copy()
    changed[0, 0] = 5
    assert folders(data=changed)
    assert folders(model=dataclasses.replace(MODEL, width=18))
    assert folders(config=dataclasses.replace(short, learning_rate=2e-2))


def test_seeds_in_processes_are_the_seeds_in_turn(cycle, tmp_path, monkeypatch):
    cells, short, results = np.zeros((6, 1), int), dataclasses.replace(CONFIG, steps=5), []
    for workers in ("1", "2"):
        monkeypatch.setenv("DYNLIB_WORKERS", workers)
        monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path / workers))
        seeds = train_seeds(cycle, cells, MODEL, short, [3, 4], name="x", device="cpu")
        results.append([weights(each) for each in seeds])
    for one, two in zip(*results, strict=True):
        assert_same(one, two)
    assert not torch.equal(
        results[0][0]["gpt2.transformer.wte.weight"], results[0][1]["gpt2.transformer.wte.weight"]
    )


PROCESSES = """
import dataclasses, sys
import numpy as np
sys.path.insert(0, {tests!r})
from test_training import MODEL, CONFIG
from dynlib.tokens.training import train
tokens = (np.arange(200)[None] + np.arange(4)[:, None]) % 6
model = dataclasses.replace(MODEL, dropout=0.0)
result = train(tokens, None, model, CONFIG, validation=tokens, device="cpu")
np.save({target!r}, result.history)
"""


@pytest.mark.slow
def test_two_processes_train_as_one(cycle, tmp_path):
    code, target = tmp_path / "two.py", tmp_path / "history.npy"
    code.write_text(
        PROCESSES.format(tests=os.path.dirname(__file__), target=str(target)), encoding="utf-8"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, str(code)], env=environment, check=True, capture_output=True)
    one = train(
        cycle, None, dataclasses.replace(MODEL, dropout=0.0), CONFIG, validation=cycle, device="cpu"
    )
    two = np.load(target)
    # The sums are taken in another order; Muon's orthogonalisation amplifies the difference.
    np.testing.assert_allclose(two[0], one.history[0], rtol=1e-4)
    np.testing.assert_allclose(two, one.history, rtol=5e-3)


@pytest.mark.slow
def test_the_printed_setting_trains_for_real_on_a_cpu():
    tokens = np.random.default_rng(0).integers(0, 2500, (2, 1100))
    config = TrainingConfig(steps=2, batch_size=1, learning_rate=5e-5)
    result = train(tokens, None, GPTConfig(2500, dropout=0.1), config, device="cpu")
    assert result.history[0, 1] == pytest.approx(np.log(2500), rel=0.05)


def test_rows_of_unequal_length_are_trained_on(cycle):
    config = dataclasses.replace(CONFIG, steps=3)
    whole = train(cycle, None, MODEL, config, device="cpu")
    assert_same(weights(train(list(cycle), None, MODEL, config, device="cpu")), weights(whole))
    rows = [cycle[0], cycle[0, :20]]
    assert np.isfinite(train(rows, None, MODEL, config, device="cpu").history[:, 1]).all()
    with pytest.raises(ValueError, match="9 tokens or longer for a context of 8, got 5; take"):
        train([cycle[0], cycle[0, :5]], None, MODEL, config, device="cpu")


def test_windows_cover_the_trajectory():
    rows = windows(np.arange(40).reshape(2, 20), 5, 6, first=3)
    assert rows.shape == (6, 5)
    assert rows.min() == 3
    assert rows.max() == 39


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TrainingConfig(0, 1), "steps"),
        (lambda: TrainingConfig(1, 1, optimizer="sgd"), "'sgd'"),
        (lambda: TrainingConfig(1, 1, learning_rate=0.0), "learning_rate"),
        (lambda: TrainingConfig(1, 1, beta2=1.0), "beta2"),
        (lambda: TrainingConfig(1, 1, schedule="linear"), "'linear'"),
        (lambda: train(np.zeros((1, 8), int), None, MODEL, CONFIG), "context of 8"),
        (
            lambda: train(np.zeros((0, 20), int), None, MODEL, CONFIG),
            r"none of it 0, got \(0, 20\)",
        ),
        (lambda: train(np.full((1, 20), 6), None, MODEL, CONFIG), "from 0 to 5, got 6"),
        (lambda: resolve_device("gpu"), "'gpu'"),
        (lambda: windows(np.zeros((1, 5), int), 6, 1), "6 tokens"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def pretend_card(monkeypatch):
    """Take the routes of a GPU on the CPU, where training asks."""
    for module in (training, loss, recipes):
        monkeypatch.setattr(module, "on_gpu", lambda device: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**30))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)


@pytest.fixture
def card(monkeypatch):
    pretend_card(monkeypatch)


class Waits(TorchDispatchMode):
    """Counts what would wait for a GPU: numbers taken out of tensors, shapes that values decide."""

    WAITS = (
        torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default,
        torch.ops.aten.equal.default, torch.ops.aten.nonzero.default,
        torch.ops.aten.masked_select.default, torch.ops.aten._unique2.default,
    )  # fmt: skip

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in self.WAITS:
            self.found.append(func)
        return func(*args, **(kwargs or {}))


def trainee(data, config):
    """A training that takes the routes of a GPU, as train makes it."""
    torch.manual_seed(0)
    model = training.TokenGPT(MODEL)
    model.gpt2.set_attn_implementation(training.UNMASKED)
    return training._Training(training.Accelerator(cpu=True), model, data, None, config)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_on_a_gpu_waits_for_nothing(cycle, card, optimizer, precision):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, precision=precision)
    made = trainee(cycle, config)
    with Waits() as waits:
        losses = [made.step(number) for number in range(3)]
    assert waits.found == []
    assert made.optimizers[-1].param_groups[0]["fused"] is True
    assert losses[0].item() == pytest.approx(np.log(6), rel=0.1)
    made.model.gpt2.set_attn_implementation("sdpa")
    with Waits() as waits:
        made.step(3)
    assert waits.found  # transformers looks at the positions of the batch


def test_the_loop_waits_at_marks_alone(cycle, card):
    found = []
    for steps in (4, 9):
        with Waits() as waits:
            training.loop.train(trainee(cycle, CONFIG), steps, marks=[2, steps])
        found.append(len(waits.found))
    assert found[0] == found[1] > 0


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_routes_of_a_gpu_train_as_those_of_a_cpu(cycle, monkeypatch, optimizer):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, precision="fp32", steps=12)
    plain = train(cycle, None, MODEL, config, validation=cycle, device="cpu")
    pretend_card(monkeypatch)
    seen = []
    original = training.NextTokenLoss.forward
    monkeypatch.setattr(
        training.NextTokenLoss, "forward", lambda self, x: seen.append(x) or original(self, x)
    )
    found = train(cycle, None, MODEL, config, validation=cycle, device="cpu")
    for number, batch in enumerate(seen):
        expected = random_windows(cycle, 9, 8, [0, number])
        np.testing.assert_array_equal(batch.numpy(), expected)
    assert len(seen) == 12
    np.testing.assert_allclose(found.history, plain.history, rtol=1e-4)
    assert found.model.gpt2.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("stop", [1, 17])
def test_a_stopped_run_on_a_gpu_ends_in_the_same_weights(cycle, tmp_path, stopping, card, stop):
    test_a_run_stopped_at_any_step_ends_in_the_same_weights(cycle, tmp_path, stopping, stop)


def test_the_next_batch_is_drawn_while_a_step_runs():
    drawn, begun = [], threading.Event()

    def draw(number):
        drawn.append(number)
        if number == 8:
            begun.set()
        return np.full((2, 3), number)

    ahead = training._Ahead(draw, torch.device("cpu"))
    assert ahead.take(7).tolist() == [[7, 7, 7]] * 2
    assert begun.wait(30)  # nobody has asked for it yet
    assert ahead.take(8)[0, 0] == 8
    assert ahead.take(3)[0, 0] == 3  # in any order: a resumed training begins anywhere
    assert drawn.count(8) == drawn.count(3) == 1


def test_what_fails_ahead_is_raised_by_its_step():
    def draw(number):
        if number:
            raise MemoryError("no room for a batch")
        return np.zeros((1, 2), dtype=np.int64)

    ahead = training._Ahead(draw, torch.device("cpu"))
    ahead.take(0)
    with pytest.raises(MemoryError, match="no room"):
        ahead.take(1)


def test_attention_without_a_mask_function_is_the_same_to_the_last_bit():
    torch.manual_seed(0)
    model = training.TokenGPT(dataclasses.replace(MODEL, dropout=0.0))
    tokens = torch.randint(0, 6, (4, 8))
    masked = model(tokens)
    model.gpt2.set_attn_implementation(training.UNMASKED)
    assert torch.equal(model(tokens), masked)


def test_cuda_is_refused_where_there_is_none():
    if torch.cuda.is_available():
        assert resolve_device("auto") == "cuda"
    else:
        with pytest.raises(ValueError, match="CUDA"):
            resolve_device("cuda")
