"""The stages of a training: what is recorded of each, which one is kept, and how it is shown."""

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynlib.dynamics.systems.henon import Henon
from dynlib.measure.distribution import Reference
from dynlib.report import record
from dynlib.report import stages as study
from dynlib.report.figures import learning
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.gpt import GPTConfig, TokenGPT

STEPS, BATCHES, ROLLOUTS, PROMPT = 150, 2, 4, 10


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    record.clear()
    record.metric("train_tokens", 2000)
    yield
    record.clear()
    assert plt.get_fignums() == []


@dataclasses.dataclass
class Stage:
    """A stage, and the share of its model's tokens that are true ones."""

    tokens_seen: int
    in_training: float
    validation_loss: float | None
    right: float


@pytest.fixture
def asked(henon_grid, henon_tokens, monkeypatch):
    """What :func:`study.learning` needs; the models write true orbits, but for some tokens."""
    learned, test = henon_tokens[:6], henon_tokens[6:]
    true = test[:, 200 : 200 + 8 * STEPS].reshape(-1, STEPS)

    def written(model, prompts, n_steps, *, temperature, seed=0):
        rng = np.random.default_rng(seed)
        tokens = true[rng.integers(0, len(true), len(prompts))][:, :n_steps].copy()
        wrong = rng.random(tokens.shape) > model.right
        tokens[wrong] = 0 if temperature == 0 else rng.integers(0, henon_grid.vocabulary)
        return tokens

    monkeypatch.setattr(study, "generate", written)
    monkeypatch.setattr(study, "at_stage", lambda trained, stage: stage)
    monkeypatch.setattr(study, "cross_entropy", lambda model, learned: model.in_training)
    fresh = np.stack([true[i : i + ROLLOUTS] for i in range(0, 4 * ROLLOUTS, ROLLOUTS)])
    sizes = {"prompt": PROMPT, "rollouts": ROLLOUTS, "batches": BATCHES, "seed": 3}
    return (test, Reference(fresh, henon_grid.centres), learned), sizes


def trained(*stages):
    return SimpleNamespace(stages=tuple(Stage(*each) for each in stages), ended="patience")


THREE = ((1000, 2.0, 2.1, 0.2), (2000, 1.0, 1.2, 1.0), (4000, 0.3, 1.4, 0.6))


def none(model, written):
    return {}


def test_a_training_without_stages_records_and_shows_nothing(asked):
    given, sizes = asked
    assert study.study("lorenz", trained(), *given, **sizes, more=none) is None
    assert set(record.metrics()) == {"train_tokens"}
    assert learning.table({}) is None
    assert learning.curve({}) is None


def test_every_stage_is_measured_and_that_of_least_held_out_loss_is_kept(asked):
    given, sizes = asked
    study.learning(trained(*THREE), *given, **sizes, more=none, copies=32)
    found = record.metrics()
    assert found["stages"]["value"] == 3
    assert found["kept_stage"]["value"] == 2
    assert [found[f"stage_{k}_tokens"]["value"] for k in (1, 2, 3)] == [1000, 2000, 4000]
    assert [found[f"stage_{k}_cross_entropy_held_out"]["value"] for k in (1, 2, 3)] == [
        2.1,
        1.2,
        1.4,
    ]
    for measure in study.UNITS:
        assert found[f"kept_{measure}"] == found[f"stage_2_{measure}"]
        middle = [found[f"stage_{k}_{measure}"]["value"] for k in (1, 2, 3)]
        assert found[f"stages_least_{measure}"]["value"] == min(middle)
        assert found[f"stages_most_{measure}"]["value"] == max(middle)
    assert found["kept_w1_ratio"]["n"] == BATCHES
    # what is written by chance is far from the truth, true orbits are near it and leave no cell
    assert found["stage_1_w1_ratio"]["value"] > 2 * found["stage_2_w1_ratio"]["value"]
    assert found["kept_unseen_cells"]["value"] < 0.02
    greedy, sampled = (found[f"stage_3_{name}w1_ratio"]["samples"] for name in ("greedy_", ""))
    over = found["stage_3_greedy_over_sampled"]["samples"]
    assert over == pytest.approx([a / b for a, b in zip(greedy, sampled, strict=True)])
    # the rollouts at stage 2 are pieces of the true orbits: copied as seldom as those
    assert found["stage_2_copied"]["value"] == pytest.approx(found["true_copied"]["value"], abs=0.1)


def test_the_ratios_are_those_of_the_reference(asked):
    (test, reference, learned), sizes = asked
    sizes |= {"rollouts": 2}
    study.learning(trained(*THREE[:1]), test, reference, learned, **sizes, more=none)
    prompts = np.zeros((BATCHES * 2, PROMPT), int)
    model = study.at_stage(None, Stage(*THREE[0]))
    written = study.generate(model, prompts, STEPS, temperature=1.0, seed=sizes["seed"])
    fewer = Reference(reference.batches[:, :2], reference.centres)
    expected = [fewer.ratio(part, batch=p) for p, part in enumerate(np.split(written, BATCHES))]
    assert record.metrics()["stage_1_w1_ratio"]["samples"] == pytest.approx(expected)


def test_the_last_stage_is_kept_where_nothing_is_held_out(asked):
    given, sizes = asked
    stages = [(tokens, loss, None, right) for tokens, loss, _, right in THREE]
    study.learning(trained(*stages), *given, **sizes, more=none)
    found = record.metrics()
    assert found["kept_stage"]["value"] == 3
    assert found["stages_least_cross_entropy_held_out"]["value"] is None
    assert learning.table(found).rows[0][3] == "none"


