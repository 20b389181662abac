"""Generators, memory and the records of a token run against direct computation."""

import itertools
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dynlib.measure.distribution import Reference
from dynlib.measure.transport import token_distance
from dynlib.report import record
from dynlib.report import tokens as report
from dynlib.tokens.generation import Generators, continued
from dynlib.tokens.gpt import (
    GPTConfig,
    TokenGPT,
    generate,
    log_probabilities,
    next_probabilities,
)
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order, chain_scores, context_curves
from dynlib.tokens.parroting import parrot, recall
from dynlib.tokens.recipes import Trained
from dynlib.tokens.windows import windows

CONTEXT = 8
SEEDS = [7, 3]


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)
    record.clear()
    yield
    record.clear()


def untrained(vocabulary, seed, context=CONTEXT):
    torch.manual_seed(seed)
    model = TokenGPT(GPTConfig(vocabulary, layers=1, heads=2, width=16, context=context))
    for weight in model.parameters():  # far from the uniform start, so that argmax is stable
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@pytest.fixture(scope="module")
def models(henon_grid):
    return [untrained(henon_grid.vocabulary, seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def counts(henon_tokens, henon_grid):
    return NGram(henon_tokens[:8], 4, henon_grid.vocabulary)


@pytest.fixture(scope="module")
def generators(models, counts, henon_tokens, henon_grid):
    chains = {"markov": counts.shorter(1), "ngram4": counts}
    return Generators(models, chains, henon_tokens[:8], henon_grid.centres, SEEDS)


@pytest.fixture
def prompts(henon_tokens):
    return henon_tokens[8:, 200:220]


def test_networks_are_each_model_with_its_own_seed(generators, models, prompts):
    """All temperatures are drawn in one batch: that of generate with a temperature a prompt."""
    done = generators.networks(prompts, 30, (1.0, 0.0, 0.5))
    warmth, repeated = np.repeat([1.0, 0.0, 0.5], 4), np.concatenate([prompts] * 3)
    assert [len(each) for each in done] == [2, 2, 2]
    for i, (model, seed) in enumerate(zip(models, SEEDS, strict=True)):
        expected = generate(model, repeated, 30, temperature=warmth, seed=seed)
        np.testing.assert_array_equal(np.concatenate([each[i] for each in done]), expected)
    assert (done[0][0] != done[0][1]).any()


def test_greedy_is_temperature_zero(generators, models, prompts):
    alone, [drawn, greedy] = (generators.networks(prompts, 25, t) for t in ([1.0], [1.0, 0.0]))
    for model, tokens in zip(models, greedy, strict=True):
        np.testing.assert_array_equal(tokens, generate(model, prompts, 25, temperature=0))
    np.testing.assert_array_equal(drawn, alone[0])  # and takes nothing from the draws beside it


def test_every_method_continues_the_same_batches(
    generators, models, counts, henon_tokens, henon_grid
):
    prompts = np.concatenate([henon_tokens[8:11, t : t + 20] for t in (200, 300)])
    heat = {"model": 1.0, "half": 0.5, "greedy": 0.0}
    done = generators.in_batches(prompts, 15, 3, heat, in_turn=["half"])
    assert list(done) == ["model", "half", "greedy", "markov", "ngram4", "parrot", "recall"]
    assert [len(each) for each in done.values()] == [2, 1, 2, 1, 1, 1, 1]
    assert {each.shape[1:] for each in done.values()} == {(3, 2, 15)}
    flat = {method: each.reshape(-1, 6, 15) for method, each in done.items()}
    for seed, model, drawn, greedy in zip(
        SEEDS, models, flat["model"], flat["greedy"], strict=True
    ):
        np.testing.assert_array_equal(drawn, continued(model, prompts, 15, 1.0, seed))
        np.testing.assert_array_equal(greedy, generate(model, prompts, 15, temperature=0.0))
    for p in range(3):
        model, seed = models[p % 2], SEEDS[p % 2]
        expected = continued(model, prompts[2 * p : 2 * p + 2], 15, 0.5, seed)
        np.testing.assert_array_equal(done["half"][0, p], expected)
    for number, (method, order) in enumerate((("markov", 1), ("ngram4", 4))):
        expected = counts.shorter(order).generate(prompts, 15, seed=SEEDS[0] + number)
        np.testing.assert_array_equal(flat[method][0], expected)
    np.testing.assert_array_equal(flat["recall"][0], recall(henon_tokens[:8], prompts, 15))
    np.testing.assert_array_equal(flat["parrot"][0], parrot(prompts, 15, henon_grid.centres))


def test_draws_of_a_continuation_have_the_probabilities_of_the_model(models, henon_tokens):
    prompt = henon_tokens[8:9, :20]
    drawn = continued(models[0], np.repeat(prompt, 4000, axis=0), 1, 1.0, 0)[:, 0]
    share = np.bincount(drawn, minlength=models[0].config.vocabulary) / 4000
    probability = next_probabilities(models[0], prompt)[0]
    assert np.abs(share - probability).max() < 5 * np.sqrt(0.25 / 4000)


def test_only_at_a_named_temperature_models_take_turns(generators, prompts):
    with pytest.raises(ValueError, match="in_turn must hold names of temperatures"):
        generators.in_batches(prompts, 5, 2, {"model": 1.0}, in_turn=["greedy"])


def test_prompts_that_do_not_split_evenly_are_refused(generators, prompts):
    with pytest.raises(ValueError, match="a multiple of the 3 batches, got 4"):
        generators.in_batches(prompts, 5, 3, {"model": 1.0})


def test_counting_and_copying_are_those_of_the_chains_and_copyists(
    generators, counts, prompts, henon_tokens, henon_grid
):
    drawn, likeliest = generators.counting(prompts, 20), generators.counting(prompts, 20, 0.0)
    for name, order in (("markov", 1), ("ngram4", 4)):
        chain = NGram(henon_tokens[:8], order, henon_grid.vocabulary)
        many = np.tile(prompts, (len(SEEDS), 1))
        at_once = chain.generate(many, 20, seed=SEEDS[0])
        np.testing.assert_array_equal(np.concatenate(drawn[name]), at_once)
        assert (drawn[name][0] != drawn[name][1]).any()
        assert len(likeliest[name]) == 1
        np.testing.assert_array_equal(
            likeliest[name][0], chain.generate(prompts, 20, temperature=0)
        )
    copied = generators.copying(prompts, 20)
    np.testing.assert_array_equal(copied["parrot"][0], parrot(prompts, 20, henon_grid.centres))
    np.testing.assert_array_equal(copied["recall"][0], recall(henon_tokens[:8], prompts, 20))


@pytest.mark.slow
def test_processes_change_nothing(models, generators, prompts):
    two = Generators(models, {}, generators.training, generators.centres, SEEDS, workers=2)
    np.testing.assert_array_equal(
        two.networks(prompts, 12, (1.0, 0.0)), generators.networks(prompts, 12, (1.0, 0.0))
    )


def test_every_model_needs_its_seed(models, generators):
    for seeds in ([0], [0, 1, 2]):
        with pytest.raises(ValueError, match=f"seeds must be 2, one a model, got {len(seeds)}"):
            Generators(models, {}, generators.training, generators.centres, seeds)


def test_a_classifier_tells_rest_from_motion_but_not_truth_from_truth(henon_tokens, henon_grid):
    true = np.concatenate([henon_tokens[:, t : t + 240] for t in (0, 300)]).reshape(4, 6, 240)
    noise = np.zeros_like(true)  # a method that stays in one cell
    samples = {
        "model": np.stack([noise[:2]] * 2),
        "markov": true[None, 2:],
        "best_ngram": noise[None, 2:],
    }
    table = report.told_apart(samples, Reference(true, henon_grid.centres))
    found = record.metrics()
    assert found["classifier_accuracy"]["value"] > 0.8
    assert found["best_ngram_classifier_accuracy"]["value"] > 0.8
    assert 0.3 < found["markov_classifier_accuracy"]["value"] < 0.7
    assert found["true_classifier_accuracy"]["n"] == 2
    assert len(table.rows) == 4


def test_the_exponent_from_more_states_is_that_of_a_map_with_equal_jacobians(henon_grid):
    class Doubling:
        def jacobian(self, states):
            return np.broadcast_to(2 * np.eye(2), (*states.shape[:2], 2, 2))

    asked = []

    def fresh(n, length):
        asked.append((n, length))
        return np.zeros((n, length), int)

    record.metric("tokens_lyapunov", 0.7)
    table = report.exponent_by_size(fresh, henon_grid, Doubling(), n=2, length=200, products=8)
    assert set(asked) == {(2, 20), (20, 200)}
    for name in ("tenth", "tenfold"):
        assert record.metrics()[f"tokens_lyapunov_{name}"]["value"] == pytest.approx(np.log(2))
    assert [row[0] for row in table.rows] == ["40", "400", "4\u202f000"]


def naive_scores(data, vocabulary, order, sentences, targets):
    """Loss and accuracy of a chain built for this order, token by token, from all its table."""
    chain = NGram(data, order, vocabulary)
    losses, correct = [], []
    for row in sentences:
        for t in range(len(row) - targets, len(row)):
            p = chain.probabilities(row[None, t - order : t])[0]
            losses.append(-np.log(p[row[t]]))
            correct.append(np.round(p, 12).argmax() == row[t])  # ties: the smallest token
    return np.mean(losses), np.mean(correct)


def test_chain_scores_are_those_of_every_target(counts, henon_tokens, henon_grid):
    sentences = henon_tokens[9:, 300:330]
    found = chain_scores(counts, [1, 3, 4], sentences, targets=11)
    assert list(found) == [1, 3, 4]
    for order, scores in found.items():
        expected = naive_scores(henon_tokens[:8], henon_grid.vocabulary, order, sentences, 11)
        np.testing.assert_allclose(scores, expected, rtol=1e-10)


def noisy_sums(rng, rows, length, order):
    """Each token is the sum of the `order` before it, modulo 5, or chance one time in four."""
    tokens = rng.integers(0, 5, (rows, length))
    for t in range(order, length):
        kept = rng.random(rows) > 0.25
        tokens[kept, t] = tokens[kept, t - order : t].sum(axis=1) % 5
    return tokens


@pytest.mark.parametrize("cut", [np.s_[:, -14:], np.s_[0]])
def test_sentences_too_short_for_all_targets_are_refused(counts, henon_tokens, cut):
    """They were scored on fewer targets with every order, and so not on the same ones."""
    with pytest.raises(ValueError, match=r"(of 15 tokens or more, |shape \(B, T\), )got .*; "):
        chain_scores(counts, [1, 4], henon_tokens[:, -15:][cut], targets=11)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_best_order_is_the_memory_of_the_process(order):
    rng = np.random.default_rng(order)
    chain = NGram(noisy_sums(rng, 4, 300, order), 5, 5)
    assert best_order(chain, noisy_sums(rng, 6, 200, order), 20, 60) == order


def test_best_order_looks_at_the_windows_it_is_given(henon_tokens, henon_grid):
    chain = NGram(henon_tokens[:8], 4, henon_grid.vocabulary)
    held_out = henon_tokens[9:, :400]
    sentences = windows(held_out, 4 + 10, 30, first=50)
    losses = [
        naive_scores(henon_tokens[:8], henon_grid.vocabulary, k, sentences, 10)[0]
        for k in (1, 2, 3, 4)
    ]
    assert best_order(chain, held_out, 10, 30, first=50) == 1 + np.argmin(losses)


@torch.no_grad()
def direct_loss(model, contexts, targets):
    """Cross-entropy of the token after each context, in one pass of the network."""
    logits = model(torch.as_tensor(contexts))[:, -1]
    return float(F.cross_entropy(logits.double(), torch.as_tensor(targets)))


def test_context_curves_are_direct_losses_on_the_same_targets(
    models, counts, henon_tokens, henon_grid
):
    test, n = henon_tokens[8:], 20
    lengths, networks, by_counting = context_curves(models, counts, test, n, first=100)
    assert lengths == [1, 2, 3, 4, 6, 8]
    assert networks.shape == (2, 6)
    assert by_counting.shape == (4,)
    sentences = windows(test, CONTEXT + CONTEXT // 2, n, first=100)
    columns = [8, 9, 10, 11]  # all that have a whole context before them
    for model, curve in zip(models, networks, strict=True):
        for length, loss in zip(lengths, curve, strict=True):
            expected = [
                direct_loss(model, sentences[:, c - length : c], sentences[:, c]) for c in columns
            ]
            assert loss == pytest.approx(np.mean(expected), rel=1e-5)
    for k, loss in enumerate(by_counting, start=1):
        chain = NGram(henon_tokens[:8], k, henon_grid.vocabulary)
        expected = [
            -np.log(
                chain.probabilities(sentences[:, c - k : c])[range(len(sentences)), sentences[:, c]]
            )
            for c in columns
        ]
        assert loss == pytest.approx(np.mean(expected), rel=1e-10)


@pytest.mark.parametrize(("context", "expected"), [(2, [1, 2]), (5, [1, 2, 3, 4])])
def test_context_curves_of_short_contexts(counts, henon_tokens, henon_grid, context, expected):
    model = untrained(henon_grid.vocabulary, 0, context)
    lengths, networks, by_counting = context_curves([model], counts, henon_tokens, 12)
    assert lengths == expected
    assert networks.shape == (1, len(expected))
    assert by_counting.shape == (min(4, context),)
    assert np.isfinite(networks).all()


@pytest.mark.parametrize("context", [8, 5])
def test_prediction_records_direct_losses(counts, henon_tokens, henon_grid, context):
    models = [untrained(henon_grid.vocabulary, seed, context) for seed in SEEDS]
    test, n, half = henon_tokens[8:], 24, context - context // 2
    report.prediction(models, counts, 2, test, n, 100)
    found = record.metrics()
    names = {"cross_entropy", "top1_accuracy", "best_ngram_order", "cross_entropy_minus_best_ngram"}
    for name in ("markov", "best_ngram", "ngram1", "ngram2", "ngram3", "ngram4"):
        names |= {f"{name}_cross_entropy", f"{name}_top1_accuracy"}
    assert set(found) == names
    sentences = windows(test, max(context, 4 + half) + 1, n, first=100)
    columns = range(sentences.shape[1] - half, sentences.shape[1])
    start = sentences.shape[1] - 1 - context  # the network sees nothing older
    for i, model in enumerate(models):
        losses = [direct_loss(model, sentences[:, start:c], sentences[:, c]) for c in columns]
        assert found["cross_entropy"]["samples"][i] == pytest.approx(np.mean(losses), rel=1e-5)
        with torch.no_grad():
            hits = [
                model(torch.as_tensor(sentences[:, start:c]))[:, -1].argmax(-1).numpy()
                == sentences[:, c]
                for c in columns
            ]
        assert found["top1_accuracy"]["samples"][i] == pytest.approx(np.mean(hits))
    assert found["cross_entropy"]["over"] == "seeds"
    assert found["best_ngram_order"]["value"] == 2
    for name, order in (("markov", 1), ("best_ngram", 2), ("ngram1", 1), ("ngram4", 4)):
        loss, accuracy = naive_scores(
            henon_tokens[:8], henon_grid.vocabulary, order, sentences, half
        )
        assert found[f"{name}_cross_entropy"]["value"] == pytest.approx(loss, rel=1e-10)
        assert found[f"{name}_top1_accuracy"]["value"] == pytest.approx(accuracy)
    gaps = []
    for j in range(len(test)):
        own = sentences[j :: len(test)]
        by_seed = [
            np.mean([direct_loss(model, own[:, start:c], own[:, c]) for c in columns])
            for model in models
        ]
        counted, _ = naive_scores(henon_tokens[:8], henon_grid.vocabulary, 2, own, half)
        gaps.append(np.mean(by_seed) - counted)
    entry = found["cross_entropy_minus_best_ngram"]
    assert entry["over"] == "trajectories"
    assert entry["value"] == pytest.approx(np.median(gaps), rel=1e-5)


def test_memory_records_predictions_and_curves(counts, henon_tokens, henon_grid):
    models = [untrained(henon_grid.vocabulary, seed) for seed in SEEDS]
    test = henon_tokens[8:]
    lengths, networks, ngrams = report.memory(models, counts, 2, test, n=24, first=100)
    expected = context_curves(models, counts, test, 6, first=100)
    assert lengths == expected[0]
    np.testing.assert_array_equal(networks, expected[1])
    np.testing.assert_array_equal(ngrams, expected[2])
    found = record.metrics()
    assert found["best_ngram_order"]["value"] == 2
    for length, column in zip(lengths, networks.T, strict=True):
        entry = found[f"context{length}_cross_entropy"]
        assert (entry["samples"], entry["over"]) == (column.tolist(), "seeds")


SMALL_GRID = Grid(np.zeros(2), np.array([4.0, 8.0]), 4, np.arange(16))


READINGS = ("w1", "w2sq", "w1_cells", "w2sq_cells")


def references(batches):
    return tuple(Reference(batches, SMALL_GRID.centres, c) for c in ("euclidean", "squared"))


def test_sampling_of_identical_samples_is_zero():
    tokens = np.random.default_rng(0).integers(0, 16, (50, 20))
    table = report.sampling(
        lambda n, length: tokens[:n, :length], SMALL_GRID, [(50, 20), (10, 5)], 3, [(10, 5)],
        references(np.stack([tokens[:6, :7]] * 4)),
    )  # fmt: skip
    found = record.metrics()
    names = {f"sampling_{design}_{r}" for design in ("10x5", "6x7") for r in READINGS}
    assert set(found) == {"sampling_50x20_w1", *names}
    for name, entry in found.items():
        assert entry["n"] == (2 if "6x7" in name else 3)
        np.testing.assert_allclose(entry["samples"], 0, atol=1e-12)
    assert [len(row) for row in table.rows] == [5, 5, 5]
    assert table.rows[0][2:] == ["", "", ""]
    assert all(table.rows[1])
    assert all(table.rows[2])


def test_sampling_measures_in_every_reading():
    """All of one side in cell (0, 0), all of the other in (3, 2): centres (3, 4) apart."""
    sides = itertools.cycle([0, 3 * 4 + 2])
    asked = []

    def fresh(n, length):
        asked.append((n, length))
        return np.full((n, length), next(sides))

    known = references(np.stack([np.full((2, 3), next(sides)) for _ in range(6)]))
    report.sampling(fresh, SMALL_GRID, [(7, 9)], 2, [(7, 9)], known)
    assert asked == [(7, 9)] * 4  # every pair is of new samples
    # A cell is 1 wide and 2 high.
    expected = dict(zip(READINGS, (5, 25, np.sqrt(13), 13), strict=True))
    found = record.metrics()
    assert set(found) == {f"sampling_{d}_{r}" for d in ("7x9", "2x3") for r in READINGS}
    for reading, value in expected.items():
        np.testing.assert_allclose(found[f"sampling_7x9_{reading}"]["samples"], [value, value])
        np.testing.assert_allclose(found[f"sampling_2x3_{reading}"]["value"], value)


class Stopped(Exception):
    pass


def stop(*_, **__):
    raise Stopped


def test_long_distances_are_announced_before_they_are_computed(monkeypatch, capsys):
    """A thousand cells per axis: most states have a cell of their own."""
    monkeypatch.setattr(report, "rollout_measures", stop)
    grid = Grid(np.zeros(2), np.ones(2), 100, np.arange(10_000))
    tokens = np.arange(10_000).reshape(20, 500)
    near = np.where(tokens % 500 == 0, (tokens + 1) % 10_000, tokens)
    batches = np.stack([tokens, near, tokens, near])
    known = tuple(Reference(batches, grid.centres[:, :1] * 0 + c, "euclidean") for c in (0, 1))
    for pair in known:
        pair.__dict__["true_true"] = np.ones(2)
    with pytest.raises(Stopped):
        report.rollouts({"model": batches[None, :2]}, *known, batches[:2], tokens)
    said = capsys.readouterr().out
    # 10 000 cells or one in 500 fewer: 1e-7 s x 1e8 x 2 samples x (2 + 3) distances.
    assert said == "distances of rollouts: about 2 min on one core\n"
    with pytest.raises(Stopped):
        report.sampling(stop, grid, [(10, 1000), (1, 10**6)], 5, [(10, 1000)], known)
    # Five pairs of 1e8 pairs of cells: in one reading for the long, in four for the short.
    said = capsys.readouterr().out
    assert said == "distances between true samples: about 8 min on one core\n"


def test_batches_are_compared_each_with_its_own_pair_by_every_seed(henon_tokens, henon_grid):
    batches = henon_tokens[:8, :600].reshape(4, 2, 600)
    euclidean = Reference(batches, henon_grid.centres)
    samples = np.stack([henon_tokens[:3, 900:1100], henon_tokens[4:7, 900:1100]])
    matched = np.stack([henon_tokens[:3, 300:500], henon_tokens[4:7, 300:500]])
    networks = np.stack([samples, samples[::-1]])  # two seeds
    report.rollouts(
        {"model": networks, "recall": samples[None]}, euclidean, euclidean, matched,
        henon_tokens, [],
    )  # fmt: skip
    found, scale = record.metrics(), np.median(euclidean.true_true)
    for measure, others in (("w1_ratio", batches[::2]), ("w1_ratio_matched", matched)):
        for p in (0, 1):
            own, other = (
                token_distance(sample, others[p], henon_grid.centres) / scale
                for sample in (samples[p], samples[1 - p])
            )
            assert found[f"recall_{measure}"]["samples"][p] == pytest.approx(own)
            assert found[measure]["samples"][p] == pytest.approx((own + other) / 2)
    assert found["w1_ratio"]["over"] == "batches"
    assert len(found["w1_ratio"]["by_seed"]) == 2
    assert found["w1_states"]["value"] == 600
    assert found["prompt_batches"]["value"] == 2


def test_rollouts_record_every_measure_of_every_method(henon_tokens, henon_grid):
    batches = henon_tokens[:8, :600].reshape(4, 2, 600)
    euclidean, squared = (
        Reference(batches, henon_grid.centres, c) for c in ("euclidean", "squared")
    )
    rng = np.random.default_rng(0)
    noise = rng.integers(0, henon_grid.vocabulary, (2, 3, 200))
    cycle = np.tile(henon_tokens[:3, :5], (2, 1, 40))
    samples = {"model": noise[None], "parrot": cycle[None]}
    learned, matched = henon_tokens[8:], np.stack([henon_tokens[:3, 700:900]] * 2)
    table = report.rollouts(samples, euclidean, squared, matched, learned, with_squared=["model"])
    found = record.metrics()
    common = {"w1_model_true", "w1_ratio", "w1_ratio_matched"}
    common |= {"unseen_transitions", "unseen_cells", "periodic_fraction"}
    names = common | {"w2sq_model_true", "w2sq_ratio"} | {f"parrot_{name}" for name in common}
    names |= {"w1_true_true", "w2sq_true_true", "w1_states", "true_unseen_transitions"}
    assert set(found) == names | {"prompt_batches"}
    for name, reference in (("w1", euclidean), ("w2sq", squared)):
        expected = [reference.ratio(each, batch=p) for p, each in enumerate(noise)]
        assert found[f"{name}_ratio"]["samples"] == pytest.approx(expected)
    assert found["w1_states"]["value"] == 600
    assert found["w1_true_true"]["samples"] == pytest.approx(euclidean.true_true)
    assert found["periodic_fraction"]["samples"] == [0, 0]
    assert found["parrot_periodic_fraction"]["value"] == 1
    seen = set(itertools.chain(*(itertools.pairwise(row) for row in learned.tolist())))
    for batch, share in zip(batches, found["true_unseen_transitions"]["samples"], strict=True):
        steps = [pair for row in batch.tolist() for pair in itertools.pairwise(row)]
        assert share == pytest.approx(np.mean([pair not in seen for pair in steps]))
    assert len(table.rows) == 3
    assert table.rows[1][4] == ""  # no squared cost for the parrot
    rows = report.cycles(samples).rows
    assert rows[0][2] == "none"
    assert rows[1][2] == "5 (6)"


def test_training_records_speed_and_losses():
    history = np.array([[5.0, 3.0, 2.5], [10.0, 2.0, 1.5]])
    model = untrained(11, 0)
    trained = [Trained(model, 1000, 4.0, history, 1.5), Trained(model, 1000, 2.0, history, 1.25)]
    table = report.training(trained, SEEDS)
    found = record.metrics()
    assert found["parameters"]["value"] == sum(w.numel() for w in model.parameters())
    assert found["context"]["value"] == CONTEXT
    assert found["n_seeds"]["value"] == 2
    assert found["train_tokens_per_s"]["samples"] == [250, 500]
    assert found["validation_cross_entropy"]["samples"] == [1.5, 1.25]
    assert table.rows == [
        ["7", "1\u202f000", "4", "2.000", "1.500"],
        ["3", "1\u202f000", "2", "2.000", "1.500"],
    ]
    record.clear()
    report.training([Trained(model, 1000, 4.0, history, None)], [0])
    assert "validation_cross_entropy" not in record.metrics()


@pytest.mark.parametrize("offset", [2.0**14, 2.0**20, 2.0**27])
def test_the_parrot_does_not_depend_on_where_the_cells_lie(offset):
    rng = np.random.default_rng(0)
    centres = rng.integers(-(2**20), 2**20, (200, 3)) / 2**20  # exact when shifted
    prompts = rng.integers(0, 200, (10, 8))
    far = parrot(prompts, 10, centres + offset)
    np.testing.assert_array_equal(far, parrot(prompts, 10, centres))


CHAIN = NGram(np.array([[0, 1, 2, 0, 1, 2]]), order=1, vocabulary=3)
SMALL = GPTConfig(vocabulary=3, layers=1, heads=1, width=8, context=4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: parrot(np.arange(3), 2, np.eye(3)), r"got \(3,\).*prompts\[None\]"),
        (lambda: parrot(np.array([[0, 1, 2]]), 2, np.ones(3)), r"\(V, d\), got \(3,\)"),
        (lambda: recall(np.arange(9), np.array([[1]]), 2), r"\(M, T\), got \(9,\)"),
        (lambda: recall(np.zeros((2, 3, 9), int), np.array([[1]]), 2), r"got \(2, 3, 9\)"),
        (lambda: CHAIN.likelihood(np.zeros((4, 1), int), np.zeros((4, 1), int)), r"got \(4, 1\)"),
        (lambda: CHAIN.likeliest(np.zeros(4, int)), r"got \(4,\)"),
        (lambda: CHAIN.log_probabilities(np.zeros(4, int)), r"got \(4,\); .*windows\[None\]"),
        (lambda: CHAIN.log_probabilities(np.zeros((2, 3, 4), int)), r"got \(2, 3, 4\)"),
        (lambda: log_probabilities(TokenGPT(SMALL), np.zeros(4, int)), r"got \(4,\); .*\[None\]"),
        (lambda: next_probabilities(TokenGPT(SMALL), np.zeros(4, int)), r"got \(4,\); .*\[None\]"),
    ],
)
def test_wrong_axes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_model_has_cells_of_its_own():
    cells = np.array([[0, 0], [0, 1], [1, 0]])
    config = GPTConfig(vocabulary=3, layers=1, heads=1, width=8, context=4, embedding="factorised")
    model = TokenGPT(config, cells)
    cells[:] = 1
    assert model.cells.tolist() == [[0, 0], [0, 1], [1, 0]]


def test_a_run_begins_with_an_empty_record_and_its_seeds(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_RECORD", str(tmp_path / "record.json"))
    record.metric("old", 1.0)
    device, workers, seeds = report.begin("cpu", 3, 2)
    assert (device, seeds) == ("cpu", [3, 4])
    assert workers >= 1
    written = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert written == {
        "metrics": {},
        "context": {"device": "cpu", "threads": 1, "seeds": [3, 4]},
    }


def test_cells_record_the_vocabulary_and_the_training_set():
    table = report.cells(Grid(np.zeros(2), np.ones(2), 50, np.arange(7)), np.zeros((3, 400)))
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == {"vocabulary": 7, "vocabulary_grid": 2500, "train_tokens": 1200}
    assert table.rows == [["2\u202f500", "7", "1\u202f200"]]


def test_exponents_are_fitted_to_all_products_and_to_the_longer_ones():
    """Growth rates of the fitted form give back its constant."""
    n = np.arange(1, 11)
    exact = [value + 0.3 / n - 0.2 / n**2 for value in (0.41, 0.43)]
    bent = exact[0] + 0.1 * (n < 5)  # the fit from n = 5 does not see these
    record.metric("lyapunov_reference", 0.419)
    table = report.estimated_exponents({"orbit": exact, "model": [bent]}, 10)
    found = record.metrics()
    assert found["orbit_lyapunov"]["samples"] == pytest.approx([0.41, 0.43])
    assert found["orbit_lyapunov_fit5"]["samples"] == pytest.approx([0.41, 0.43])
    assert found["lyapunov_model"]["value"] != pytest.approx(0.41, abs=1e-3)
    assert found["lyapunov_model_fit5"]["value"] == pytest.approx(0.41)
    assert (found["orbit_lyapunov"]["over"], found["lyapunov_model"]["over"]) == (
        "batches", "seeds"
    )  # fmt: skip
    assert [row[0] for row in table.rows] == ["true orbits", "GPT-2, T = 1", "tangent space"]
    assert table.rows[1][2] == "0.4100"
    assert table.header[1:] == ["n = 1 … 10, as printed", "n = 5 … 10"]
