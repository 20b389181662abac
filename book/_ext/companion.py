"""The book's own Sphinx extension: numbers, verdicts and run cards from the results files.

Everything that a reader sees as a result is read here, at build time, from
``results/<preset>/<run>.json`` in the staged tree, and registered as a dependency of its
page, so that no page can keep an old number.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
from functools import cache
from html import escape, unescape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from workflow.book import on_dark
from workflow.claims import VERDICTS, Claim, read_claims
from workflow.ledger import Entry, counts, judge, ledger
from workflow.provenance import costs, provenance

log = logging.getLogger(__name__)

PRESET = os.environ.get("COMPANION_PRESET", "cpu")
#: With stale or missing runs allowed, a number that is not there is a question mark.
STALE_ALLOWED = os.environ.get("COMPANION_ALLOW_STALE") == "1"
PAPERS = {
    "tokens": ("Tokens", "shalova2020deep"),
    "stnn": ("StNN", "aluvihare2025stnn"),
}


# The staged tree stands still while a book is rendered, so that each file is parsed once.
parsed_json = cache(lambda path: json.loads(path.read_text()))
parsed_claims = cache(read_claims)


class Results:
    """Results files of the staged tree, read once, noted as dependencies where used."""

    def __init__(self, env) -> None:
        self.env = env
        self.root = Path(env.srcdir) / "results"

    def load(self, preset: str, run: str) -> dict:
        path = self.root / preset / f"{run}.json"
        self.env.note_dependency(str(path))
        try:
            return parsed_json(path)
        except OSError:
            raise LookupError(f"there are no {preset} results of {run}") from None

    def metric(self, preset: str, run: str, name: str) -> dict:
        try:
            return self.load(preset, run)["metrics"][name]
        except KeyError:
            raise LookupError(f"{run} ({preset}) records no metric {name!r}") from None


def own_run(env) -> str | None:
    """Name of the run whose page is being read."""
    return env.docname.removeprefix("runs/") if env.docname.startswith("runs/") else None


def number(value: float, form: str) -> str:
    """A number for prose: thin spaces between thousands, a real minus, powers of ten."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 and not form:
        value = int(value)
    form = form or (",d" if isinstance(value, int) else ".3g")
    text = format(value, form).replace(",", "\u2009")
    mantissa, exponent, power = text.partition("e")
    if exponent:
        sign = "\u207b" if power.startswith("-") else ""
        digits = str(int(power.lstrip("+-"))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        text = f"{mantissa}·10{sign}{digits}"
    return text.replace("-", "\u2212")


class ResultRole(SphinxRole):
    """``{res}`[preset/]run:metric[.part][:format]```; without a run, the page's own."""

    def run(self):
        pattern = r"(?:(\w+)/)?(\w*):(\w+)(?:\.(low|high|level|interval))?(?::(.*))?"
        match = re.fullmatch(pattern, self.text.strip())
        try:
            if not match:
                raise LookupError("it is not of the form [preset/]run:metric[.part][:format]")
            preset, run, name, part, form = match.groups()
            results = Results(self.env)
            entry = results.metric(preset or PRESET, run or own_run(self.env), name)
            if entry["low"] is None and part:
                text = "no interval: one value" if part == "interval" else "none"
            elif entry["value"] is None:
                text = "none"
            elif part == "interval":
                text = f"{number(entry['low'], form)} to {number(entry['high'], form)}"
            else:
                text = number(entry[part or "value"], form)
        except (LookupError, TypeError, ValueError) as error:
            text = "?"
            if not STALE_ALLOWED:
                log.warning("result %r: %s", self.text, error, location=self.get_location())
        return [nodes.inline(text, text, classes=["result"])], []


class ParameterRole(SphinxRole):
    """``{param}`run:name```: a parameter at this book's preset; without a run, the page's own."""

    def run(self):
        run, _, name = self.text.strip().partition(":")
        try:
            results = Results(self.env).load(PRESET, run or own_run(self.env))
            text = number(results["parameters"][name], "")
        except LookupError as error:
            text = "?"
            if not STALE_ALLOWED:
                log.warning("parameter %r: %s", self.text, error, location=self.get_location())
        return [nodes.inline(text, text, classes=["result"])], []


class ClaimRole(SphinxRole):
    """``{claim}`id.printed``` (or ``.claim``, ``.verdict``): a field of the ledger."""

    def run(self):
        name, _, part = self.text.strip().rpartition(".")
        claims = {claim.id: claim for claim in all_claims(self.env)}
        try:
            claim = claims[name]
            if part == "verdict":
                text = judge(claim, Results(self.env).metric, PRESET)
            else:
                text = getattr(claim, part)
        except (KeyError, AttributeError):
            log.warning("claim %r is not in claims.yml", self.text, location=self.get_location())
            text = "?"
        return [nodes.inline(text, text, classes=["result"])], []


def all_claims(env) -> list[Claim]:
    path = Path(env.srcdir) / "claims.yml"
    env.note_dependency(str(path))
    return parsed_claims(path)


def entries(env) -> list[Entry]:
    """The ledger of this book."""
    return ledger(all_claims(env), Results(env).metric, PRESET)


def parsed(directive: SphinxDirective, text: str) -> list[nodes.Node]:
    """Parse generated Markdown in place."""
    return directive.parse_text_to_nodes(text)


class RunCard(SphinxDirective):
    """``{run-card} run``: how an executed page came about, in one folded box."""

    required_arguments = 1

    def run(self):
        run = self.arguments[0]
        try:
            results = Results(self.env).load(PRESET, run)
        except LookupError as error:
            log.warning("run card: %s", error, location=self.get_location())
            return []
        facts, used = results["provenance"], results["provenance"]["versions"]
        seeds = ", ".join(map(str, facts.get("seeds", []))) or "none"
        base = f"{self.config.html_theme_options.get('repository_url', '')}/blob/main/notebooks"
        libraries = ", ".join(
            f"{name} {used[name]}"
            for name in ("torch", "transformers", "pot", "numpy")
            if name in used
        )
        where = facts["machine"]["processor"]
        unclean = " with uncommitted changes" if facts["dirty"] else ""
        rows = {
            "Preset": f"`{PRESET}`"
            + (" (proves the plumbing; quote nothing)" if PRESET == "smoke" else ""),
            "Device": f"{facts.get('device', 'cpu')}, {facts.get('threads', 1)} thread a process; "
            f"{where}, {facts['machine']['cores']} cores",
            "Seeds": seeds,
            "Time": f"{facts['wall_s']:.0f} s wall, {facts['cpu_s']:.0f} s of processor; "
            f"largest process {facts['peak_rss_mb']} MB",
            "Made": f"{facts['started'].replace('T', ' ').rstrip('Z')} UTC, commit "
            f"`{(facts['commit'] or 'none')[:10]}`{unclean}, "
            f"stamp `{facts['stamp'][:12]}`",
            "Software": f"Python {facts['python']}, {libraries}",
            "Source": f"[{results['notebook']}.py]({base}/{results['notebook']}.py)",
        }
        table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
        given = "\n".join(f"| `{k}` | `{v}` |" for k, v in results["parameters"].items())
        return parsed(
            self,
            f"::::{{dropdown}} How this page was made: preset `{PRESET}`, "
            f"{facts['wall_s'] / 60:.1f} minutes on {facts.get('device', 'cpu')}\n"
            f":class-container: run-card\n\n|  |  |\n| :--- | :--- |\n{table}\n\n"
            f"| parameter | value |\n| :--- | :--- |\n{given}\n::::\n",
        )


def options(name: str, labels: dict[str, str]) -> str:
    """Radio buttons of the ledger's filter, the first one for all."""
    items = {"": "all"} | labels
    buttons = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"'
        f"{'' if value else ' checked'}> {label}</label>"
        for value, label in items.items()
    )
    return f"<fieldset><legend>{name.capitalize()}</legend>{buttons}</fieldset>"


