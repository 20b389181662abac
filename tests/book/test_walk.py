"""A reader's walk through the book: the ledger filters, scenes turn, pages stay light and fair."""

import csv
import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image

from workflow.book.pdf import joined

ROOT = Path(__file__).resolve().parents[2]
SHOWN = "details.claim:not([hidden])"


@pytest.fixture(scope="session")
def ledger_json(book) -> dict:
    return json.loads((book.parent / "ledger.json").read_text(encoding="utf-8"))


def open_ledger(browser, book, **options):
    page = browser.new_page(**options)
    page.goto((book / "ledger.html").as_uri())
    return page


def test_the_ledger_filters_by_paper_and_verdict(book, browser, ledger_json):
    page = open_ledger(browser, book)
    claims, counts = ledger_json["claims"], ledger_json["counts"]
    assert page.locator(SHOWN).count() == len(claims)
    page.get_by_label("Paper").select_option(label="StNN")
    assert page.locator(SHOWN).count() == sum(counts["stnn"].values())
    page.get_by_label("Verdict").select_option(label="does not hold")
    assert page.locator(SHOWN).count() == counts["stnn"]["does not hold"]
    assert page.locator(f"{SHOWN}:not(.paper-stnn.verdict-does-not-hold)").count() == 0
    told = page.locator(".ledger-filter output").text_content()
    assert told == f"{counts['stnn']['does not hold']} of {len(claims)} claims"
    page.close()


def test_the_ledger_filters_from_the_keyboard(book, browser, ledger_json):
    page = open_ledger(browser, book)
    page.get_by_label("Paper").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(SHOWN).count() == sum(ledger_json["counts"]["tokens"].values())
    page.get_by_label("Verdict").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(SHOWN).count() == ledger_json["counts"]["tokens"]["holds"]
    page.close()


def test_a_link_to_a_claim_shows_it_whatever_the_filter_says(book, browser):
    page = open_ledger(browser, book)
    page.get_by_label("Paper").select_option("tokens")
    target = page.locator("#claim-stnn-parameters")
    assert not target.is_visible()
    page.evaluate("location.hash = 'claim-stnn-parameters'")
    target.wait_for(state="visible")
    assert target.evaluate("row => row.open")
    assert target.locator("code").first.is_visible()
    page.close()


def test_the_address_holds_the_filter_and_back_brings_it_again(book, browser, ledger_json):
    page = open_ledger(browser, book)
    page.get_by_label("Paper").select_option("tokens")
    page.get_by_label("Verdict").select_option("does-not-hold")
    shown, wanted = page.locator(SHOWN).count(), ledger_json["counts"]["tokens"]["does not hold"]
    assert shown == wanted
    assert page.url.endswith("?paper=tokens&verdict=does-not-hold")
    address = page.url
    page.goto((book / "index.html").as_uri())
    page.go_back()
    page.locator(".ledger-filter").wait_for()
    assert page.get_by_label("Paper").input_value() == "tokens"
    assert page.locator(SHOWN).count() == wanted
    page.goto(address.replace("does-not-hold", "nonsense"))
    assert page.locator(SHOWN).count() == sum(ledger_json["counts"]["tokens"].values())
    page.close()


def test_the_ledger_filters_by_system_reading_and_flag_from_the_address(book, browser, ledger_json):
    page = open_ledger(browser, book)
    for query, wanted in {
        "evidence=fragile": lambda each: each["flag"] not in ("", "firm"),
        "evidence=within-chance": lambda each: each["flag"] == "within chance",
        "reading=yes&paper=stnn": lambda each: each["reading"] and each["paper"] == "stnn",
        "system=rossler": lambda each: "rossler" in each["id"] + each["criterion"],
    }.items():
        page.goto((book / "ledger.html").as_uri() + "?" + query)
        found = {row["id"] for row in ledger_json["claims"] if wanted(row)}
        rows = page.locator(SHOWN).evaluate_all("rows => rows.map((row) => row.id.slice(6))")
        assert set(rows) == found, query
        assert found
    page.close()


