"""Numbers in prose come from results: none is typed, save a short list; and what figures say."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from workflow.book.readme import BEGIN, END
from workflow.ledger.claims import read_claims
from workflow.runs.experiments import declared_runs, read_cells

ROOT = Path(__file__).resolve().parents[2]

#: What may be typed, with the reason. Each must still be there, or the list has become too long.
ALLOWED = {
    ("README.md", "2.3 GB of disk"): "what an installation takes, measured by du; no run knows it",
    ("README.md", "3.2 GB and 6.3 GB"): "likewise, and what is downloaded",
    ("book/structure/arena.md", "exceeds 0.4 of"): "defines the valid time",
    ("book/structure/arena.md", "At 10⁻³ sixth-order"): "a setting, in the names of the metrics",
    ("book/structure/arena.md", "At 10⁻² the reservoir"): "likewise",
    ("book/structure/arena.md", "noise 10⁻³"): "likewise",
    ("book/structure/arena.md", "noise 10⁻²"): "likewise",
    ("notebooks/flow_tokens.py", "at 0.5 and greedily"): "a temperature, fixed in the code",
    ("book/beyond/your_system.md", "off by 0.4 of"): "defines the valid time",
    ("notebooks/your_system.py", "off by 0.4 of"): "likewise",
    ("book/reproduce.md", "SLURM 22.05"): "a version",
    ("book/beyond/baselines.md", "·10¹² operations"): "the unit of a number from a run",
    ("notebooks/counting_study.py", "·10¹²"): "likewise",
}

#: A decimal, a percentage, a power of ten.
NUMBER = re.compile(
    r"\d+\.\d+(?:e[+-]?\d+)?|\d+(?:\.\d+)?\s?(?:%|per ?cent)|\d[eE][+-]?\d+|10[⁻⁰¹²³⁴-⁹]+|10\^"
)


def sources() -> dict[str, str]:
    """Markdown of the book, of the README and of the notebooks."""
    found = {}
    for path in sorted((ROOT / "book").rglob("*.md")):
        found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found["README.md"] = readme[: readme.index(BEGIN)] + readme[readme.index(END) :]
    for path in sorted((ROOT / "notebooks").glob("*.py")):
        cells = (text for kind, _, text in read_cells(path) if kind == "markdown")
        found[str(path.relative_to(ROOT))] = "\n\n".join(cells)
    return found


def without_code(text: str) -> str:
    """Markdown without its code blocks; what stands in directives stays."""
    lines, fences = [], []
    for line in text.splitlines():
        fence = re.match(r"\s*(`{3,})(.*)", line)
        if fence and fences and fences[-1][0] == fence[1] and not fence[2].strip():
            fences.pop()
        elif fence and not (fences and fences[-1][1] == "code"):
            fences.append((fence[1], "directive" if fence[2].startswith("{") else "code"))
            lines.append(fence[2])
        elif not (fences and fences[-1][1] == "code"):
            lines.append(line)
    return "\n".join(lines)


def prose(text: str) -> str:
    """What a reader reads as words: without code, mathematics, roles, link targets and options."""
    text = without_code(text)
    for pattern in (
        r"(?s)\$\$.*?\$\$",
        r"\{\w+\}`[^`]*`",  # roles
        r"`[^`]*`",
        r"(?s)(?<![\\$])\$(?!\$).+?\$",
        r"\]\([^)]*\)",
        r"https?://\S+",
        r"Python\s+3\.\d+|CC BY 4\.0|Propositions?\s+\d\.\d",  # names, not numbers
        r"(?m)^:(?!alt)[\w-]+:.*$",  # options of directives; an alternative text is prose
    ):
        text = re.sub(pattern, " ", text)
    return text


SOURCES = sources()


@pytest.mark.parametrize("name", SOURCES)
def test_no_number_is_typed_in_prose(name):
    allowed = [text for place, text in ALLOWED if place == name]
    typed = []
    for line in prose(SOURCES[name]).splitlines():
        for text in allowed:
            line = line.replace(text, " ")
        typed += [f"{match[0]!r} in {line.strip()!r}" for match in NUMBER.finditer(line)]
    assert not typed, "\n".join(typed)


@pytest.mark.parametrize(("name", "text"), ALLOWED)
def test_the_list_of_typed_numbers_is_no_longer_than_it_must_be(name, text):
    assert text in prose(SOURCES[name])
    assert NUMBER.search(text)


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("a ratio of 1.32 was found", True),
        ("about 12 % of them", True),
        ("some 40 percent", True),
        ("an error of 10⁻⁵", True),
        ("an error of 3e-5", True),
        (":::{list-table} With 0.4 in its title", True),
        (":alt: A curve that ends at 0.7.", True),
        ("{res}`run:metric:.2f` and {claim}`name.printed`", False),
        ("with $a = 1.4$ and `0.3`", False),
        ("$$ 0.5 $$", False),
        ("[Python](https://example.org/3.11)", False),
        ("```console\n$ pip install x==1.2\n```\n", False),
        ("```{figure} x.svg\n:name: x\n\nA caption.\n```\n\nThen 1.2 in words.\n", True),
        (":width: 12.5\n", False),
        ("```{figure} x.svg\n:name: x\n\nA caption of 1.2.\n```\n", True),
        ("twelve layers of width 768", False),
    ],
)
def test_what_counts_as_a_typed_number(text, typed):
    assert bool(NUMBER.search(prose(text))) == typed


def test_no_number_breaks_over_a_line():
    """Groups of digits are joined by narrow spaces that do not break, in pages and in scripts."""
    texts = {name: without_code(text) for name, text in SOURCES.items()}
    texts["claims.yml"] = (ROOT / "book" / "claims.yml").read_text(encoding="utf-8")
    texts["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
    broken = re.compile(r"(?<![\d.])\d{1,3}[ \u2009]\d{3}(?!\d)")
    found = [f"{name}: {each[0]}" for name, text in texts.items() for each in broken.finditer(text)]
    for path in [*(ROOT / "book" / "assets").rglob("*.js"), *(ROOT / "dynlib").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        found += [path.name] if "\u2009" in text or "\\u2009" in text else []
    assert not found


def figures(text: str) -> list[tuple[str, str]]:
    """Figures placed in Markdown: (path, body)."""
    pattern = r"(?ms)^(`{3,}|:{3,})\{figure\} (\S+)\n(.*?)^\1"
    return [(path, body) for _, path, body in re.findall(pattern, text)]


@pytest.mark.parametrize("name", [name for name in SOURCES if figures(SOURCES[name])])
def test_every_figure_has_an_alternative_text_a_name_and_a_caption(name):
    for path, body in figures(SOURCES[name]):
        options = dict(re.findall(r"(?m)^:([\w-]+): (.*)$", body))
        caption = re.sub(r"(?m)^:[\w-]+:.*$", "", body).strip()
        assert len(options.get("alt", "")) > 30, f"{name}: {path} has no alternative text"
        assert "name" in options, f"{name}: {path} has no name"
        assert len(caption) > 30, f"{name}: {path} has no caption"
        assert caption.rstrip().endswith((".", ".)")), f"{name}: {path}: {caption[-40:]!r}"


def test_every_figure_of_a_notebook_has_an_alternative_text_and_a_caption():
    import jupytext

    seen = 0
    for path in sorted((ROOT / "notebooks").glob("*.py")):
        for cell in jupytext.read(path).cells:
            style = cell.metadata.get("mystnb", {})
            if "figure" not in style:
                continue
            seen += 1
            assert len(style["figure"].get("caption", "")) > 30, f"{path.name}: {cell.source[:60]}"
            assert "name" in style["figure"], f"{path.name}: {cell.source[:60]}"
            assert len(style.get("image", {}).get("alt", "")) > 30, f"{path.name}: {style}"
    for path in sorted((ROOT / "dynlib" / "report").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("style.shown"):
                seen += 1
                words = {each.arg: each.value for each in call.keywords}
                for name in ("caption", "alt"):
                    text = ast.unparse(words[name])
                    written_elsewhere = isinstance(words[name], ast.Call)
                    assert written_elsewhere or len(text) > 30, f"{path.name}:{call.lineno}"
    assert seen >= 29  # one that several notebooks share counts once


def test_every_claim_has_a_run_or_a_reason():
    runs = declared_runs()
    for claim in read_claims(ROOT / "book" / "claims.yml"):
        named = {run.rpartition("/")[2] for run, _ in claim.metrics}
        assert (named and named <= set(runs)) or claim.untested, claim.id


def test_every_entry_of_the_bibliography_is_cited_and_findable():
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"(?ms)^@\w+\{([^,]+),(.*?)^\}", text))
    everything = "\n".join(SOURCES.values())
    cited = ",".join(re.findall(r"\{cite\w*\}`([^`]+)`", everything))
    assert set(cited.split(",")) == set(entries)
    without = {key for key, body in entries.items() if "doi =" not in body and "\\url" not in body}
    # books, a report and a collection of problems that have none, a journal that gives none
    assert without == {"sprott2003", "ulam1960", "radford2019", "flamary2021pot", "lotka1925"}


def test_every_page_of_the_table_of_contents_is_a_file_or_a_run():
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(toc)["root"] == "index"
    for name in re.findall(r"- file: (\S+)", toc):
        run = name.removeprefix("runs/")
        assert (ROOT / "book" / f"{name}.md").exists() or run in declared_runs(), name


def test_home_is_read_in_a_minute():
    """At most 350 words and 15 numbers, the verdicts apart."""
    text = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    assert len(re.findall(r"\{(?:res|param|printed|claim)\}`", text)) <= 15
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    text = re.sub(r"\{\w+\}`[^`]*`", "number", text)
    assert len(re.sub(r"\]\([^)]*\)", "]", text).split()) <= 350
