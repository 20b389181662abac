"""Figures of a user-defined system."""
