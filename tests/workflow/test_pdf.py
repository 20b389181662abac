"""The book as one PDF, printed from two small pages."""

import re
from pathlib import Path

import pytest

from workflow.book import pdf
from workflow.errors import Refused

PAGE = """<html><head><title>x</title>
<script>window.MathJax = {{startup: {{promise: Promise.resolve()}}}}</script>
<link rel="next" href="x"><script data-cfasync="false">theme()</script></head>
<body><article class="bd-article"><h1 id="top">{title}</h1>{body}</article></body></html>
"""


@pytest.fixture
def html(tmp_path, monkeypatch) -> Path:
    """A rendered book of a page and a chapter."""
    html = tmp_path / "build" / "smoke" / "html"
    (html / "part").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text("title: A title\n", encoding="utf-8")
    (tmp_path / "book" / "_toc.yml").write_text(
        "root: index\nparts:\n- caption: First part\n  chapters: [{file: part/one}]\n",
        encoding="utf-8",
    )
    link = '<a href="part/one.html#top">on</a><a href="genindex.html">index</a>'
    (html / "index.html").write_text(PAGE.format(title="Home", body=link), encoding="utf-8")
    body = '<button>copy</button><img src="../a.svg"><details><p>folded</p></details><a href="https://example.org">out</a>'
    (html / "part" / "one.html").write_text(
        PAGE.format(title="Chapter", body=body), encoding="utf-8"
    )
    monkeypatch.setattr(pdf, "ROOT", tmp_path)
    return html


def test_the_pages_are_printed_into_one_file(html, chromium):
    target = pdf.make_pdf("smoke")
    assert target == html.parent / "companion.pdf"
    content = target.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 1
    assert sorted(path.name for path in html.parent.iterdir()) == ["companion.pdf", "html"]
    assert not (html / "print.html").exists()


def test_links_between_pages_become_links_within(html):
    toc = {"root": "index", "parts": [{"caption": "P", "chapters": [{"file": "part/one"}]}]}
    text = pdf.joined(html, toc, "A title", "a note")
    assert 'href="#part-one--top"' in text
    assert "genindex" not in text
    assert 'href="https://example.org"' in text
    assert '<details open="">' in text
    assert '<img src="a.svg"/>' in text
    for gone in ("<button", 'rel="next"', "theme()"):
        assert gone not in text
    assert "<title>A title</title>" in text


def test_a_page_without_text_is_named_by_what_it_lacks(html):
    (html / "index.html").write_text("<html><head></head><body></body></html>", encoding="utf-8")
    with pytest.raises(Refused, match=r"has no article\.bd-article; delete"):
        pdf.article(html, "index", set())


@pytest.mark.parametrize(
    ("preset", "words"),
    [("tiny", "there is no preset 'tiny'"), ("cpu", "there is no rendered cpu book")],
)
def test_what_cannot_be_printed_is_refused(html, preset, words):
    with pytest.raises(Refused, match=words):
        pdf.make_pdf(preset)


def test_without_chromium_nothing_is_written(html, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Refused, match="needs Chromium"):
        pdf.make_pdf("smoke")
    assert not (html / "print.html").exists()
