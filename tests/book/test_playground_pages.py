"""The playgrounds, on small pages of their own: their numbers against Python's, their controls."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import sync_playwright

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.sindy import SparseField, fit_sindy
from dynlib.measure.rollout import spread, valid_time
from dynlib.networks.recipes import Architecture, Recipe
from dynlib.networks.scores import rollout
from dynlib.networks.training import train
from dynlib.report import style
from dynlib.report.forecasts import LABELS
from dynlib.report.playground import Playground
from dynlib.report.writer import Writer
from dynlib.tokens.gpt import GPTConfig, TokenGPT, generate, next_probabilities
from dynlib.tokens.grid import Grid
from workflow.runs.experiments import load

ROOT = Path(__file__).resolve().parents[2]
DT, EXPONENT = 0.01, Lorenz(beta=8 / 3).facts["lyapunov"].value
LORENZ = np.zeros((3, 10))  # of 1, x, y, z, xx, xy, xz, yy, yz, zz
LORENZ[0, [1, 2]] = -10, 10
LORENZ[1, [1, 2, 6]] = 28, -1, -1
LORENZ[2, [3, 5]] = -8 / 3, 1
METHODS = ("true", "stnn", "control", "sindy_fd2", "sindy_fd6", "polynomial_4")

CONFIGURATION = """
extensions = ["myst_parser", "companion"]
html_theme = "sphinx_book_theme"
html_static_path = ["assets"]
html_context = {"default_mode": "auto"}
exclude_patterns = ["_build"]
"""
FALLBACK = "![A picture that stands here until the page has come alive.](picture.svg)"
PAGES = {
    "index": "# Small pages\n\n```{toctree}\nforecasts\ncells\nhalf\nsingle\nempty\n```\n",
    "forecasts": f"# Forecasts\n\n```{{playground}} forecasts small\n{FALLBACK}\n```\n",
    "cells": f"# Cells\n\n```{{playground}} cells\n{FALLBACK}\n```\n",
    "half": f"# Half\n\n```{{playground}} writer half\n{FALLBACK}\n```\n",
    "single": f"# Single\n\n```{{playground}} writer single\n{FALLBACK}\n```\n",
    "empty": f"# Empty\n\n```{{playground}} forecasts nothing\n{FALLBACK}\n```\n",
}


@pytest.fixture(scope="module")
def small() -> tuple[Playground, np.ndarray]:
    """Models that take little training, and the truth from their first start."""
    system = Lorenz(beta=8 / 3)
    record = integrate(system, np.array([[0.0, 1.0, 20.0]]), np.arange(2601) * DT)[0]
    known, start, truth = record[:2000], record[2000], record[2001:]
    learn = known[:1600], record[1:1601]
    recipe = Recipe(15, 200, starts=2, start_steps=3)
    networks = {
        name: train(architecture, recipe, learn, [0], validation=learn)[0].model
        for name, architecture in (
            ("stnn", Architecture(branches=6)),
            ("control", Architecture(widths=(3, 12, 12, 11, 3))),
        )
    }
    fitted = {
        "sindy_fd2": fit_sindy(known, DT, "fd2"),
        "sindy_fd6": fit_sindy(known, DT, "fd6"),
        "polynomial_4": PolynomialMap.fit(known[:-1], known[1:], 4),
    }
    paths = {name: rollout(model, start[None], 50)[0] for name, model in networks.items()}
    paths |= {name: model.rollout(start[None, None], 50)[0] for name, model in fitted.items()}
    playground = Playground(
        {"true": SparseField(LORENZ, DT)} | networks | fitted,
        np.stack([start, known[1000], known[1500]]),
        {"true": truth[:50]} | paths,
        dt=DT, spread=spread(known), exponent=EXPONENT,
    )  # fmt: skip
    return playground, truth


def written_model(precision: str) -> Writer:
    """A token model that nobody trained, with prompts beyond its context, in either precision."""
    system = Henon()
    states = simulate(system, system.initial_states(20, np.random.default_rng(5)), 3000)
    grid = Grid.fit(states, 30)
    config = GPTConfig(
        grid.vocabulary, layers=2, heads=2, width=16, context=32, embedding="factorised"
    )
    torch.manual_seed(0)
    model = TokenGPT(config, grid.cells)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return Writer(model, grid, grid.encode(states)[:3, 100:200], "henon", precision)


@pytest.fixture(scope="module")
def site(small, tmp_path_factory) -> Path:
    """The pages, rendered with the book's extension and its theme."""
    source = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "book" / "assets", source / "assets")
    (source / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (source / "picture.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8"
    )
    for name, text in PAGES.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    exported = json.dumps(small[0].data(), allow_nan=False)
    (source / "assets" / "playground" / "small.json").write_text(exported, encoding="utf-8")
    for precision in ("half", "single"):
        exported = json.dumps(written_model(precision).data(), allow_nan=False)
        target = source / "assets" / "playground" / f"{precision}.json"
        target.write_text(exported, encoding="utf-8")
    paths = (str(ROOT), str(ROOT / "book" / "_ext"), os.environ.get("PYTHONPATH"))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(source / "_build")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "The run nothing has left no models for this page" in done.stderr
    return source / "_build"


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(site, browser):
    """Open a page and note all that it should not do; closed, it must have done none of it."""
    contexts, problems = [], []

    def open_page(name: str, *, mode: str = "light", width: int = 1280):
        context = browser.new_context(
            color_scheme=mode, viewport={"width": width, "height": 900}, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(f"failed {request.url}"))
        page.on("console", lambda m: m.type == "error" and problems.append(m.text))
        page.on("request", lambda r: r.url.startswith("file:") or problems.append(r.url))
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state("load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


def status(page) -> str:
    """What the page says in words, once it says something new."""
    page.wait_for_function("document.querySelector('.playground [role=status]').textContent")
    return page.locator(".playground [role=status]").inner_text()


# --- forecasts


@pytest.mark.parametrize("method", METHODS)
def test_a_method_in_the_page_is_the_one_in_python(visit, small, method):
    page = visit("forecasts")
    found = page.evaluate(
        """name => {
            const data = document.querySelector(".playground").playground.data;
            const map = window.Playground.map(data.models[name], data);
            return window.Playground.rollout(map, data.starts[0], 50);
        }""",
        method,
    )
    expected = small[0].reference[method]
    assert np.array(found).shape == expected.shape == (50, 3)
    assert np.abs(expected - expected[0]).max() > 1  # it goes somewhere
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_time_of_leaving_is_the_valid_time(visit, small):
    playground, truth = small
    page = visit("forecasts")
    found = page.evaluate(
        """() => {
            const { data } = document.querySelector(".playground").playground;
            const path = (name) => window.Playground.rollout(
                window.Playground.map(data.models[name], data), data.starts[0], 600);
            return window.Playground.leaves(
                path("sindy_fd2"), path("true"), data.threshold * data.spread);
        }"""
    )
    path = playground.models["sindy_fd2"].rollout(playground.starts[:1, None], 600)
    times, censored = valid_time(path, truth[None, :600], playground.spread, DT, EXPONENT)
    assert not censored[0]
    assert found * DT * EXPONENT == pytest.approx(times[0])


def test_the_truth_of_the_page_is_right_to_the_end_of_its_forecasts(visit, small):
    page = visit("forecasts")
    off = page.evaluate(
        """() => {
            const { data, truth } = document.querySelector(".playground").playground;
            const finer = window.Playground.map({ ...data.models.true, substeps: 16 }, data);
            const start = ["x", "y", "z"].map((name) =>
                document.querySelector(`[aria-label="${name} of the start"]`).valueAsNumber);
            const path = window.Playground.rollout(finer, start, truth.path.length);
            const away = (x, y) => Math.hypot(...x.map((value, i) => value - y[i]));
            return Math.max(...path.map((x, k) => away(x, truth.path[k])));
        }"""
    )
    assert off < 0.01 * small[0].threshold * small[0].spread


def test_the_page_says_when_each_method_leaves(visit, small):
    page = visit("forecasts")
    text = status(page)
    for method in METHODS[1:]:
        assert LABELS[method] in text
    times = [float(t) for t in re.findall(r", after (\d+\.\d)", text)]
    assert times == sorted(times)
    assert page.locator(".playground-left").count() == len(METHODS) - 1


def test_a_start_can_be_typed_and_a_wrong_one_is_refused_in_words(visit):
    page = visit("forecasts")
    before = status(page)
    x = page.get_by_label("x of the start")
    x.fill("7.25")
    x.press("Tab")
    page.wait_for_function(
        "t => document.querySelector('[role=status]').innerText !== t", arg=before
    )
    assert "From (7.25, " in status(page)
    for wrong in ("1000", ""):
        x.fill(wrong)
        x.press("Tab")
        assert "three numbers from \u2212100 to 100" in status(page)
    assert page.evaluate("document.querySelector('.playground').playground.rows[0].path.length")


def test_the_start_is_dragged_along_the_orbit(visit):
    page = visit("forecasts")
    handle = page.locator(".playground-handle")
    handle.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.playground-handle').style.left")
    before = page.get_by_label("z of the start").input_value()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 16, box["y"] + 16)
    page.mouse.down()
    canvas = page.locator(".playground-picture canvas").bounding_box()
    for share in (0.4, 0.5, 0.6, 0.7):
        page.mouse.move(canvas["x"] + share * canvas["width"], canvas["y"] + 60)
        page.wait_for_timeout(50)
    page.mouse.up()
    page.wait_for_function("z => document.querySelector('[aria-label^=z]').value !== z", arg=before)
    assert float(page.get_by_label("z of the start").input_value()) > 30  # high in the picture
    chosen = int(page.get_by_role("slider", name="Start along a true orbit").input_value())
    assert chosen > 0


def test_all_is_done_from_the_keyboard(visit):
    page = visit("forecasts")
    start, time = (
        page.get_by_role("slider", name="Start along a true orbit"),
        page.get_by_role("slider", name="Time"),
    )
    before = page.get_by_label("x of the start").input_value()
    start.focus()
    start.press("End")
    assert page.get_by_label("x of the start").input_value() != before
    time.focus()
    time.press("Home")
    assert time.get_attribute("aria-valuetext") == "0.0 Lyapunov times"
    play = page.get_by_role("button", name="Play")
    play.focus()
    play.press("Enter")
    page.wait_for_function("document.querySelectorAll('[type=range]')[1].valueAsNumber > 200")
    page.get_by_role("button", name="Pause").press("Enter")
    stopped = time.input_value()
    page.wait_for_timeout(100)
    assert time.input_value() == stopped
    box = page.get_by_role("checkbox").first
    box.focus()
    box.press("Space")
    assert not box.is_checked()
    page.get_by_role("button", name="Another start").press("Enter")
    assert float(page.get_by_label("x of the start").input_value()) == pytest.approx(
        page.evaluate("document.querySelector('.playground').playground.data.starts[1][0]"),
        abs=6e-4,
    )


# --- cells


def cells_page(visit):
    page = visit("cells")
    states = page.evaluate("document.querySelector('.playground').playground.states")
    return page, np.array(states)


def test_the_trajectory_is_the_chapters(visit):
    _, states = cells_page(visit)
    (run,) = load("cpu", ["lorenz_tokens_50"])
    tau = run.parameters["tau"]
    expected = simulate(TimeMap(Lorenz(), tau), states[:1], 50)[0]
    np.testing.assert_allclose(states[:50], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 7, 20, 35, 50, 60])
