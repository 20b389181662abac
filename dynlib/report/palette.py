"""How the methods of the second paper are called and coloured in every figure and table."""

from __future__ import annotations

from dynlib.report import style

#: One colour a method; more branches are darker.
COLOURS = {
    "true": style.INK,
    "dense": style.MUTED,
    "fft": "#2f81c1",
    "shift": "#c98a00",
    "plain": "#c98a00",
    "accelerated": "#b5669b",
    "restart": "#2f81c1",
    "stnn": "#2f81c1",
    "stnn_p1": "#8fc1e8",
    "stnn_p2": "#62a5da",
    "stnn_p4": "#3a86c4",
    "stnn_p6": "#1f6aa8",
    "printed_stnn": "#8fb8da",
    "control": "#1a9e77",
    "control_onehot": "#63b598",
    "ffnn": "#d9631e",
    "leads": "#cf4f4f",
    "leads_alone": "#cf4f4f",
    "printed_leads": "#e39a8f",
    "polynomial_2": "#4d9de0",
    "polynomial_3": "#4d9de0",
    "polynomial_4": "#4d9de0",
    "equations": "#8f8a1e",
    "persistence": style.MUTED,
    "mean": style.MUTED,
}

LABELS = {
    "true": "truth",
    "dense": "dense",
    "fft": "two FFTs",
    "shift": "shifts",
    "plain": "plain, eq. (8)",
    "accelerated": "accelerated",
    "restart": "with restart",
    "stnn": "StNN",
    "stnn_p1": "StNN, p = 1",
    "stnn_p2": "StNN, p = 2",
    "stnn_p4": "StNN, p = 4",
    "stnn_p6": "StNN, p = 6",
    "printed_stnn": "StNN, as printed",
    "control": "plain, same size",
    "control_onehot": "plain, one-hot",
    "ffnn": "FFNN-2073",
    "leads": "LEADS",
    "leads_alone": "LEADS without the shared field",
    "printed_leads": "LEADS, as published",
    "polynomial_2": "polynomials, degree 2",
    "polynomial_3": "polynomials, degree 3",
    "polynomial_4": "polynomials, degree 4",
    "equations": "true equations, fitted",
    "persistence": "no change",
    "mean": "mean of the environment",
}
