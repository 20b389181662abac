"""The machinery: from experiments.yml to executed notebooks, results and the book."""
