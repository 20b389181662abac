"""The built book, as a reader's browser sees it: the smoke preset, run and rendered if need be."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from html import unescape
from pathlib import Path

import pytest

from workflow.book import render as rendering
from workflow.book import staging
from workflow.runs import experiments, outputs
from workflow.runs.experiments import load

ROOT = Path(__file__).resolve().parents[2]


def test_a_second_build_does_nothing_and_says_so(book):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "book", "--preset", "smoke"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert time.monotonic() - began < 15


def test_no_page_has_stderr_or_an_unresolved_number(book, pages):
    for path in (ROOT / "build" / "smoke" / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", output["text"]
                assert "|" not in "".join(output.get("text", [])), "progress on the page"
    for page in pages:
        text = (book / f"{page}.html").read_text(encoding="utf-8")
        assert '<span class="result">?</span>' not in text
        assert "'tolerance':" not in unescape(text), f"{page}: a metric's entry as an output"


def test_every_image_has_a_text_and_a_twin_for_dark_mode(book, pages):
    figures = 0
    for page in pages:
        text = (book / f"{page}.html").read_text(encoding="utf-8")
        for image in re.findall(r"<img[^>]*ground-(?:light|dark)[^>]*>", text):
            figures += 1
            alt = re.search(r'alt="([^"]*)"', image)
            assert alt, f"{page}: {image}"
            assert len(unescape(alt[1])) > 30, f"{page}: {image}"
            source = (book / f"{page}.html").parent / re.search(r'src="([^"]*)"', image)[1]
            assert source.exists()
        for figure in re.findall(r"<figure.*?</figure>", text, re.S):
            assert "caption-text" in figure
    assert figures >= 2 * 8


def test_the_run_card_tells_how_the_page_was_made(book):
    text = (book / "runs" / "henon_tokens.html").read_text(encoding="utf-8")
    results = json.loads(
        (ROOT / "build/smoke/results/henon_tokens.json").read_text(encoding="utf-8")
    )
    assert results["provenance"]["stamp"][:12] in text
    assert "n_cells" in text
    assert "quote none of its numbers" in text


@pytest.fixture
def copied(book, tmp_path) -> Path:
    """A copy of the clone with the built smoke book: content decides what is fresh, not place."""
    root = tmp_path / "clone"
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("dynlib", "workflow", "book", "notebooks", "results", "build/smoke"):
        shutil.copytree(ROOT / folder, root / folder, ignore=skipped)
    for name in ("_config.yml", "CITATION.cff", "experiments.yml", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    found = subprocess.run(
        ["git", "rev-parse", "--absolute-git-dir"], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    if found.returncode == 0:  # the pages state when each criterion was written
        (root / ".git").write_text(f"gitdir: {found.stdout}", encoding="utf-8")
    return root


def make(root: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "book", "--preset", "smoke", *options],
        cwd=root,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_edit_of_prose_renders_the_page_and_runs_nothing(copied):
    page, results = (
        copied / "build/smoke" / name
        for name in ("html/runs/henon_tokens.html", "results/henon_tokens.json")
    )
    before, ran = page.read_text(encoding="utf-8"), results.stat().st_mtime_ns
    source = copied / "notebooks" / "henon_tokens.py"
    source.write_text(
        source.read_text(encoding="utf-8").replace("# ## Rollouts\n", "# ## Roll on\n"),
        encoding="utf-8",
    )
    assert "henon_tokens (smoke): fresh, nothing to do" in make(copied)
    assert "Roll on" not in before
    assert "Roll on" in page.read_text(encoding="utf-8")
    assert results.stat().st_mtime_ns == ran

    # Undone, it gives the first book again, though only the edited page is read again.
    read = copied / "build/smoke/render/_build/.doctrees"
    edited, other = read / "runs" / "henon_tokens.doctree", read / "structure" / "leads.doctree"
    times = edited.stat().st_mtime_ns, other.stat().st_mtime_ns
    source.write_text(
        source.read_text(encoding="utf-8").replace("# ## Roll on\n", "# ## Rollouts\n"),
        encoding="utf-8",
    )
    make(copied)
    assert edited.stat().st_mtime_ns > times[0]
    assert other.stat().st_mtime_ns == times[1]
    made, first = copied / "build/smoke/html", ROOT / "build/smoke/html"
    files = {path.relative_to(first) for path in first.rglob("*") if path.is_file()}
    assert files == {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    differs = {str(name) for name in files if not same(made / name, first / name)}
    assert differs <= {"searchindex.js"}
    assert search_index(made) == search_index(first)


def search_index(html: Path) -> dict:
    """The index of a book, without the words that no page has any more."""
    text = (html / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.partition("(")[2].rpartition(")")[0])
    for kind in ("terms", "titleterms"):
        index[kind] = {word: pages for word, pages in index[kind].items() if pages != []}
    return index


def test_a_changed_sentence_writes_its_page_alone(copied):
    source = copied / "book" / "beyond" / "baselines.md"
    text, pages = source.read_text(encoding="utf-8"), copied / "build/smoke/render/_build/html"

    def written(words: str) -> set[str]:
        began = time.time_ns()
        source.write_text(words, encoding="utf-8")
        make(copied)
        found = {path for path in pages.rglob("*.html") if path.stat().st_mtime_ns > began}
        apart = {"genindex", "py-modindex", "search", "index"}
        names = {path.relative_to(pages).with_suffix("").as_posix() for path in found}
        return {name for name in names - apart if not name.startswith(("_modules", "_static"))}

    written(text + "\nA sentence.\n")  # a copy has other paths to its sources
    assert written(text + "\nAnother sentence.\n") == {"beyond/baselines"}
    assert len(written(text.replace("\n## Tokens\n", "\n## Of tokens\n"))) > 40


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("| -9.79 |", "| \u22129.79 |"),
        ("| 2.1e-03 [3.6e-04, 7e-01] |", "| 2.1·10⁻³ (3.6·10⁻⁴\u00a0to\u00a00.7) |"),
        ("| -4.8e+01 | 2e+05 |", "| \u221248 | 2·10⁵ |"),
        ("| [0.5, 7] | [a link](x.md) |", "| (0.5\u00a0to\u00a07) | [a link](x.md) |"),
        ("| :--- | ---: |", "| :--- | ---: |"),
        ("| stnn-2, 3-30-30-3 |", "| stnn-2, 3-30-30-3 |"),
        ("| `x' = -9 x`; -9 |", "| `x' = -9 x`; \u22129 |"),
    ],
)
def test_numbers_in_tables_are_typeset(written, printed):
    assert outputs.typeset({"data": {"text/markdown": written}}) == {
        "data": {"text/markdown": printed}
    }


@pytest.mark.parametrize(
    ("value", "form", "printed"),
    [
        (95095, "", "95\u202f095"),
        (-0.25, ".2f", "\u22120.25"),
        (2.31e-8, ".1e", "2.3·10⁻⁸"),
        (48.3, ".1e", "48"),
        (131.0, ".1e", "130"),
        (2.0, ".0e", "2"),
        (0.292, ".1e", "0.29"),
        (0.0, ".1e", "0.0"),
    ],
)
def test_numbers_in_prose_are_typeset(value, form, printed, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    from companion.results import number

    assert number(value, form) == printed


def test_a_valid_time_at_the_horizon_is_a_lower_bound(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    from companion import results

    metrics = {"horizon_lyapunov": {"value": 5.4}, "long_horizon_lyapunov": {"value": 29.0}}
    limits = {
        "stnn_valid_time": 5.4, "stnn_valid_time_noise1e3": 5.4, "stnn_valid_time_long": 29.0,
        "stnn_valid_time_censored": None, "stnn_mse": None,
    }  # fmt: skip
    assert {name: results.horizon(metrics, name) for name in limits} == limits
    assert results.horizon({}, "stnn_valid_time") is None

    def written(low, value, high, most):
        entry = {"value": value, "low": low, "high": high, "level": 0.95}
        entry = results.at_least(entry, most)
        return results.number(entry["value"], ".1f"), results.interval(entry, ".1f")

    assert written(5.1, 5.3, 5.4, None) == ("5.3", "5.1 to 5.4")
    assert written(5.1, 5.3, 5.4, 5.4) == ("5.3", "5.1 to ≥\u202f5.4")
    assert written(5.4, 5.4, 5.4, 5.4) == ("≥\u202f5.4", "≥\u202f5.4")


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ("build/smoke/book/page.md", {"other.doctree"}),
        ("build/smoke/book/results/run.json", set()),
        ("build/smoke/book/_config.yml", set()),
        ("dynlib/module.py", set()),
        ("workflow/book/part.py", set()),
        ("workflow/runs/outputs.py", set()),
        ("requirements.lock", set()),
    ],
)
def test_a_changed_page_alone_is_forgotten_and_any_other_change_forgets_all(
    changed, kept, tmp_path, monkeypatch
):
    monkeypatch.setattr(rendering, "ROOT", tmp_path)
    staged, output = tmp_path / "build/smoke/book", tmp_path / "build/smoke/render"
    read = output / "_build" / ".doctrees"
    machinery = ["workflow/book/part.py", "workflow/runs/outputs.py"]
    pages = [f"build/smoke/book/{name}.md" for name in ("page", "other")]
    rest = ["build/smoke/book/results/run.json", "build/smoke/book/_config.yml"]
    trees = [str(read / f"{name}.doctree") for name in ("page", "other")]
    for name in (*machinery, *pages, *rest, *trees, "dynlib/module.py", "requirements.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    before = rendering.rendered_from(staged)
    assert rendering.forget_changed(output, staged, before, rendering.rendered_from(staged))
    (tmp_path / changed).write_text("changed", encoding="utf-8")
    os.utime(tmp_path / changed, (0, 0))  # content counts, not times
    keeps = rendering.forget_changed(output, staged, before, rendering.rendered_from(staged))
    assert keeps == bool(kept)
    assert {path.name for path in read.glob("*")} == kept


def test_the_page_of_a_missing_run_is_the_same_each_time(tmp_path, monkeypatch):
    runs = load("smoke", ["hankel_operator"])
    for module in (staging, experiments):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "CITATION.cff", "book/index.md", "book/ledger.md"):
        (tmp_path / name).write_text("# Title\n", encoding="utf-8")
    page = [
        (staging.stage("smoke", runs, {}) / "runs" / "hankel_operator.ipynb").read_bytes()
        for _ in range(2)
    ]
    assert page[0] == page[1]


def test_stale_and_missing_runs_can_be_rendered_under_a_banner(copied):
    (copied / "build/smoke/results/henon_tokens.json").unlink()
    source = copied / "notebooks" / "hankel_operator.py"
    source.write_text(
        source.read_text(encoding="utf-8") + "\n\n# %%\nprint('new cell')\n", encoding="utf-8"
    )
    make(copied, "--allow-stale")
    missing, stale = (
        (copied / f"build/smoke/html/runs/{name}.html").read_text(encoding="utf-8")
        for name in ("henon_tokens", "hankel_operator")
    )
    assert "has not been made" in missing
    assert "This page is out of date" in stale
    assert "new cell" not in stale


def test_equations_are_drawn_from_the_book_itself(book, browser):
    page = browser.new_page()
    page.goto((book / "tokens" / "henon.html").as_uri())
    page.wait_for_selector("mjx-container svg", timeout=20_000)
    assert page.locator("mjx-container").count() >= 3
    page.close()


def test_search_finds_a_word(book, browser):
    page = browser.new_page()
    page.goto((book / "search.html").as_uri() + "?q=Wasserstein")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert page.locator("#search-results li").count() >= 2
    page.close()


#: Of a scene: how far its drawing reaches over its stage, and how many pixels it draws on.
DRAWN = """canvas => {
    const { data, width, height } = canvas.getContext("2d").getImageData(
        0, 0, canvas.width, canvas.height);
    let [left, right, top, bottom, many] = [width, 0, height, 0, 0];
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
        if (data[4 * (y * width + x) + 3] < 60) continue;
        many++;
        [left, right] = [Math.min(left, x), Math.max(right, x)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
    return [(right - left) / width, (bottom - top) / height, many];
}"""


def test_scenes_stand_in_their_chapters_and_fill_their_stage(book, pages, browser):
    names = [
        name
        for name in pages
        if 'class="scene3d"' in (book / f"{name}.html").read_text(encoding="utf-8")
    ]
    assert {"tokens/lorenz", "tokens/rossler", "beyond/your_system"} <= set(names)
    assert not list(book.rglob("plotly*")), "a drawing library of 4.8 MB"
    context = browser.new_context(viewport={"width": 380, "height": 900}, offline=True)
    problems = []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    for name in names:
        page.goto((book / f"{name}.html").as_uri())
        for canvas in page.locator(".scene3d canvas").all():
            canvas.scroll_into_view_if_needed()
            page.wait_for_function("canvas => canvas.width > 300", arg=canvas.element_handle())
            wide, high, many = canvas.evaluate(DRAWN)
            assert max(wide, high) > 0.8, name
            assert min(wide, high) > 0.6, name
            assert many > 2000, name
    context.close()
    assert not problems


def test_the_playground_computes_what_the_run_did(book, browser):
    page = browser.new_page()
    page.goto((book / "structure" / "arena.html").as_uri())
    page.wait_for_function("document.querySelector('.playground [role=status]').textContent")
    errors = page.evaluate(
        """() => {
            const { Playground } = window;
            const { data } = document.querySelector(".playground").playground;
            return Object.fromEntries(Object.entries(data.reference).map(([name, path]) => {
                const map = Playground.map(data.models[name], data);
                const found = Playground.rollout(map, data.starts[0], path.length);
                const off = found.flatMap((x, k) => x.map((v, i) => Math.abs(v - path[k][i])));
                return [name, [path.length, Math.max(...off)]];
            }));
        }"""
    )
    assert set(errors) == {"true", "stnn", "control", "sindy_fd2", "sindy_fd6", "polynomial_4"}
    for name, (steps, error) in errors.items():
        assert steps == 50
        assert error < 1e-6, name
    page.close()