def test_the_sentence_is_pythons(visit, n):
    page, states = cells_page(visit)
    page.get_by_role("slider", name="Cells per axis").fill(str(n))
    grid = Grid.fit(states, n)
    tokens = page.evaluate("document.querySelector('.playground').playground.tokens")
    np.testing.assert_array_equal(tokens, grid.encode(states))
    words = page.locator(".playground-sentence").inner_text().split()
    assert words == [str(token) for token in grid.encode(states[:40])]
    page.wait_for_function(
        "n => document.querySelector('[role=status]').innerText.includes(`With ${n} cells`)", arg=n
    )
    assert f" {grid.vocabulary:,} of {n**3:,} cells".replace(",", "\u202f") in status(page)


def test_the_grid_and_the_sentence_turn_by_the_keyboard(visit):
    page, states = cells_page(visit)
    slider = page.get_by_role("slider", name="Cells per axis")
    slider.focus()
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "21"
    place = page.get_by_role("slider", name="The sentence begins")
    place.focus()
    place.press("End")
    words = page.locator(".playground-sentence").inner_text().split()
    assert words == [str(token) for token in Grid.fit(states, 21).encode(states[-40:])]


def test_what_the_page_says_of_unseen_words_is_true(visit):
    page, states = cells_page(visit)
    tokens = Grid.fit(states, 20).encode(states)
    half = len(tokens) // 2
    words = np.mean(~np.isin(tokens[half:], tokens[:half]))
    steps = tokens[:-1] * 10**6 + tokens[1:]
    pairs = np.mean(~np.isin(steps[half:], steps[:half]))
    stays = np.mean(tokens[1:] == tokens[:-1])
    once = np.mean(np.bincount(tokens) == 1)
    text = page.locator(".playground ul").inner_text()
    shown = [float(value) for value in re.findall(r"([\d.]+)\u202f%", text)]
    expected = [100 * share for share in (stays, once, words, pairs)]
    np.testing.assert_allclose(shown, expected, atol=0.5)


