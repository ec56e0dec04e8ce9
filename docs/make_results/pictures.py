"""Figures as small files."""

from io import BytesIO


def smaller(png: bytes) -> bytes:
    """The same image with a palette of 64 colours, in a quarter of the space."""
    from PIL import Image

    buffer = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
