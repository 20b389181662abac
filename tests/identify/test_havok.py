"""Delay models against pydmd, in sample and out of it, and against signals they can represent."""

import numpy as np
import pydmd
import pytest

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.havok import FORCINGS, DelayDMD, Havok

DELAYS, RANK, STEPS = 20, 10, 150


@pytest.fixture(scope="module")
def solution() -> np.ndarray:
    return integrate(Lorenz(beta=8 / 3), np.array([[0.0, 1, 20]]), 0.01 * np.arange(3000))[0]


@pytest.fixture(scope="module")
def record(solution) -> np.ndarray:
    return solution[:2000]


@pytest.fixture(scope="module", params=[1, 3], ids=["one forcing", "three forcings"])
def fit(request, record) -> Havok:
    return Havok.fit(record, 0.01, DELAYS, RANK, num_chaos=request.param)


def windows_and_future(solution: np.ndarray, starts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    windows = np.stack([solution[s - DELAYS + 1 : s + 1] for s in starts])
    return windows, np.stack([solution[s + 1 : s + 1 + STEPS] for s in starts])


def test_the_model_is_pydmds(record, fit):
    plain = pydmd.HAVOK(svd_rank=RANK, delays=DELAYS, num_chaos=fit.model.forcing.shape[1])
    plain.fit(record.T, 0.01)
    np.testing.assert_array_equal(fit.model.A, plain.A)
    np.testing.assert_array_equal(fit.model.B, plain.B)
    linear = RANK - plain.forcing.shape[1]
    assert fit.parameters == linear * RANK + 3 * DELAYS * RANK


def test_windows_of_the_record_are_encoded_as_pydmd_did(record, fit):
    ends = [DELAYS - 1, 500, len(record) - 1]
    windows = np.stack([record[e - DELAYS + 1 : e + 1] for e in ends])
    expected = fit.model.delay_embeddings[[e - DELAYS + 1 for e in ends]]
    np.testing.assert_allclose(fit.encode(windows), expected, atol=1e-10)


@pytest.mark.parametrize("forcing", FORCINGS)
def test_a_rollout_is_pydmds_prediction(solution, fit, forcing):
    windows, future = windows_and_future(solution, [2100, 2300, 2700])
    chaos = fit.model.forcing.shape[1]
    rollout = fit.rollout(windows, STEPS, forcing, future if forcing == "oracle" else None)
    assert rollout.shape == (3, STEPS, 3)
    for start, ours in zip([2100, 2300, 2700], rollout, strict=True):
        ends = range(start, start + STEPS + 1)
        known = fit.encode(np.stack([solution[e - DELAYS + 1 : e + 1] for e in ends]))
        driving = {
            "zero": np.zeros((STEPS + 1, chaos)),
            "held": np.repeat(known[:1, -chaos:], STEPS + 1, axis=0),
            "oracle": known[:, -chaos:],
        }[forcing]
        peer = fit.model.predict(driving, 0.01 * np.arange(STEPS + 1), known[0, :-chaos])
        scale = np.abs(peer).max()
        np.testing.assert_allclose(ours, peer[:, -STEPS:].T, rtol=0, atol=1e-11 * scale)


def test_the_oracle_along_the_record_is_the_reconstruction(record, fit):
    reconstruction = fit.reconstruct()
    assert reconstruction.shape == record.shape
    np.testing.assert_array_equal(reconstruction, fit.model.reconstructed_data.T)
    rollout = fit.rollout(record[None, :DELAYS], 400, "oracle", record[None, DELAYS : DELAYS + 400])
    scale = np.abs(rollout).max()
    np.testing.assert_allclose(rollout[0], reconstruction[DELAYS:][:400], atol=1e-9 * scale)


def test_one_coordinate(record):
    fit = Havok.fit(record[:, :1], 0.01, delays=30, rank=8)
    assert fit.reconstruct().shape == (2000, 1)
    assert fit.rollout(record[None, :30, :1], 10).shape == (1, 10, 1)


def test_longer_windows_end_at_the_same_start(solution, fit):
    windows, _ = windows_and_future(solution, [2100, 2300])
    longer = np.stack([solution[s - 50 : s + 1] for s in (2100, 2300)])
    np.testing.assert_array_equal(fit.rollout(longer, 20), fit.rollout(windows, 20))
    dmd = DelayDMD.fit(solution, DELAYS, RANK)
    np.testing.assert_array_equal(dmd.rollout(longer, 20), dmd.rollout(windows, 20))


def test_the_held_forcing_is_not_the_true_one(solution, fit):
    """A constant state has a constant forcing: only there may held and oracle agree."""
    windows, future = windows_and_future(solution, [2100])
    constant = np.repeat(windows[:, -1:], STEPS + DELAYS, axis=1)
    held = fit.rollout(constant, STEPS, "held")
    np.testing.assert_allclose(
        held, fit.rollout(constant, STEPS, "oracle", constant[:, :STEPS]), rtol=1e-9
    )
    moving = fit.rollout(windows, STEPS, "held") - fit.rollout(windows, STEPS, "oracle", future)
    assert np.abs(moving).max() > 1


@pytest.mark.filterwarnings("ignore:Input data condition number")
def test_dmd_is_pydmds(record):
    dmd = DelayDMD.fit(record, DELAYS, RANK)
    columns = np.stack([record[k : k + DELAYS].ravel() for k in range(2001 - DELAYS)], axis=1)
    peer = pydmd.DMD(svd_rank=RANK).fit(columns)
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(dmd.operator)), np.sort_complex(peer.eigs), atol=1e-8
    )
    window, states = record[None, 700 : 700 + DELAYS], columns[:, 700]
    for k, ours in enumerate(dmd.rollout(window, 5)[0]):
        projected = peer.modes @ np.diag(peer.eigs ** (k + 1)) @ np.linalg.pinv(peer.modes)
        np.testing.assert_allclose(ours, (projected @ states)[-3:].real, atol=1e-6)


