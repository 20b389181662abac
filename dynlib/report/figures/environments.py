"""Figures of Lotka–Volterra in many environments."""
