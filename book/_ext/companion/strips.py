"""A strip: where a criterion is met, our value with its interval, and the printed value, as SVG."""

from __future__ import annotations

import math
from html import escape

from companion.results import number
from workflow.ledger.strip import Strip

WIDTH, HEIGHT = 160, 20
#: A range of positive numbers wider than this factor is drawn on a logarithmic axis.
WIDE = 30
ENDS = {"low": "its lower end", "high": "its upper end"}


def drawn(strip: Strip) -> str:
    """The picture, with the same in words as its label."""
    known = strip.ends()
    logarithmic = min(known) > 0 and max(known) > WIDE * min(known)
    scale = math.log if logarithmic else float
    first, last = scale(min(known)), scale(max(known))
    margin = 0.15 * (last - first) or 0.5 * abs(last) or 0.5

    def at(value: float) -> float:
        share = (scale(value) - first + margin) / (last - first + 2 * margin)
        return round(WIDTH * share, 1)

    left = at(strip.low) if math.isfinite(strip.low) else 0
    right = at(strip.high) if math.isfinite(strip.high) else WIDTH
    parts = [f'<rect class="met" x="{left}" y="2" width="{round(right - left, 1)}" height="16"/>']
    for limit in dict.fromkeys((strip.low, strip.high)):
        if math.isfinite(limit):
            parts.append(f'<path class="limit" d="M{at(limit)} 0V{HEIGHT}"/>')
    if strip.printed is not None:
        parts.append(f'<path class="printed" d="M{at(strip.printed)} 5l5 5l-5 5l-5 -5z"/>')
    ours = strip.ours
    if ours.low is not None and ours.high is not None:
        parts.append(f'<path class="ours" d="M{at(ours.low)} 10H{at(ours.high)}"/>')
        for end in sorted(strip.judged - {"value"}):
            parts.append(f'<path class="ours" d="M{at(getattr(ours, end))} 4V16"/>')
    aside = "" if "value" in strip.judged else " aside"
    parts.append(f'<circle class="ours{aside}" cx="{at(float(ours.value))}" cy="10" r="3.5"/>')
    return (
        f'<svg class="strip" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'aria-label="{escape(in_words(strip))}">{"".join(parts)}</svg>'
    )


def in_words(strip: Strip) -> str:
    """What a strip shows."""
    ours = strip.ours
    words = f"ours {short(ours.value)}"
    if ours.low is not None:
        words += f" ({short(ours.low)} to {short(ours.high)})"
    ends = [short(each) if math.isfinite(each) else "" for each in (strip.low, strip.high)]
    if all(ends):
        met = f"equal to {ends[0]}" if ends[0] == ends[1] else f"from {ends[0]} to {ends[1]}"
    else:
        met = f"up to {ends[1]}" if ends[1] else f"from {ends[0]}"
    asked = [ENDS[part] for part in ("low", "high") if part in strip.judged]
    words += f"; judged by {' and '.join(asked)}" if asked else ""
    words += f"; criterion met {met}"
    return words + (f"; printed {short(strip.printed)}" if strip.printed is not None else "")


def short(value: float) -> str:
    """A number of a strip."""
    return number(float(value), ".3g")
