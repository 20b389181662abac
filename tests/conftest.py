"""Shared fixtures: a small tokenised Hénon set, and how a missing outside tool is treated."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems import Henon
from dynlib.tokens.grid import Grid


@pytest.fixture(scope="session")
def henon_states() -> np.ndarray:
    system = Henon()
    return simulate(system, system.initial_states(12, np.random.default_rng(5)), 3000)


@pytest.fixture(scope="session")
def henon_grid(henon_states) -> Grid:
    return Grid.fit(henon_states, 20)


@pytest.fixture(scope="session")
def henon_tokens(henon_states, henon_grid) -> np.ndarray:
    return henon_grid.encode(henon_states)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium; without it a test skips, or fails under STRICT=1."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sentence = "Chromium is not installed (Debian: apt install chromium), so no page is opened"
        if os.environ.get("STRICT") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return path
