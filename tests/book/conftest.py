"""The built smoke book, its pages, and a browser."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "build" / "smoke" / "html"


@pytest.fixture(scope="session")
def book() -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "book", "--preset", "smoke"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return HTML


@pytest.fixture(scope="session")
def pages() -> list[str]:
    """Every page of the table of contents."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    found = [toc["root"]]

    def walk(item):
        if isinstance(item, dict):
            if "file" in item:
                found.append(item["file"])
            for value in item.values():
                walk(value)
        elif isinstance(item, list):
            for value in item:
                walk(value)

    walk(toc["parts"])
    return found


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()