# --- both


def test_a_forecast_starts_at_zero_runs_at_a_speed_and_can_be_shared(visit):
    page = visit("forecasts")
    time = page.get_by_role("slider", name="Time")
    assert time.input_value() == "0"
    assert "?" not in page.url  # nothing chosen, nothing in the address
    page.get_by_role("slider", name="Speed").fill("4")
    page.get_by_role("button", name="Play").press("Enter")
    began = page.evaluate("performance.now()")
    page.wait_for_function("document.querySelectorAll('[type=range]')[1].valueAsNumber > 300")
    passed = (page.evaluate("performance.now()") - began) / 1000
    assert passed < 4  # 300 steps are 2.7 Lyapunov times
    page.get_by_role("button", name="Pause").press("Enter")
    page.get_by_label("y of the start").fill("-3.5")
    page.get_by_label("y of the start").press("Tab")
    page.get_by_role("checkbox").first.uncheck()
    time.fill("77")
    page.wait_for_function("location.search.includes('time=77')")
    query = page.url.partition("?")[2]
    assert "y=-3.5&" in query
    assert query.endswith("time=77&speed=4&hide=stnn")
    page.goto(page.url.replace("speed=4", "speed=1000"))
    assert page.get_by_role("slider", name="Time").input_value() == "77"
    assert page.get_by_label("y of the start").input_value() == "-3.5"
    assert page.get_by_role("slider", name="Speed").input_value() == "1"  # no such speed
    assert not page.get_by_role("checkbox").first.is_checked()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
