"""Figures of the networks of the Lorenz system."""