class Ledger(SphinxDirective):
    """``{ledger}``: every claim with what was printed, what we found, and the verdict."""

    def run(self):
        # Hidden until ledger.js wakes it: without scripts, the full list and no dead button.
        papers = {key: name for key, (name, _) in PAPERS.items()}
        verdicts = {each.replace(" ", "-"): each for each in VERDICTS}
        form = (
            f'<form class="ledger-filter" aria-label="Filter the claims" hidden>'
            f"{options('paper', papers)}{options('verdict', verdicts)}<output></output></form>"
        )
        blocks: list[nodes.Node] = [nodes.raw("", form, format="html")]
        for entry in entries(self.env):
            blocks += parsed(self, self.block(entry))
        return blocks

    def block(self, entry: Entry) -> str:
        """Markdown of one claim."""
        claim, text = entry.claim, entry.verdict
        runs = list(dict.fromkeys(each.run for each in entry.ours))
        ours = []
        for each in entry.ours:
            name = f"`{each.metric}`" if len(runs) == 1 else f"`{each.run}:{each.metric}`"
            if not each.recorded:
                ours.append(f"{name}: not run at the `{each.preset}` preset")
                continue
            whole = each.value is not None and float(each.value).is_integer()
            form = "" if whole else ".4g"  # a count is told in full
            value = "none" if each.value is None else number(float(each.value), form)
            if each.low is not None:
                value += f" ({number(each.low, '.4g')} to {number(each.high, '.4g')})"
            ours.append(f"{name} {value}")
        pages = ", ".join(f"[{run}](/runs/{run}.ipynb)" for run in runs)
        rule = f"`{claim.criterion}`" if claim.criterion else f"Untested: {claim.untested}"
        judged = "the method" if claim.scope == "method" else "the printed model"
        found = [f"Ours: {'; '.join(ours)}. See {pages}.", ""] if ours else []
        ruled = [f"Criterion, on {judged}: {rule}" if claim.criterion else rule, ""]
        if len(ours) > 8:  # out of the way, but there
            fold = [f"::::{{dropdown}} Criterion, and our {len(ours)} numbers"]
            found, ruled = [f"See {pages}.", ""], [*fold, *ruled, *found, "::::", ""]
        lines = [
            f"(claim-{claim.id})=",
            f":::::{{admonition}} {claim.claim}",
            f":class: claim paper-{claim.paper} verdict-{entry.kind.replace(' ', '-')}",
            f"**{text[0].upper()}{text[1:]}**",
            "",
            f"Printed: {claim.printed} ({PAPERS[claim.paper][0]}, {claim.place})",
            "",
            *found,
            *ruled,
            claim.note,
            ":::::",
            "",
        ]
        return "\n".join(lines)


