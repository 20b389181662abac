"""Every figure that a test draws is checked for what a reader must be able to read."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from dynlib.report import style


@pytest.fixture(autouse=True)
def legible(monkeypatch):
    """No text is smaller than ten points; none outside of a picture is paler than WCAG allows."""
    plt.close("all")  # a figure that was refused stays open
    finish = style.shown

    def shown(figure, name, **words):
        figure.canvas.draw()
        for text in figure.findobj(Text):
            if text.get_text().strip() and text.get_visible():
                assert text.get_fontsize() >= 10, f"{text.get_text()!r} is too small"
                if not (text.axes and text.axes.images):
                    seen = style.contrast(to_hex(text.get_color()), style.PAPER)
                    assert seen >= 4.5, f"{text.get_text()!r} is too pale"
        return finish(figure, name, **words)

    monkeypatch.setattr(style, "shown", shown)
