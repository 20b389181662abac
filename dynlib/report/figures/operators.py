"""Figures of the Hankel operator."""
