"""The book's own Sphinx extension: numbers, verdicts and run cards from the results files.

Everything that a reader sees as a result is read here, at build time, from
``results/<preset>/<run>.json`` in the staged tree, and registered as a dependency of its
page, so that no page can keep an old number.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from companion import (
    cards,
    drawn,
    executed,
    facts,
    ledger,
    legend,
    pages,
    playground,
    printed,
    results,
    speed,
    tables,
    weight,
)


def configure(app: Sphinx, config) -> None:
    """What cannot stand in _config.yml: there it would replace Jupyter Book's own, or be twice."""
    config.html_theme_options |= {"navigation_with_keys": False, "show_toc_level": 2}
    # Napoleon adds the one to the other while it reads, and the next build would take that for a
    # change of configuration and read all pages again.
    config.html_search_scorer = str(Path(app.srcdir) / "assets" / "scorer.js")
    if "sphinx.ext.napoleon" in app.extensions:
        config.autodoc_type_aliases = dict(config.napoleon_type_aliases or {})


def setup(app: Sphinx) -> dict:
    """Register everything."""
    app.connect("config-inited", configure)
    app.add_css_file("icons.css", priority=900)  # after the theme's
    app.add_js_file("numbers.js", loading_method="defer")
    app.add_node(results.Linked, html=(results.visit_linked, results.depart_linked))
    app.add_role("res", results.ResultRole())
    app.add_role("printed", results.PrintedRole())
    app.add_role("param", results.ParameterRole())
    app.add_role("claim", ledger.ClaimRole())
    app.add_directive("drawn", drawn.Drawn)
    app.add_directive("run-card", cards.RunCard)
    app.add_directive("run-table", cards.RunTable)
    app.add_directive("provenance", cards.Provenance)
    app.add_directive("agreement", cards.Agreement)
    app.add_directive("kept", cards.Kept)
    app.add_directive("learning-curves", printed.LearningCurves)
    app.add_directive("prices", printed.Prices)
    app.add_directive("bench-summary", speed.BenchSummary)
    app.add_directive("bench-table", speed.BenchTable)
    app.add_directive("bench-curves", speed.BenchCurves)
    app.add_directive("bench-card", speed.BenchCard)
    app.add_directive("bench-costs", speed.BenchCosts)
    app.add_domain(ledger.Claims)
    app.add_node(ledger.Row, html=(ledger.visit_row, ledger.depart_row))
    app.add_node(ledger.Sentence, html=(ledger.visit_sentence, ledger.depart_sentence))
    app.add_directive("ledger", ledger.Ledger)
    app.add_directive("ledger-summary", ledger.LedgerSummary)
    app.add_directive("playground", playground.Playground)
    app.add_directive("scene", playground.Scene)
    # Before the contents of the page are collected.
    app.connect("doctree-read", executed.executed, priority=100)
    app.connect("env-get-updated", pages.shown_elsewhere, priority=900)  # after Sphinx's numbers
    app.connect("doctree-resolved", legend.legend)
    app.connect("html-page-context", pages.fix_links, priority=900)
    app.connect("html-page-context", pages.two_grounds, priority=900)
    app.connect("html-page-context", pages.own_scripts)
    app.connect("html-page-context", pages.open_graph)
    app.connect("html-page-context", facts.page_facts, priority=400)
    app.connect("html-page-context", playground.playground_files)
    if "sphinx.ext.viewcode" in app.extensions:
        app.connect("viewcode-find-source", pages.source)
    app.connect("html-page-context", weight.mathematics, priority=900)
    app.connect("build-finished", pages.finish)
    app.connect("build-finished", weight.icons)
    app.connect("build-finished", playground.loadable)
    app.add_js_file("tables.js", loading_method="defer")
    app.connect("doctree-read", tables.finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
