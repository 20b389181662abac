"""A reader's walk through the book: the ledger filters, scenes turn, pages stay light and fair."""

import csv
import gzip
import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from pybtex.database import parse_string

from workflow.book.pdf import joined
from workflow.ledger.claims import kind

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


def test_headings_of_the_ledger_follow_its_filter(book, browser, ledger_json):
    page = open_ledger(browser, book)
    headings = page.locator("section.claims > h2:visible")
    assert page.locator("section.claims details.claim").count() == len(ledger_json["claims"])
    assert headings.count() >= 6
    page.select_option("select[name=system]", "hankel")
    assert [text.rstrip("#") for text in headings.all_text_contents()] == ["StNN: Hankel operators"]
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
        "evidence=split": lambda each: (
            each["flag"] and each["common_verdict"] and kind(each["common_verdict"]) != each["kind"]
        ),
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


def test_a_scene_turns_and_leaves_the_wheel_to_the_page(book, browser):
    page = browser.new_page()
    page.goto((book / "tokens" / "rossler.html").as_uri())
    scene = page.locator(".scene3d").first
    canvas = scene.locator("canvas")
    canvas.scroll_into_view_if_needed()
    view = scene.evaluate("scene => ({ ...scene.view })")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    turned = scene.evaluate("scene => ({ ...scene.view })")
    assert turned["across"] == pytest.approx(view["across"] - 120 / 150)
    canvas.press("ArrowUp")
    canvas.press("+")
    raised = scene.evaluate("scene => ({ ...scene.view })")
    assert raised["up"] > turned["up"]
    assert raised["zoom"] == 1.25
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 200)
    page.wait_for_function("before => scrollY > before + 100", arg=before)
    assert scene.evaluate("scene => scene.view.zoom") == 1.25
    canvas.scroll_into_view_if_needed()
    page.keyboard.down("Control")
    page.mouse.move(*(canvas.bounding_box()[side] + 60 for side in "xy"))
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('.scene3d').view.zoom > 1.3")
    assert page.evaluate("scrollY") == before
    page.keyboard.up("Control")
    scene.get_by_role("button", name="Reset the view").click()
    assert scene.evaluate("scene => ({ ...scene.view })") == view
    label = scene.locator("label").first
    image = "canvas => canvas.toDataURL()"
    whole = canvas.evaluate(image)
    label.locator("input").uncheck()
    page.wait_for_function(
        "whole => document.querySelector('.scene3d canvas').toDataURL() !== whole", arg=whole
    )
    page.close()


def copied(page, selector: str) -> list[str]:
    """What each copy button in a part of a page copies."""
    page.locator(f"{selector} .copybtn").first.wait_for(state="attached")
    return page.locator(f"{selector} .copybtn").evaluate_all(
        """buttons => buttons.map((button) => {
            let text = null;
            const note = () => (text = document.activeElement.value);
            document.addEventListener("copy", note, { once: true });
            button.click();
            return text;
        })"""
    )


def test_a_copied_command_has_no_prompt(book, browser):
    page = browser.new_page()
    page.goto((book / "reproduce.html").as_uri())
    texts = copied(page, ".highlight-console")
    assert len(texts) > 5
    for text in texts:
        for line in text.splitlines():
            assert re.match(r"(make|git|cd|export|\.venv/|python)", line), text
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
        executed = any(cell.get("outputs") for cell in notebook["cells"])
        assert executed or "optional, and was not made for this book" in text, name


def test_home_loads_little(book, browser):
    """Compressed under half a megabyte; icons and mathematics come where they are used."""
    loaded: dict[str, set[str]] = {}
    for name in ("index", "tokens/henon"):
        page = browser.new_page()
        found = loaded[name] = set()
        page.on("requestfinished", lambda request, found=found: found.add(request.url))
        page.goto((book / f"{name}.html").as_uri())
        page.wait_for_load_state("networkidle")
        icon = page.locator("button.theme-switch-button:visible i:visible").first
        assert icon.bounding_box()["width"] > 8
        page.close()
    urls = {url for url in loaded["index"] if url.startswith("file:")}
    sizes = {
        url: len(gzip.compress(Path(unquote(urlparse(url).path)).read_bytes())) for url in urls
    }
    assert sum(sizes.values()) < 500_000, sizes
    assert not [url for url in urls if "mathjax" in url or "fontawesome.js" in url]
    assert [url for url in loaded["tokens/henon"] if "mathjax" in url]
    assert not (book / "_static" / "scripts" / "fontawesome.js").exists()


def test_every_page_says_how_long_it_is_and_how_to_cite_it(book, pages, browser):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    for name in pages:
        soup = BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        assert re.search(r"\d+ minutes? to read", soup.article.text), name
        facts = soup.select_one("footer.page-facts")
        assert f"ersion {citation['version']}, numbers of " in facts.p.text
        assert {each["href"].rpartition("/")[2] for each in facts.select("p a")} == {
            "LICENSE", "LICENSE-text"
        }  # fmt: skip
    page = browser.new_page()
    page.goto((book / "tokens" / "henon.html").as_uri())
    (text,) = copied(page, ".page-facts")
    entries = parse_string(text, "bibtex").entries
    assert len(entries) == 1 + len(citation["references"])
    (own,) = (each for each in entries.values() if each.type == "software")
    assert own.fields["title"].strip("{}") == citation["title"]
    assert own.fields["url"].endswith("/tokens/henon.html")
    assert {each.fields["doi"] for each in entries.values() if "doi" in each.fields} == {
        each["doi"] for each in citation["references"]
    }
    page.close()


def test_words_of_the_tables_are_explained_once_and_lead_to_the_glossary(book, pages):
    glossary = BeautifulSoup((book / "glossary.html").read_text(encoding="utf-8"), "html.parser")
    explained = 0
    for name in pages:
        if not name.startswith(("tokens/", "structure/", "beyond/")):
            continue
        soup = BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        words = {each.text.lower() for each in soup.select("table a.word")}
        notes = soup.select("div.legend")
        assert len(notes) == bool(words), name
        for note in notes:
            explained += 1
            assert {each.text for each in note.select("dt")} == words
        for link in soup.select("table a.word"):
            term = glossary.find(id=link["href"].partition("#")[2])
            assert term.text.strip("#").strip() == link.text.lower()
            assert len(link["title"]) > 20
    assert explained >= 5


def test_a_link_to_any_page_shows_title_and_picture(book, pages):
    described = set()
    for name in pages:
        soup = BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        (meta,) = soup.select("meta[name=description]")
        described.add(meta["content"])
        assert soup.select_one("meta[property='og:description']")["content"] == meta["content"]
        tags = {each["property"]: each["content"] for each in soup.select("meta[property^=og]")}
        assert tags["og:title"] == soup.h1.find(string=True, recursive=False).strip()
        assert tags["og:url"].endswith(f"/{name}.html")
        assert tags["og:image"].endswith("/_static/thumbnail.png")
    assert len(described) >= len(pages) - 12  # the library's pages, and runs of one notebook
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