class LedgerSummary(SphinxDirective):
    """``{ledger-summary}``: how many claims of each paper got which verdict, as table and bars."""

    def run(self):
        heads = "".join(
            f'<th scope="col"><span class="verdict-{each.replace(" ", "-")}"></span>{each}</th>'
            for each in VERDICTS
        )
        rows, all_ = [], entries(self.env)
        for paper, reading in itertools.product(PAPERS, (False, True)):
            chosen = [each for each in all_ if each.claim.reading == reading]
            row = counts(chosen).get(paper)
            if row is None:
                continue
            cells = "".join(f"<td>{row[each]}</td>" for each in VERDICTS)
            bar = "".join(
                f'<span class="verdict-{each.replace(" ", "-")}" style="flex-grow:{row[each]}">'
                "</span>"
                for each in VERDICTS
                if row[each]
            )
            whose = "our readings" if reading else "as stated"
            rows.append(
                f'<tr><th scope="row">{PAPERS[paper][0]}, {whose}</th><td>{sum(row.values())}</td>'
                f'{cells}</tr><tr aria-hidden="true"><td colspan="6"><div class="ledger-bar">{bar}'
                "</div></td></tr>"
            )
        table = (
            '<div class="pst-scrollable-table-container"><table class="table ledger-summary">'
            "<caption>Verdicts on the claims of each paper</caption>"
            f'<thead><tr><th scope="col">paper</th><th scope="col">claims</th>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
        return [nodes.raw("", table, format="html")]


class Recorded(SphinxDirective):
    """A directive about all runs that the staged tree has results of, at one preset."""

    optional_arguments = 1

    def results(self) -> list[dict]:
        results, preset = Results(self.env), (self.arguments or [PRESET])[0]
        paths = sorted((results.root / preset).glob("*.json"))
        return [results.load(preset, path.stem) for path in paths]


class RunTable(Recorded):
    """``{run-table}``: what each run took, and where."""

    def run(self):
        return parsed(self, costs(self.results()))


class Provenance(Recorded):
    """``{provenance} [preset]``: machine, versions, stamps, commits, times of all runs."""

    def run(self):
        results = self.results()
        return parsed(self, provenance(results) if results else "None.")


class Playground(SphinxDirective):
    """``{playground} view [run]``: a page that computes by itself, with the models of a run.

    The content stands in its place until the page's script has taken over, and for good where
    there is none.
    """

    required_arguments = 1
    optional_arguments = 1
    has_content = True

    def run(self):
        view, *runs = self.arguments
        inside = self.parse_content_to_nodes()
        data = link = ""
        for run in runs:
            path = Path(self.env.srcdir) / "assets" / "playground" / f"{run}.json"
            self.env.note_dependency(str(path))
            try:
                text = path.read_text()
            except OSError:
                sentence = f"The run {run} has left no models for this page: run it again."
                if not STALE_ALLOWED:
                    log.warning("playground: %s", sentence, location=self.get_location())
                return [nodes.warning("", nodes.paragraph(text=sentence)), *inside]
            # No "<" in the data, so that nothing in it can end the script.
            text = text.replace("<", "\\u003c")
            data = f'<script type="application/json">{text}</script>'
            up = "../" * self.env.docname.count("/")
            link = (
                f'<p><a href="{up}_static/playground/{run}.json" download>The models of this page '
                "as JSON</a>, in full precision.</p>"
            )
        before = (
            f'<div class="playground" data-view="{view}">{data}<div class="playground-fallback">'
            "<noscript><p>This page computes in your browser, and needs JavaScript for it. "
            "Here is what it would draw first.</p></noscript>"
        )
        return [
            nodes.raw("", before, format="html"),
            *inside,
            nodes.raw("", f"</div>{link}</div>", format="html"),
        ]


def playground_files(app, page, template, context, doctree) -> None:
    """Scripts and style of a playground, on its page only."""
    view = re.search(r'class="playground" data-view="(\w+)"', context.get("body", ""))
    if view:
        app.add_css_file("playground/playground.css")
        for name in ("dynamics", "plot", view[1]):
            app.add_js_file(f"playground/{name}.js", loading_method="defer")


def fix_links(app, page, template, context, doctree) -> None:
    """Launch, edit and download links of a run's page lead to its notebook in the repository."""
    if not page.startswith("runs/"):
        return
    notebooks = json.loads((Path(app.srcdir) / "runs" / "notebooks.json").read_text())
    notebook = notebooks[page.removeprefix("runs/")]

    def walk(item) -> None:
        if isinstance(item, list):
            for each in item:
                walk(each)
        elif isinstance(item, dict):
            walk(item.get("buttons", []))
            url = item.get("url")
            if isinstance(url, str):
                url = url.replace(f"/book/{page}.ipynb", f"/notebooks/{notebook}.ipynb")
                if "/edit/" in url:
                    url = url.removesuffix(".ipynb") + ".py"
                item["url"] = url

    walk(context.get("header_buttons", []))


IMAGE = re.compile(r'<img([^>]*?)src="([^"]*/_images/|_images/)([0-9a-zA-Z_.-]+)\.svg"([^>]*?)/?>')


def two_grounds(app, page, template, context, doctree) -> None:
    """Give every SVG figure a twin for dark mode, whose neutral colours are swapped."""

    def twin(match: re.Match) -> str:
        before, folder, name, after = match.groups()
        attributes = re.sub(r'\s?class="([^"]*)"', r"", before + " " + after).strip()
        light = f'<img class="ground-light" src="{folder}{name}.svg" {attributes} />'
        return light + f'<img class="ground-dark" src="{folder}{name}-dark.svg" {attributes} />'

    if "body" in context:
        context["body"] = IMAGE.sub(twin, context["body"])


def finish(app: Sphinx, error: Exception | None) -> None:
    """After the build: dark twins, names for arrows, MathJax and Plotly from their packages."""
    if error is not None or app.builder.format != "html":
        return
    for path in (Path(app.outdir) / "_images").glob("*.svg"):
        if not path.stem.endswith("-dark"):
            path.with_name(path.stem + "-dark.svg").write_text(on_dark(path.read_text()))
    for path in Path(app.outdir).rglob("*.html"):
        # The arrows of the sidebar say nothing; a list without list items is none.
        text = path.read_text()
        named = text.replace("<summary><span", '<summary aria-label="Its pages"><span')
        named = named.replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )
        if named != text:
            path.write_text(named)
    for package, source, name in (
        ("mathjax", "static/mathjax/es5/tex-svg.js", "mathjax/tex-svg.js"),
        ("plotly", "package_data/plotly.min.js", "plotly.min.js"),  # which scene3d.js loads
    ):
        target = Path(app.outdir) / "_static" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(importlib.util.find_spec(package).origin).parent
        shutil.copyfile(folder / source, target)


