"""The results table of the README, written from the committed reference results."""

from __future__ import annotations

from workflow.execute import write_whole
from workflow.experiments import ROOT
from workflow.status import read_results

BEGIN, END = "<!-- results: begin (written by `make readme`) -->", "<!-- results: end -->"

#: run, metric, what it is called, printed value, format
ROWS = (
    ("henon_tokens", "w1_ratio", "Hénon: distance of generated states from true ones, over that of true from true", "1.32", ".2f"),
    ("henon_tokens", "markov_w1_ratio", "… the same for a Markov chain with one token of memory", "", ".2f"),
    ("henon_tokens", "greedy_w1_ratio", "… the same for GPT-2 decoded greedily, as printed", "1.32", ".1f"),
    ("henon_tokens", "lyapunov_model", "Hénon: Lyapunov exponent from generated cells, nats", "0.4161", ".4f"),
    ("henon_tokens", "tokens_lyapunov", "… the same estimator on true cells", "", ".4f"),
    ("henon_tokens", "lyapunov_reference", "… the exponent itself", "0.4192", ".4f"),
    ("henon_tokens", "cross_entropy", "Hénon: cross-entropy of GPT-2, nats per token", "", ".3f"),
    ("henon_tokens", "ngram4_cross_entropy", "… of a 4-gram", "", ".3f"),
)  # fmt: skip


def table() -> str:
    """The table in Markdown, at the ``cpu`` preset."""
    lines = ["| | printed | ours | interval |", "| :--- | ---: | ---: | ---: |"]
    for run, metric, label, printed, form in ROWS:
        results = read_results(ROOT / "results" / "cpu" / f"{run}.json")
        if results is None:
            continue
        entry = results["metrics"][metric]
        interval = ""
        if entry["low"] is not None:
            interval = f"{entry['low']:{form}} to {entry['high']:{form}}"
        lines.append(f"| {label} | {printed} | {entry['value']:{form}} | {interval} |")
    return "\n".join(lines)


def rewritten(text: str) -> str:
    """The README with the present table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def write_readme() -> str:
    """Write the table into the README, and say whether it changed."""
    path = ROOT / "README.md"
    text = path.read_text()
    new = rewritten(text)
    if new == text:
        return "README.md is up to date"
    write_whole(path, new)
    return "README.md: results table written"
