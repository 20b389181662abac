"""The picture that sites show for a link to the book: panels of its first figure, as PNG."""

from __future__ import annotations

import base64
import io
import re

#: What sites that show a link's picture ask for.
SIZE = (1200, 630)
RASTER = re.compile(r'<image xlink:href="data:image/png;base64,\s*([^"]+)"')


def thumbnail(svg: str, panels: int = 4) -> bytes:
    """The first panels of a figure, side by side on white.

    The panels of Matplotlib's figure are images, which are upside down in the file.
    """
    from PIL import Image, ImageOps

    found = RASTER.findall(svg)[:panels]
    width, height = SIZE[0] // (len(found) or 1) - 24, SIZE[1] - 48
    canvas = Image.new("RGB", SIZE, "white")
    for column, data in enumerate(found):
        panel = ImageOps.flip(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
        panel = ImageOps.contain(panel, (width, height), Image.Resampling.NEAREST)
        left = 12 + column * (width + 24)
        canvas.paste(panel, (left, (SIZE[1] - panel.height) // 2), panel)
    file = io.BytesIO()
    canvas.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()
