"""Scenes: what the page carries is what was drawn, and nothing in it can leave its place."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from dynlib.report.scene import MOST, Scene
from dynlib.report.style import COLOURS, DARK, INK

CURVE = np.random.default_rng(0).normal(size=(50, 3))


class Parts(HTMLParser):
    """The tags of a fragment, and what its script holds, as a browser takes them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.script = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags[-1][0] == "script":
            self.script += data


def data(scene: Scene) -> dict:
    return json.loads(Parts(scene._repr_html_()).script)


@pytest.mark.parametrize("scale", [1e-9, 0.3, 1.0, 9.99, 1e6])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_values_survive_to_four_digits_of_their_extent(scale, offset):
    curves = {"true": scale * (CURVE + offset), "model": scale * (2 * CURVE + offset)}
    found = data(Scene(curves, alt="Two clouds."))["curves"]
    extent = np.ptp(np.concatenate(list(curves.values())), axis=0)
    for entry, curve in zip(found, curves.values(), strict=True):
        back = np.array([entry[axis] for axis in "xyz"]).T
        assert (np.abs(back - curve) <= 1e-4 * extent).all()
    assert [entry["label"] for entry in found] == ["truth", "GPT-2, T = 1"]


def test_an_axis_on_which_nothing_moves_is_kept():
    flat = CURVE * [1.0, 0.0, 1.0] + [0.0, 7.0, 0.0]
    assert set(data(Scene({"true": flat}, alt="A sheet."))["curves"][0]["y"]) == {7.0}
    assert set(data(Scene({"true": 0 * flat}, alt="A point."))["curves"][0]["x"]) == {0.0}


def test_two_long_curves_stay_below_150_kb():
    curves = {name: np.random.default_rng(1).normal(size=(2000, 3)) for name in ("true", "model")}
    assert len(Scene(curves, alt="Two clouds.")._repr_html_()) < 150_000


def test_neutral_colours_follow_the_ground_and_others_stay():
    scene = Scene({"true": CURVE, "greedy": CURVE}, alt="Twice the same.")
    neutral, other = (entry["colour"] for entry in data(scene)["curves"])
    assert neutral == [INK, DARK[INK]]
    assert other == [COLOURS["greedy"]] * 2


def test_no_text_breaks_out_of_the_script_or_the_label():
    evil = '</script><img src=x onerror="alert(1)"><!-- <script>'
    scene = Scene({"true": CURVE}, {"true": evil}, axes=(evil, "y", "z"), alt=evil + " & so on")
    parts = Parts(scene._repr_html_())
    assert [tag for tag, _ in parts.tags] == ["div", "p", "script"]
    assert parts.tags[0][1]["aria-label"] == evil + " & so on"
    assert json.loads(parts.script)["curves"][0]["label"] == evil
    assert json.loads(parts.script)["axes"][0] == evil
    assert "<" not in parts.script


def test_the_plain_text_names_the_curves():
    scene = Scene({"true": CURVE}, alt="A cloud.")
    assert repr(scene) == "3-D scene: truth (50 points). A cloud."


@pytest.mark.parametrize(
    ("curves", "options", "words"),
    [
        ({}, {}, "empty"),
        ({"true": CURVE[:, :2]}, {}, r"'true' has shape \(50, 2\); it must be \(T, 3\)"),
        ({"true": CURVE[:1]}, {}, r"\(1, 3\).*T >= 2"),
        ({"true": CURVE[None]}, {}, r"\(1, 50, 3\)"),
        ({"true": np.where(CURVE[7, 1] == CURVE, np.nan, CURVE)}, {}, "nan at time 7.*finite"),
        ({"true": np.zeros((MOST + 1, 3))}, {}, f"{MOST + 1} points.*at most {MOST}"),
        ({"other": CURVE}, {}, "'other' has no label; there are labels of true"),
        ({"other": CURVE}, {"labels": {"other": "x"}}, "'other' has no colour"),
        ({"true": CURVE}, {"axes": ("x", "y")}, "three axes"),
        ({"true": CURVE}, {"axes": "xyz"}, "three axes, got 'xyz'"),
        ({"true": CURVE}, {"alt": " "}, "in words, got ' '"),
    ],
)
def test_bad_input_is_named(curves, options, words):
    with pytest.raises(ValueError, match=words):
        Scene(curves, **{"alt": "A scene.", **options})
