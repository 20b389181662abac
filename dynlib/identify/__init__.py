"""Models fitted to trajectories by regression: polynomials, sparse fields, delays, reservoirs."""