def test_dmd_continues_what_is_linear_and_oscillates():
    """Three tones in two coordinates: six directions, and a forecast without end."""
    t = 0.05 * np.arange(3000)
    tones = np.stack([np.sin(t) + np.cos(2.7 * t), np.sin(6.1 * t + 1) - np.cos(t)], axis=1)
    dmd = DelayDMD.fit(tones[:600], delays=8, rank=6)
    assert dmd.parameters == 36 + 16 * 6
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(dmd.operator)), 1, atol=1e-9)
    windows = np.stack([tones[700:708], tones[900:908]])
    rollout = dmd.rollout(windows, 2000)
    np.testing.assert_allclose(rollout, [tones[708:2708], tones[908:2908]], atol=1e-5)


def test_havok_of_tones_is_limited_by_its_finite_differences():
    """Its derivatives are of second order: half the step, a quarter of the error."""
    errors = []
    for dt in (0.02, 0.01):
        t = dt * np.arange(round(30 / dt))
        tones = np.stack([np.sin(t), np.cos(2.7 * t)], axis=1)
        fit = Havok.fit(tones, dt, delays=8, rank=5)  # the fifth is rounding, and the forcing
        size = round(2 / dt)
        rollout = fit.rollout(tones[None, 100:108], size)
        errors.append(np.abs(rollout[0] - tones[108 : 108 + size]).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


noise = np.random.default_rng(0).normal(size=(100, 2))
small = Havok.fit(noise, 0.1, delays=4, rank=5)
dmd = DelayDMD.fit(noise, delays=4, rank=5)
window = noise[None, :4]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Havok.fit(noise[:, 0], 0.1, 4, 5), r"\(100,\)"),
        (lambda: Havok.fit(noise + np.nan, 0.1, 4, 5), "finite"),
        (lambda: Havok.fit(noise, 0.0, 4, 5), "dt must be .* got 0.0"),
        (lambda: Havok.fit(noise, 0.1, 0, 5), r"delays must be .*, got 0"),
        (lambda: Havok.fit(noise, 0.1, 4, 9), "from 1 to 8"),
        (lambda: Havok.fit(noise, 0.1, 98, 3), "from 1 to 2"),
        (lambda: Havok.fit(noise, 0.1, 4, 5, num_chaos=5), "from 1 to 4, got 5"),
        (lambda: Havok.fit(noise, 0.1, 4, 5, num_chaos=0), "got 0"),
        (lambda: small.encode(noise[:4]), r"\(S, T, 2\), got \(4, 2\)"),
        (lambda: small.rollout(noise[None, :3], 5), r"\(1, 3, 2\)"),
        (lambda: small.rollout(window, 5, "true"), "'zero', 'held' or 'oracle', got 'true'"),
        (lambda: small.rollout(window, 0), "n_steps must be a whole number from 1"),
        (lambda: small.rollout(window, 5, "oracle"), r"\(1, 5, 2\), got None"),
        (lambda: small.rollout(window, 5, "oracle", noise[None, 4:8]), r"got \(1, 4, 2\)"),
        (
            lambda: small.rollout(window, 5, "zero", noise[None, 4:9]),
            r"None where forcing is 'zero', got shape \(1, 5, 2\)",
        ),
        (lambda: DelayDMD.fit(noise, 4, 9), "from 1 to 8"),
        (lambda: dmd.rollout(window, 0), "n_steps"),
        (lambda: dmd.rollout(window[..., :1], 5), r"\(1, 4, 1\)"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def circle(offset: float) -> np.ndarray:
    times = 0.02 * np.arange(800)
    return np.stack([np.cos(times), np.sin(times)], axis=1) + offset


@pytest.mark.parametrize("offset", [1e4, 1e5, 1e6, 1e7])
def test_a_shifted_circle_goes_on(offset):
    """With the mean as a third direction its delays are linear: the forecast is the circle."""
    record = circle(offset)
    dmd = DelayDMD.fit(record[:400], delays=10, rank=3)
    ours = dmd.rollout(record[None, 400:410], 100)[0]
    np.testing.assert_allclose(ours, record[410:510], rtol=0, atol=1e4 * np.spacing(offset))
    havok = Havok.fit(record[:400], 0.02, delays=10, rank=3)
    ours = havok.rollout(record[None, 400:410], 100, "oracle", record[None, 410:510])[0]
    assert np.abs(ours - record[410:510]).max() < 0.1  # its derivatives are differences


@pytest.mark.parametrize(
    "fit", [lambda r: Havok.fit(r, 0.02, 10, 3), lambda r: DelayDMD.fit(r, 10, 3)]
)
@pytest.mark.parametrize(
    "record", [circle(1e8), circle(-1e10), np.ones((50, 2)), np.zeros((50, 2))]
)
def test_a_record_lost_beside_its_mean_is_refused(fit, record):
    words = r"above 1\.5e-08 of its mean, got .* about a mean of size .*; subtract the mean"
    with pytest.raises(ValueError, match=words):
        fit(record)


@pytest.mark.parametrize(
    "fit", [lambda r: Havok.fit(r, 0.1, 10, 15), lambda r: DelayDMD.fit(r, 10, 15)]
)
def test_a_rank_of_more_directions_than_the_record_has_is_refused(fit):
    """A coordinate of zeros has delays without a direction: dividing by their singular values."""
    times = 0.1 * np.arange(200)
    record = np.stack([np.cos(times), np.zeros(200)], axis=1)
    with pytest.raises(ValueError, match=r"rank must be .*, got 15; the record varies in no more"):
        fit(record)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_digits_that_count_are_those_of_the_data(kind):
    record = circle(1e4).astype(kind)
    if kind is np.float64:
        DelayDMD.fit(record, 10, 3)
        return
    with pytest.raises(ValueError, match=r"above 3\.5e-04 of its mean"):
        DelayDMD.fit(record, 10, 3)
