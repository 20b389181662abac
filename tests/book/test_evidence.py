"""One click to the evidence: which numbers pages quote, where each comes from, and its claims."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from pages import as_text

from workflow.book import readme, staging
from workflow.ledger.verify import compare, in_words
from workflow.runs import experiments
from workflow.runs.execute import note_metrics
from workflow.runs.experiments import load
from workflow.runs.integrity import checksum

ROOT = Path(__file__).resolve().parents[2]
RUN = "henon_tokens"


@pytest.fixture
def rebuilt(tmp_path, monkeypatch) -> Path:
    """A staged cpu book of a clone whose own run gives another ratio than its reference."""
    (run,) = load("cpu", [RUN])
    shutil.copy(ROOT / "experiments.yml", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    reference = json.loads((ROOT / "results" / "cpu" / f"{RUN}.json").read_text(encoding="utf-8"))
    for module in (staging, experiments, readme):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    rows = [row for row in readme.ROWS if row[0] == RUN]
    monkeypatch.setattr(readme, "ROWS", rows)
    text = "".join(f"- §{{res}}`{name}:{metric}:{form}`§\n" for name, metric, *_, form in rows)
    page = f"# Title\n\n{text}\n```{{agreement}}\n```\n\n```{{run-card}} {RUN}\n```\n"
    configuration = 'extensions = ["myst_parser", "sphinx_design", "companion"]\n'
    configuration += 'myst_enable_extensions = ["colon_fence"]\nexclude_patterns = ["runs"]\n'
    for name, content in {
        "results/cpu/henon_tokens.json": json.dumps(reference),
        "book/index.md": page,
        "book/conf.py": configuration,
        "_config.yml": "",
        "CITATION.cff": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    for metric in ("w1_ratio", "vocabulary"):
        reference["metrics"][metric]["value"] *= 2
    reference["provenance"]["checksum"] = checksum(reference)
    run.results.parent.mkdir(parents=True)
    run.results.write_text(json.dumps(reference), encoding="utf-8")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Page")])
    monkeypatch.setattr(staging, "readable", lambda run: True)
    monkeypatch.setattr(staging, "merged", lambda run, stale: notebook)
    return staging.stage("cpu", [run], {})


def text_of(source: Path) -> str:
    """A staged page as text."""
    text, warnings = as_text(source, source / "out")
    assert "result" not in warnings
    return " ".join(text.split())


def test_pages_quote_the_reference_as_the_readme_does_and_say_what_differs(rebuilt):
    text = text_of(rebuilt)
    printed = [line.split("|")[3].strip() for line in readme.table().splitlines()[2:]]
    quoted = text.split("§")[1::2]
    assert len(printed) == 8
    assert quoted == printed
    assert '"vocabulary" (moved, ' in text
    assert "Run by run" in text
    assert "| Numbers " in text


def test_what_was_made_here_is_staged_beside_what_is_quoted(rebuilt):
    quoted, made = (
        json.loads((rebuilt / "results" / folder / f"{RUN}.json").read_text(encoding="utf-8"))
        for folder in ("cpu", "build")
    )
    committed = json.loads((ROOT / "results" / "cpu" / f"{RUN}.json").read_text(encoding="utf-8"))
    assert quoted == committed
    assert made["metrics"]["w1_ratio"]["value"] == 2 * quoted["metrics"]["w1_ratio"]["value"]
    rows = compare(made["metrics"], quoted["metrics"])
    odd = [row for row in rows if row.verdict in ("moved", "differs")]
    count = sum(row.verdict in ("agrees", "moved", "differs") for row in rows)
    words = f"{count - len(odd)} of {count} metrics agree, within tolerance or chance"
    assert in_words(rows).startswith(words)
    assert "vocabulary" in {row.name for row in odd}


def opened(browser, book, name: str, **options):
    page = browser.new_page(**options)
    page.goto((book / f"{name}.html").as_uri())
    return page


def test_a_number_shows_its_run_on_hover_and_on_focus_and_leads_to_it(book, browser):
    page = opened(browser, book, "tokens/henon")
    number = page.locator(f"a.result[data-of='{RUN}:w1_ratio']").first
    entry = json.loads((book.parent / "results" / f"{RUN}.json").read_text(encoding="utf-8"))
    entry = entry["metrics"]["w1_ratio"]
    card = page.locator(".number-card")
    assert card.count() == 0
    number.hover()
    card.wait_for(state="visible")
    page.mouse.move(0, 0)
    card.wait_for(state="hidden")
    number.focus()
    card.wait_for(state="visible")
    text = card.inner_text()
    assert f"{RUN}:w1_ratio" in text
    assert repr(entry["value"]) in text
    assert f"range {entry['low']:.4g} to {entry['high']:.4g} over {entry['n']} batches" in text
    assert number.get_attribute("aria-describedby") == "number-card"
    page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{RUN}.html*")
    page.close()


def test_on_touch_the_first_tap_opens_the_card_inside_the_screen(book, browser):
    page = opened(
        browser, book, "tokens/henon", has_touch=True, viewport={"width": 380, "height": 800}
    )
    number = page.locator("a.result[data-of]").first
    number.tap()
    box = page.locator(".number-card").bounding_box()
    assert page.url.endswith("tokens/henon.html")
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 380
    page.locator(".number-card a").tap()
    page.wait_for_url("**/runs/*")
    page.close()


def test_every_number_and_verdict_leads_to_a_place_that_is_there(book, pages):
    """A run that was executed before places were noted has the top of its page instead."""
    ids: dict[Path, set[str]] = {}
    numbers = claims = 0
    for name in pages:
        path = book / f"{name}.html"
        for tag in re.findall(r"<a class=\"[^\"]*result[^>]*>", path.read_text(encoding="utf-8")):
            target, _, place = re.search(r'href="([^"]*)"', tag)[1].partition("#")
            file = (path.parent / target).resolve()
            if file not in ids:
                ids[file] = set(re.findall(r'\bid="([^"]+)"', file.read_text(encoding="utf-8")))
            assert not place or place in ids[file], f"{name}: {tag}"
            numbers += "data-of" in tag
            claims += place.startswith("claim-")
    assert numbers > 1000
    assert claims > 40


def test_a_verdict_leads_to_its_claim_which_can_be_copied_and_contested(book, browser):
    page = opened(browser, book, "tokens/rossler")
    page.locator("a.result[href$='#claim-rossler-distribution']").first.click()
    row = page.locator("#claim-rossler-distribution")
    assert row.evaluate("row => row.open")
    assert row.locator("svg.strip[aria-label*='criterion met up to 1.5; printed 0.68']").count()
    button = row.get_by_role("button", name="Copy link")
    text = button.evaluate(
        """button => {
            let text = null;
            const note = () => (text = document.activeElement.value);
            document.addEventListener("copy", note, { once: true });
            button.click();
            return text;
        }"""
    )
    assert text == (book / "ledger.html").as_uri() + "#claim-rossler-distribution"
    address = row.get_by_role("link", name="Contest this").get_attribute("href")
    assert "/issues/new?title=Contest%3A+rossler-distribution&body=Claim" in address
    page.close()


def test_search_finds_claims_and_pages_before_the_api(book, browser):
    page = opened(browser, book, "search")
    page.goto((book / "search.html").as_uri() + "?q=divergence+time")
    page.wait_for_function("/finished/.test(document.querySelector('#search-results')?.innerText)")
    links = page.locator("#search-results li > a").evaluate_all(
        "links => links.map((link) => link.getAttribute('href'))"
    )
    api = [place for place, link in enumerate(links) if link.startswith("api/")]
    assert sum(link.startswith("ledger.html#claim-") for link in links[:12]) >= 5, links[:12]
    assert api
    assert min(api) >= len(links) - len(api)
    page.close()


def test_the_runner_notes_which_cell_recorded_which_metric(tmp_path):
    record = tmp_path / "record.json"
    note = note_metrics(record)
    cells = [nbformat.v4.new_code_cell(f"cell {number}") for number in range(3)]
    for cell, names in zip(cells, ({}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}), strict=True):
        record.write_text(json.dumps({"metrics": names}), encoding="utf-8")
        note(cell=cell, cell_index=0, execute_reply={})
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert staging.mark_places(notebook) == {"a": "made-1", "b": "made-1", "c": "made-2"}
    assert [cell.source for cell in notebook.cells] == [
        "cell 0",
        staging.PLACE.format("made-1"),
        "cell 1",
        staging.PLACE.format("made-2"),
        "cell 2",
    ]
