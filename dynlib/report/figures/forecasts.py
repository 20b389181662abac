"""Figures of forecasts of the Lorenz system."""
