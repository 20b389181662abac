"""Measures: each defined once, named as in the results."""