def own_scripts(app, page, template, context, doctree) -> None:
    """Scripts that one page alone needs."""
    if page == "ledger":
        app.add_js_file("ledger.js", loading_method="defer")


def open_graph(app, page, template, context, doctree) -> None:
    """What a site shows that links to a page: title, a sentence, a picture of a run."""
    base = app.config.html_baseurl
    tags = {
        "og:type": "website",
        "og:site_name": app.config.html_title,
        "og:title": re.sub("<[^>]*>", "", context.get("title", "")),
        "og:description": "Two papers on learning dynamical systems, run again: every claim, "
        "our numbers, and a verdict.",
        "og:url": f"{base}{page}.html",
        "og:image": f"{base}_static/thumbnail.png",
        "og:image:alt": "How often true orbits, GPT-2 and a Markov chain visit each cell of the "
        "Hénon attractor",
        "twitter:card": "summary_large_image",
    }
    lines = (
        f'<meta {"name" if name.startswith("twitter") else "property"}="{name}" '
        f'content="{escape(unescape(text))}" />'
        for name, text in tags.items()
    )
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


def theme_options(app: Sphinx, config) -> None:
    """What cannot stand in _config.yml, where it would replace Jupyter Book's own options."""
    config.html_theme_options |= {"navigation_with_keys": False, "show_toc_level": 2}
    # Napoleon adds the one to the other while it reads, and the next build would take that for a
    # change of configuration and read all pages again.
    config.autodoc_type_aliases = dict(config.napoleon_type_aliases)


def setup(app: Sphinx) -> dict:
    """Register everything."""
    app.connect("config-inited", theme_options)
    app.add_js_file("scene3d.js", loading_method="defer")
    app.add_role("res", ResultRole())
    app.add_role("param", ParameterRole())
    app.add_role("claim", ClaimRole())
    app.add_directive("run-card", RunCard)
    app.add_directive("run-table", RunTable)
    app.add_directive("provenance", Provenance)
    app.add_directive("ledger", Ledger)
    app.add_directive("ledger-summary", LedgerSummary)
    app.add_directive("playground", Playground)
    app.connect("html-page-context", fix_links, priority=900)
    app.connect("html-page-context", two_grounds, priority=900)
    app.connect("html-page-context", own_scripts)
    app.connect("html-page-context", open_graph)
    app.connect("html-page-context", playground_files)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