@pytest.mark.parametrize("name", ["forecasts", "cells"])
def test_a_playground_fits_and_is_drawn_in_the_readers_colours(visit, name, width, mode):
    page = visit(name, width=width, mode=mode)
    status(page)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.locator(".playground-fallback").count() == 0
    ink = [int(style.INK[i : i + 2], 16) for i in (1, 3, 5)]
    if mode == "dark":
        ink = [int(style.DARK[style.INK][i : i + 2], 16) for i in (1, 3, 5)]
    drawn = page.evaluate(
        """ink => [...document.querySelectorAll(".playground canvas[role=img]")].map((canvas) => {
            const pen = canvas.getContext("2d");
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            const same = (i) => ink.every((c, j) => Math.abs(data[i + j] - c) < 12);
            let found = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && same(i)) found++;
            return [canvas.getAttribute("aria-label").length, found];
        })""",
        ink,
    )
    assert len(drawn) == {"forecasts": 6, "cells": 2}[name]
    for label, pixels in drawn:
        assert label > 30
        assert pixels > 5


def test_the_neutral_colours_are_those_of_the_figures():
    text = (ROOT / "book" / "assets" / "playground" / "plot.js").read_text(encoding="utf-8")
    found = dict(re.findall(r'(ink|muted|grid): (\["#\w+", "#\w+"\])', text))
    expected = {"ink": style.INK, "muted": style.MUTED, "grid": style.GRID}
    assert {name: json.loads(pair) for name, pair in found.items()} == {
        name: [colour, style.DARK[colour]] for name, colour in expected.items()
    }


def test_without_models_or_script_a_sentence_and_the_picture_stay(site, browser):
    text = unescape((site / "empty.html").read_text(encoding="utf-8"))
    assert "The run nothing has left no models for this page: run it again." in text
    assert 'alt="A picture that stands here' in text
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "forecasts.html").as_uri())
    assert page.locator(".playground-fallback img").count() == 2  # for light and dark
    assert "needs JavaScript" in page.locator(".playground").inner_text()
    context.close()


# --- GPT-2 writes


def loaded(visit, name: str, query: str = "", **options):
    """A page with a token model, loaded as a reader would; with a query the page loads it."""
    page = visit(name, **options)
    if query:
        page.goto(page.url.partition("?")[0] + query)
    else:
        page.get_by_role("button", name="Load GPT-2").click()
    page.wait_for_function("document.querySelector('.playground').playground")
    return page


def texts(page) -> dict[str, list[int]]:
    return page.evaluate("document.querySelector('.playground').playground.texts")


@pytest.mark.parametrize(("precision", "bound"), [("half", 1e-3), ("single", 1e-5)])
def test_probabilities_and_greedy_text_are_torchs(visit, precision, bound):
    writer = written_model(precision)
    found = loaded(visit, precision).evaluate(
        """() => {
            const { data } = document.querySelector(".playground").playground;
            const { GPT, softmax, likeliest } = window.Playground;
            return data.prompts.map((prompt) => {
                const [model, text] = [new GPT(data), [...prompt]];
                const first = Array.from(softmax(model.after(text), 1));
                model.restart();
                for (let k = 0; k < 50; k++) text.push(likeliest(model.after(text)));
                return { first, greedy: text.slice(prompt.length) };
            });
        }"""
    )
    exact = next_probabilities(writer.model, writer.prompts)
    assert exact.max() > 2 / len(exact[0])  # they differ from one another
    for row, each in zip(exact, found, strict=True):
        assert np.abs(each["first"] - row).max() < bound
    reference = writer.data()["reference"]["greedy"]
    assert found[0]["greedy"] == reference
    if precision == "single":
        greedy = generate(writer.model, writer.prompts, 50, temperature=0.0)
        np.testing.assert_array_equal([each["greedy"] for each in found], greedy)


