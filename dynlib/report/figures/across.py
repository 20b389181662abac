"""Figures of several runs, drawn from what they recorded."""