def test_without_scripts_the_ledger_is_whole_and_has_no_dead_button(book, browser, ledger_json):
    page = open_ledger(browser, book, java_script_enabled=False)
    assert page.locator(SHOWN).count() == len(ledger_json["claims"])
    assert not page.locator(".ledger-filter").is_visible()
    page.close()


def test_the_ledger_is_offered_as_csv_and_json(book, ledger_json):
    text = (book / "ledger.html").read_text(encoding="utf-8")
    assert "quote none of its numbers" in text  # at smoke
    for name in ("ledger.csv", "ledger.json"):
        (copy,) = (book / "_downloads").rglob(name)
        assert copy.read_text(encoding="utf-8") == (book.parent / name).read_text(encoding="utf-8")
        assert f"/{name}" in text
    with (book.parent / "ledger.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [claim["id"] for claim in ledger_json["claims"]]


def test_a_scene_turns_under_the_mouse_and_under_the_keys(book, pages, browser):
    name = next(
        page
        for page in pages
        if 'class="scene3d"' in (book / f"{page}.html").read_text(encoding="utf-8")
    )
    page = browser.new_page()
    page.goto((book / f"{name}.html").as_uri())
    scene = page.locator(".scene3d").first
    scene.locator("button").click()
    stage = scene.locator(".js-plotly-plot")
    stage.locator(".gl-container canvas").first.wait_for(timeout=60_000)
    scene.get_by_text("Drag to turn").wait_for(timeout=60_000)
    eye = "stage => stage._fullLayout.scene._scene.getCamera().eye"
    before = stage.evaluate(eye)
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    dragged = stage.evaluate(eye)
    assert abs(dragged["x"] - before["x"]) + abs(dragged["y"] - before["y"]) > 0.1
    scene.locator(".scene3d-stage").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function(
        "z => document.querySelector('.js-plotly-plot')"
        "._fullLayout.scene._scene.getCamera().eye.z > z + 0.1",
        arg=dragged["z"],
    )
    page.close()


def test_the_dark_mode_that_a_reader_chose_holds_on_the_next_page(book, browser):
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto((book / "index.html").as_uri())
    theme = "document.documentElement.dataset.theme"
    for _ in range(3):  # the button goes round light, dark, auto
        if page.evaluate(theme) == "dark":
            break
        page.locator("button.theme-switch-button:visible").first.click()
    assert page.evaluate(theme) == "dark"
    page.goto((book / "tokens" / "lorenz.html").as_uri())
    assert page.evaluate(theme) == "dark"
    context.close()


def test_links_of_every_page_lead_to_files_in_the_repository(book, pages):
    base = re.escape(
        yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    )
    for name in pages:
        text = unescape((book / f"{name}.html").read_text(encoding="utf-8"))
        paths = re.findall(rf'{base}/(?:blob|edit)/main/([^"?#]+)', text)
        paths += re.findall(r'urlpath=(?:lab/)?tree/([^"&]+)', text)
        paths += re.findall(
            r'colab\.research\.google\.com/github/[^/]+/[^/]+/blob/main/([^"]+)', text
        )
        assert paths, name
        for path in paths:
            assert (ROOT / path).exists(), f"{name}: {path}"
        if name.startswith("runs/"):
            assert "mybinder.org" in text
            assert "colab.research.google.com" in text


def test_the_executed_notebook_can_be_downloaded_from_its_page(book, pages):
    for name in (name for name in pages if name.startswith("runs/")):
        text = (book / f"{name}.html").read_text(encoding="utf-8")
        assert f'href="../_sources/{name}.ipynb"' in text
        notebook = json.loads((book / "_sources" / f"{name}.ipynb").read_text(encoding="utf-8"))
        assert any(cell.get("outputs") for cell in notebook["cells"]), f"{name} is not executed"


def test_a_link_to_any_page_shows_title_and_picture(book, pages):
    for name in pages:
        soup = BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        tags = {each["property"]: each["content"] for each in soup.select("meta[property^=og]")}
        assert tags["og:title"] == soup.h1.find(string=True, recursive=False).strip()
        assert tags["og:url"].endswith(f"/{name}.html")
        assert tags["og:image"].endswith("/_static/thumbnail.png")
    with Image.open(book / "_static" / "thumbnail.png") as picture:
        assert picture.size == (1200, 630)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 8, "an empty picture"


def test_on_paper_every_page_is_there_once_and_links_stay_inside(book, pages):
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    soup = BeautifulSoup(joined(book, toc, "A title", "a note"), "html.parser")
    names = [each["id"] for each in soup.select("body [id]")]
    assert len(names) == len(set(names))
    assert [each["id"] for each in soup.select("section.bd-article")] == [
        page.replace("/", "-") for page in pages
    ]
    links = {each["href"] for each in soup.select("section.bd-article a[href]")}
    inside = {link[1:] for link in links if link.startswith("#")}
    assert len(inside) > 100
    assert inside <= set(names)
    assert all(link.startswith(("#", "http", "mailto:")) for link in links)
    for each in soup.select("body [src]"):
        assert (book / each["src"]).exists(), each["src"]
    assert not soup.select("details:not([open])")
    assert not soup.select("script[src*=theme], .cell_input, button")


@pytest.mark.parametrize(("mode", "widths"), [("light", (1280, 380)), ("dark", (380, 1280))])
def test_every_page_is_whole_light_and_fair(book, pages, browser, axe, mode, widths):
    """Opened at one width, then narrowed or widened; without a network.

    No error and no failed or outer request; nothing scrolls sideways, no figure is invisible; a
    page and its figures weigh under 3 MB (scripts and styles are the same for all, and come
    once); axe finds nothing serious (in the dark, colours alone differ).
    """
    context = browser.new_context(
        color_scheme=mode, viewport={"width": widths[0], "height": 900}, offline=True
    )
    page = context.new_page()
    found: list[str] = []
    loaded: set[str] = set()
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: found.append(f"{page.url}: failed {request.url}"))
    page.on("requestfinished", lambda request: loaded.add(request.url))
    page.on(
        "console",
        lambda message: (
            found.append(f"{page.url}: {message.text}") if message.type == "error" else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:", "blob:"))
            else found.append(f"{page.url} asks for {request.url}")
        ),
    )
    rules = "{runOnly: ['color-contrast'], " if mode == "dark" else "{"
    images = f"document.querySelectorAll('figcaption, img.ground-{mode}')"
    for name in pages:
        loaded.clear()
        page.set_viewport_size({"width": widths[0], "height": 900})
        page.goto((book / f"{name}.html").as_uri())
        page.wait_for_load_state("load")
        assert page.evaluate("document.documentElement.dataset.theme") == mode
        page.evaluate(axe)
        report = page.evaluate(
            f"axe.run(document, {rules}preload: false, resultTypes: ['violations']}})"
        )
        for problem in report["violations"]:
            if problem["impact"] in ("serious", "critical"):
                places = [node["html"][:160] for node in problem["nodes"]]
                found.append(f"{name}: {problem['id']} ({len(places)} times): {places[0]}")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if overflow > 0:
                found.append(f"{name} scrolls sideways by {overflow} px at {width} px")
            hidden = page.evaluate(
                f"[...{images}].filter(e => e.offsetHeight === 0 && !e.closest('details')).length"
            )
            if hidden:
                found.append(f"{name}: {hidden} captions or figures are invisible at {width} px")
        paths = {Path(unquote(urlparse(url).path)) for url in loaded if url.startswith("file:")}
        assert book / f"{name}.html" in paths
        size = sum(path.stat().st_size for path in paths if "_static" not in path.parts)
        if size >= 3e6:
            found.append(f"{name} weighs {size / 1e6:.1f} MB")
    context.close()
    assert not found, "\n".join(found)