def test_a_short_memory_reads_the_last_tokens_alone(visit):
    writer = written_model("single")
    found = loaded(visit, "single").evaluate(
        """() => {
            const { data } = document.querySelector(".playground").playground;
            const model = new window.Playground.GPT(data);
            return Array.from(window.Playground.softmax(model.after(data.prompts[0], 3), 1));
        }"""
    )
    exact = next_probabilities(writer.model, writer.prompts[:1, -3:])[0]
    assert np.abs(found - exact).max() < 1e-5


def test_counting_is_the_n_gram_of_the_longest_match(visit):
    found = loaded(visit, "half").evaluate(
        """() => {
            const counts = new window.Playground.Counts([0, 1, 2, 0, 1, 3, 0, 1, 3, 2, 1], 4);
            return [[[0, 1], 2], [[3, 0, 1], 3], [[9, 1], 5], [[1], 1]].map(
                ([said, memory]) => Array.from(counts.after(said, memory)));
        }"""
    )
    third = 1 / 3  # 0 1 is followed by 2, 3 and 3; 3 0 1 by 3 alone
    expected = [[0, 0, third, 2 * third], [0, 0, 0, 1], [0, 0, third, 2 * third]]
    np.testing.assert_allclose(found, [*expected, expected[0]])


def test_the_model_is_loaded_when_it_is_asked_for(visit):
    page = visit("half")
    assert page.locator(".playground-fallback").is_visible()
    assert page.evaluate("window.Playground.written") is None
    size = page.get_by_role("button", name="Load GPT-2").inner_text()
    assert re.fullmatch(r"Load GPT-2 \(\d+ kB\)", size)


def test_a_moment_can_be_shared(visit):
    page = loaded(visit, "half")
    page.get_by_role("slider", name="Temperature").fill("0.5")
    page.get_by_role("slider", name="Memory, tokens").fill("7")
    page.get_by_role("button", name="Random start").click()
    page.get_by_role("button", name="Write").press("Enter")
    page.wait_for_function(
        "document.querySelector('.playground').playground.texts.gpt.length > 160"
    )
    page.get_by_role("button", name="Pause").press("Enter")
    query = "?" + page.url.partition("?")[2]
    assert query.startswith("?on=half&start=")
    assert "t=0.5&memory=7&n=" in query
    assert texts(loaded(visit, "half", query)) == texts(page)


def test_words_and_cells_light_up_together(visit):
    page = loaded(visit, "half")
    word = page.locator(".playground-sentence span").last
    word.hover()
    assert "marked" in word.get_attribute("class")
    token = word.inner_text()
    alike = page.locator(".playground-sentence span", has_text=re.compile(f"^{token}$"))
    assert page.locator(".playground-sentence .marked").count() == alike.count()
    page.get_by_role("button", name="Write").hover()
    assert page.locator(".playground-sentence .marked").count() == 0


def test_the_blind_mode_hides_names_and_keeps_score(visit):
    page = loaded(visit, "half")
    box = page.get_by_label("blind: which one is GPT-2?")
    for right in (1, 2):
        box.check()
        titles = page.locator(".playground-writer strong").all_inner_texts()
        assert titles == ["A", "B", "C"]
        assert not page.locator(".playground-sentence").is_visible()
        place = page.evaluate(
            "document.querySelector('.playground').playground.order.indexOf('gpt')"
        )
        page.get_by_role("button", name="This is GPT-2").nth(place).click()
        assert status(page).startswith(f"Right. {right} of {right} right")
        page.wait_for_function(
            "document.querySelector('.playground-writer strong').textContent.length > 1"
        )


def test_a_wrong_start_is_refused_in_words(visit):
    page = loaded(visit, "half")
    field = page.get_by_label("Number of the start")
    for wrong in ("-1", "1e9", "2.5"):
        field.fill(wrong)
        field.press("Tab")
        assert "A start is a whole number from 0 to" in status(page)


def test_nothing_is_wider_than_a_phone(visit):
    page = loaded(visit, "half", width=380)
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
