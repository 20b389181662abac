"""The whole book as one PDF: its rendered pages in one document, printed by Chromium.

Sphinx's singlehtml would build the whole book a second time; this joins the existing pages.
Chromium draws equations and figures as on the screen, adds page numbers, and makes the outline from
the headings. Links between pages become links within the document.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from workflow.errors import Refused
from workflow.files import ROOT
from workflow.runs.experiments import check_preset

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

#: Elements that are not printed: buttons, code of notebooks, scenes in 3D, the filter.
DROPPED = (
    "a.headerlink, script, style, button, .scene3d, .ledger-filter, .claim-tools a, .cell_input, "
    "details.hide, .ground-dark, .viewcode-link, .toctree-wrapper"
)
#: Elements of the head that a printed page does not need. The last asks for the reader's theme.
UNUSED = 'link[rel~="preload"], link[rel~="next"], script[src*="theme"], script[data-cfasync]'


def chapters(toc: dict[str, Any]) -> list[tuple[str, str]]:
    """Pages in reading order, each with the caption of the part that it opens, or ``""``."""
    found = [(toc["root"], "")]

    def walk(entries: list[dict[str, Any]], caption: str) -> None:
        for entry in entries:
            found.append((entry["file"], caption))
            caption = ""
            walk(entry.get("sections", []), "")

    for part in toc["parts"]:
        walk(part["chapters"], part["caption"])
    return found


def anchor(page: str, name: str = "") -> str:
    """The unique name in the joined document of an element of a page."""
    return f"{page.replace('/', '-')}--{name}" if name else page.replace("/", "-")


def parsed(text: str) -> BeautifulSoup:
    """HTML as elements."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(text, "html.parser")


def first(document: Tag, selector: str) -> Tag:
    """The first element of a page that a CSS selector finds."""
    found = document.select_one(selector)
    if found is None:
        raise Refused(
            f"a page of the rendered book has no {selector}; delete the preset's folder html and "
            "make the book again"
        )
    return found


def article(html: Path, page: str, pages: set[str]) -> Tag:
    """The text of a page, with names and links for the joined document."""
    text = first(parsed((html / f"{page}.html").read_text(encoding="utf-8")), "article.bd-article")
    for each in text.select(DROPPED):
        each.decompose()
    for each in text.select("details"):
        each["open"] = ""
    for each in text.select("[id]"):
        each["id"] = anchor(page, str(each["id"]))
    folder = PurePosixPath(page).parent
    for each in text.select("[src]"):
        each["src"] = os.path.normpath(folder / str(each["src"]))
    for each in text.select("a[href]"):
        target, _, name = str(each["href"]).partition("#")
        if ":" in target:
            continue
        target = os.path.normpath(folder / target).removesuffix(".html") if target else page
        if target in pages:
            each["href"] = "#" + anchor(target, name)
        else:  # code listings, index, files: not in the document
            del each["href"]
    text.name = "section"
    text["id"] = anchor(page)
    return text


def joined(html: Path, toc: dict[str, Any], title: str, note: str) -> str:
    """All pages as one HTML document for the book's folder."""
    parts = chapters(toc)
    pages = {page for page, _ in parts}
    soup = parsed((html / f"{toc['root']}.html").read_text(encoding="utf-8"))
    head, root = first(soup, "head"), first(soup, "html")
    for each in head.select(UNUSED):
        each.decompose()
    root["data-theme"] = root["data-mode"] = "light"
    head.append(soup.new_tag("link", rel="stylesheet", href="_static/print.css"))
    first(head, "title").string = title
    body = soup.new_tag("body")
    body.append(parsed(f'<div class="cover"><p>{title}</p><p>{note}</p></div>'))
    for page, caption in parts:
        if caption:
            body.append(parsed(f'<p class="part">{caption}</p>'))
        body.append(article(html, page, pages))
    first(soup, "body").replace_with(body)
    return str(soup)


def make_pdf(preset: str) -> Path:
    """Print the rendered book of a preset to ``build/<preset>/companion.pdf``.

    Raises Refused if there is no rendered book, or no Chromium.
    """
    check_preset(preset)
    html = ROOT / "build" / preset / "html"
    if not (html / "index.html").exists():
        raise Refused(f"there is no rendered {preset} book; make book PRESET={preset} first")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise Refused("a PDF needs Chromium, which is not installed (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    source, target = html / "print.html", html.parent / "companion.pdf"
    source.write_text(joined(html, toc, title, f"built at the {preset} preset"), encoding="utf-8")
    part = target.with_name("companion.pdf.part")
    number = '<div style="font-size:8px;width:100%;text-align:center" class="pageNumber"></div>'
    try:
        with sync_playwright() as playwright:
            window = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = window.new_page(color_scheme="light")
            page.set_default_timeout(300_000)
            page.goto(source.as_uri())
            page.evaluate("MathJax.startup.promise")
            page.pdf(
                path=part, format="A4", outline=True, tagged=True, print_background=True,
                display_header_footer=True, header_template="<span></span>", footer_template=number,
                margin={"top": "18mm", "bottom": "20mm", "left": "20mm", "right": "20mm"},
            )  # fmt: skip
            window.close()
    finally:
        source.unlink()
    part.rename(target)
    return target