def test_a_map_adds_the_exponent_and_a_flow_the_divergence_time(asked, henon_grid):
    given, sizes = asked
    more = study.exponents(Henon(), henon_grid, 15)
    study.learning(trained(THREE[1]), *given, **sizes, more=more)
    exponent = record.metrics()["kept_greedy_lyapunov"]
    assert exponent["n"] == BATCHES
    model, prompts = study.at_stage(None, Stage(*THREE[1])), np.zeros((8, PROMPT), int)
    written = study.generate(model, prompts, STEPS, temperature=0.0, seed=sizes["seed"])
    states = henon_grid.decode(written[:ROLLOUTS])
    found = [  # norms of products of one to fifteen Jacobians, from every start where these fit
        [np.linalg.norm(np.linalg.multi_dot([np.eye(2), *row[i : i + n][::-1]]), 2)
         for row in Henon().jacobian(states) for i in range(STEPS - n + 1)]
        for n in range(1, 16)
    ]  # fmt: skip
    n = np.arange(1, 16)
    growth = [np.log(each).mean() / k for k, each in zip(n, found, strict=True)]
    fitted = np.linalg.lstsq(np.stack([n**0, 1 / n, 1 / n**2], axis=1), growth)[0]
    assert exponent["samples"][0] == pytest.approx(fitted[0], rel=1e-6)

    record.clear()
    orbits = [np.zeros((2, 12), int)] * 10

    def agreeing(model, prompts, n_steps, *, temperature):
        assert temperature == 0
        return np.array([np.r_[np.zeros(k, int), np.ones(n_steps - k, int)] for k in range(10)])

    pieces = Excerpts(np.zeros((10, 4, 3)), np.zeros((10, 4), int), np.arange(10) % 5, 5)
    more = study.times(np.zeros((10, 4), int), orbits, excerpts=pieces, tau=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "generate", agreeing)
        added = more(None, {})
    assert added["divergence_time"] == [0.5 * (g + 2.5) for g in range(5)]
    assert added["divergence_time_mean"] == 0.5 * 4.5
    assert set(added) | {"greedy_lyapunov", "copied"} == set(study.ADDED)


def test_the_stage_nearest_to_a_printed_value_is_recorded(asked):
    """Here 0.4161 lies between the stages, and no stage is near."""
    given, sizes = asked
    stages = [(1000, 2.0, 2.1, 0.3), (2000, 1.0, 1.2, 0.5), (4000, 0.3, 1.4, 1.0)]

    def more(model, written):
        return {"greedy_lyapunov": [model.right, model.right + 0.02]}

    table = study.study("henon", trained(*stages), *given, **sizes, more=more)
    assert len(table.rows) == 3
    found = record.metrics()
    least, nearest, most = (
        found[f"stages_{each}_greedy_lyapunov"]["value"] for each in ("least", "nearest", "most")
    )
    assert (least, most) == pytest.approx((0.31, 1.01))
    assert nearest == pytest.approx(0.51 - 0.4161)
    assert found["stages_nearest_greedy_lyapunov"]["unit"] == "nats/iteration"

    record.clear()
    record.metric("train_tokens", 2000)

    def later(model, written):
        return {"divergence_time_mean": 10 * model.right}

    study.study("rossler", trained(*stages), *given, **sizes, more=later)
    assert record.metrics()["stages_nearest_divergence_time_mean"]["value"] == pytest.approx(0.41)


def test_the_curve_shows_every_stage_and_says_so_in_words(asked):
    given, sizes = asked
    record.metric("lyapunov_reference", 0.419)
    study.learning(trained(*THREE), *given, **sizes, more=none, copies=32)
    found = record.metrics()
    rows = learning.table(found).rows
    assert [row[:4] for row in rows] == [
        ["0.5", "1\u202f000", "2.000", "2.100"], ["1 (kept)", "2\u202f000", "1.000", "1.200"],
        ["2", "4\u202f000", "0.300", "1.400"],
    ]  # fmt: skip
    assert learning.table(found).header[-1] == "copied"
    shown = learning.curve(found)
    above, below = shown.figure.axes
    drawn = [np.column_stack(line.get_data()).tolist() for line in above.lines]
    assert [[1000, 2.0], [2000, 1.0], [4000, 0.3]] in drawn
    assert [[1000, 2.1], [2000, 1.2], [4000, 1.4]] in drawn
    assert [text.get_text() for text in above.texts] == [
        "entropy rate of the system", "training", "held out",
    ]  # fmt: skip
    assert [text.get_text() for text in below.texts] == ["T = 1", "greedy"]
    assert "3 stages" in shown.alt
    assert "the training curve ends at 0.300 nats, the entropy rate is 0.419" in shown.alt
    assert shown.name == "learning"
    record.metric("entropy_rate", 0.05)  # of a flow: per token, not per unit of time
    assert "the entropy rate is 0.050" in learning.curve(record.metrics()).alt


def test_the_model_of_a_stage_is_the_one_that_writes(henon_grid, henon_tokens, monkeypatch):
    model = TokenGPT(
        GPTConfig(vocabulary=henon_grid.vocabulary, layers=1, heads=1, width=8, context=8)
    )
    monkeypatch.setattr(study, "at_stage", lambda trained, stage: model.eval())
    fresh = henon_tokens[:, :600].reshape(-1, STEPS)[: 4 * ROLLOUTS]
    truth = Reference(fresh.reshape(4, ROLLOUTS, STEPS), henon_grid.centres)
    study.learning(
        trained(THREE[0]), henon_tokens, truth, henon_tokens, prompt=PROMPT, rollouts=ROLLOUTS,
        batches=BATCHES, seed=0, more=none,
    )  # fmt: skip
    assert record.metrics()["kept_w1_ratio"]["value"] > 1
    entropy = record.metrics()["kept_cross_entropy_train"]["value"]
    assert entropy == pytest.approx(np.log(henon_grid.vocabulary), rel=0.05)  # it was not trained
