"""Figures of the notebooks: one module a subject; each function draws one figure."""
