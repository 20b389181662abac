"""How a page came about: run cards, and tables of all runs."""

from __future__ import annotations

from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from companion.results import PRESET, Results
from workflow.book.provenance import carried, costs, device, graphics, provenance

log = logging.getLogger(__name__)


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
            **({"GPU": gpus} if (gpus := graphics(facts)) else {}),
            "Seeds": seeds,
            "Time": f"{facts['wall_s']:.0f} s wall, {facts['cpu_s']:.0f} s of processor; "
            f"largest process {facts['peak_rss_mb']} MB",
            "Made": f"{facts['started'].replace('T', ' ').rstrip('Z')} UTC, commit "
            f"`{(facts['commit'] or 'none')[:10]}`{unclean}, "
            f"stamp `{facts['stamp'][:12]}`",
            **({"Carried": words[0].upper() + words[1:]} if (words := carried(facts)) else {}),
            "Software": f"Python {facts['python']}, {libraries}",
            "Source": f"[{results['notebook']}.py]({base}/{results['notebook']}.py)",
        }
        table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
        return self.parse_text_to_nodes(
            f"::::{{dropdown}} How this page was made: preset `{PRESET}`, "
            f"{facts['wall_s'] / 60:.1f} minutes on {device(facts)}\n"
            f":class-container: run-card\n\n|  |  |\n| :--- | :--- |\n{table}\n::::\n",
        )


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
        return self.parse_text_to_nodes(costs(self.results()))


class Provenance(Recorded):
    """``{provenance} [preset]``: machine, versions, stamps, commits, times of all runs."""

    def run(self):
        results = self.results()
        return self.parse_text_to_nodes(provenance(results) if results else "None.")
