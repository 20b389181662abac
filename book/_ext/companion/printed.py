"""The printed model: how it learned in the runs that were made, and what such a run costs."""

from __future__ import annotations

from sphinx.util.docutils import SphinxDirective

from companion.cards import Recorded
from companion.drawn import figure
from companion.results import Results, number


class LearningCurves(Recorded):
    """``{learning-curves} paper``: table and figure of every run with stages.

    The figure is drawn here, from the results: the executed notebook is not in the repository.
    """

    def run(self):
        from dynlib.report import style
        from dynlib.report.figures import learning

        parts = []
        for results in self.results():
            name, metrics = results["run"], results["metrics"]
            if not learning.stages(metrics):
                continue
            style.use_style()
            parts += [
                f"**{name}**, ended by {results['provenance']['training_ended']}:",
                learning.table(metrics)._repr_markdown_(),
                figure(self.env, learning.curve(metrics), f"paper-{name}-learning"),
            ]
        return self.parse_text_to_nodes(
            "\n\n".join(parts) or "No run of the printed model has been made to its end yet."
        )


class Prices(SphinxDirective):
    """``{prices} preset/run``: what so long a training costs on cards, by the speed of that run."""

    required_arguments = 1

    def run(self):
        from dynlib.report import prices
        from dynlib.tokens.gpt import GPTConfig

        preset, _, name = self.arguments[0].partition("/")
        results = Results(self.env).load(preset, name)
        given, metrics = results["parameters"], results["metrics"]
        config = GPTConfig(
            vocabulary=metrics["vocabulary"]["value"],
            **{key: given[key] for key in ("layers", "heads", "width", "context")},
        )
        speed = metrics["train_tokens_per_s"]["value"]
        seconds = given["batch_size"] * given["context"] / speed
        card = prices.CARDS[0]  # the run was made on one
        share = prices.share_of_peak(config, given["batch_size"], seconds, card.tflops)
        tokens = metrics["train_tokens"]["value"]
        cost = number(float(prices.flops_per_token(config)), ".1e")
        rows = [
            f"| {each.card.name} | {number(each.tokens_per_second, ',.0f')} | "
            f"{each.minutes:.0f} | {each.dollars:.2f} |"
            for each in prices.prices(config, tokens, share)
        ]
        text = (
            f"Training takes {cost} operations a token. The run trained on "
            f"{number(speed, ',.0f')} tokens a second: {share:.0%} of the published peak of the "
            f"{card.name}. At that share, one pass over its {number(tokens, '')} training tokens "
            "takes, by computation:"
        )
        heads = ["| card | tokens a second | minutes a pass | US dollars a pass |"]
        rule = ["| :--- | ---: | ---: | ---: |"]
        return self.parse_text_to_nodes("\n".join([text, "", *heads, *rule, *rows]))
