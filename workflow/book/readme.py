"""The results table of the README, written from the committed reference results."""

from __future__ import annotations

from workflow.files import ROOT, write_whole
from workflow.runs.integrity import read_reference

BEGIN, END = "<!-- results: begin (written by `make readme`) -->", "<!-- results: end -->"

#: run, metric, what it is called, printed value, format
ROWS = (
    ("henon_tokens", "w1_ratio", "Hénon: W1(generated, true) / W1(true, true)", "1.32", ".2f"),
    ("henon_tokens", "markov_w1_ratio", "… the same for a Markov chain with one token of memory", "", ".2f"),
    ("henon_tokens", "greedy_w1_ratio", "… the same for GPT-2 decoded greedily, as printed", "1.32", ".1f"),
    ("henon_tokens", "lyapunov_model", "Hénon: Lyapunov exponent from generated cells, nats", "0.4161", ".4f"),
    ("henon_tokens", "tokens_lyapunov", "… the same estimator on true cells", "", ".4f"),
    ("henon_tokens", "lyapunov_reference", "… the exponent itself", "0.4192", ".4f"),
    ("henon_tokens", "cross_entropy", "Hénon: cross-entropy of GPT-2, nats per token", "", ".3f"),
    ("henon_tokens", "best_ngram_cross_entropy", "… of the best n-gram", "", ".3f"),
    ("rossler_tokens", "w1_ratio", "Rössler: W1(generated, true) / W1(true, true)", "0.68", ".2f"),
    ("rossler_tokens", "markov_w1_ratio", "… a Markov chain", "", ".2f"),
    ("rossler_tokens", "cross_entropy", "Rössler: cross-entropy of GPT-2, nats per token", "", ".3f"),
    ("rossler_tokens", "best_ngram_cross_entropy", "… of the best n-gram", "", ".3f"),
    ("rossler_tokens", "divergence_time", "Rössler: divergence time, greedy", "4.59", ".2f"),
    ("rossler_tokens", "true_divergence_time", "… a true trajectory in the model's place", "", ".1f"),
    ("rossler_tokens", "inverse_lyapunov", "Rössler: inverse Lyapunov exponent", "5.33", ".2f"),
    ("lorenz_tokens_20", "w1_ratio", "Lorenz, 20 cells per axis: W1(generated, true) / W1(true, true)", "0.97", ".2f"),
    ("lorenz_tokens_35", "w1_ratio", "… 35 cells", "0.77", ".2f"),
    ("lorenz_tokens_50", "w1_ratio", "… 50 cells", "1.07", ".2f"),
    ("lorenz_tokens_50", "markov_w1_ratio", "… 50 cells, a Markov chain", "", ".2f"),
    ("lorenz_tokens_50", "cross_entropy", "Lorenz, 50 cells: cross-entropy of GPT-2, nats per token", "", ".3f"),
    ("lorenz_tokens_50", "best_ngram_cross_entropy", "… of the best n-gram", "", ".3f"),
    ("lorenz_tokens_50", "divergence_time", "Lorenz, 50 cells: divergence time, greedy", "1.11", ".2f"),
    ("lorenz_tokens_50", "true_divergence_time", "… a true trajectory in the model's place", "", ".1f"),
    ("lorenz_tokens_50", "inverse_lyapunov", "Lorenz: inverse Lyapunov exponent", "1.04", ".3f"),
    ("hankel_operator", "fft_crossover_n_batch1", "Hankel: size from which two FFTs are faster than the matrix (the network has 4)", "", "d"),
    ("hankel_operator", "hankel_fit_advance_error", "Hankel: error of the best Hankel matrix that advances four delays", "", ".1e"),
    ("hankel_operator", "least_squares_advance_error", "… of the best matrix", "", ".1e"),
    ("lorenz_networks", "stnn_p6_parameters", "StNN: parameters, six branches", "388", "d"),
    ("lorenz_networks", "stnn_p6_mse_validation", "StNN: one-step error on Lorenz, six branches", "3.1e-06 (released)", ".1e"),
    ("lorenz_networks", "control_p6_mse_validation", "… a plain network of the same size", "", ".1e"),
    ("lorenz_networks", "ffnn_mse_validation", "… the paper's feed-forward network, 2073 parameters", "4.3e-06 (released)", ".1e"),
    ("lorenz_networks", "printed_stnn_p6_failed_seeds", "… seeds of five that fail in the printed setting, six branches", "", "d"),
    ("lotka_volterra", "stnn_mse_test", "Ten Lotka–Volterra systems: test error of StNN, 388 parameters", "", ".0e"),
    ("lotka_volterra", "leads_mse_test", "… of LEADS, 95\u202f095 parameters", "", ".0e"),
    ("lotka_volterra", "control_mse_test", "… of a plain network of the size of StNN", "", ".0e"),
    ("lotka_volterra", "polynomial_3_mse_test", "… of cubic maps, 200 parameters", "", ".0e"),
    ("lotka_volterra", "train_time_ratio_equal_error", "… training time of StNN over LEADS, to equal error", "0.09 (53 s / 615 s)", ".2f"),
    ("lorenz_comparison", "stnn_accumulated_mse_horizon", "Lorenz forecasts: accumulated error over 600 steps, StNN", "5.5 (released)", ".1e"),
    ("lorenz_comparison", "sindy_fd2_accumulated_mse_horizon", "… SINDy, order 2", "28 (released)", ".1e"),
    ("lorenz_comparison", "sindy_fd6_accumulated_mse_horizon", "… SINDy, order 6", "", ".1e"),
    ("lorenz_comparison", "polynomial_4_accumulated_mse_horizon", "… polynomial of degree 4, least squares", "", ".1e"),
    ("lorenz_comparison", "havok_accumulated_mse_horizon", "… HAVOK, no future forcing", "", ".1e"),
)  # fmt: skip


def table() -> str:
    """The table in Markdown, at the ``cpu`` preset."""
    lines = ["| | printed | ours | interval |", "| :--- | ---: | ---: | ---: |"]
    for run, metric, label, printed, form in ROWS:
        results = read_reference(ROOT / "results" / "cpu" / f"{run}.json")
        if results is None:
            continue
        entry = results["metrics"][metric]
        interval = ""
        if entry["low"] is not None:
            interval = f"{entry['low']:{form}} to {entry['high']:{form}}"
            interval += "" if entry["level"] else " (range)"
        lines.append(f"| {label} | {printed} | {entry['value']:{form}} | {interval} |")
    return "\n".join(lines)


def rewritten(text: str) -> str:
    """The README with the present table between its marks."""
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def write_readme() -> str:
    """Write the table into the README, and say whether it changed."""
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    new = rewritten(text)
    if new == text:
        return "README.md is up to date"
    write_whole(path, new)
    return "README.md: results table written"
