"""Models identified from trajectories by regression: polynomials, sparse fields, delays, echoes."""
