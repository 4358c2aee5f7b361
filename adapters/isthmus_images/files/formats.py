"""Supported picture files: their extensions, and the formats that are opened."""

from __future__ import annotations

from functools import cache

from PIL import Image

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "TGA", "TIFF", "WEBP")

SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".mpo"}
    | {".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""Errors that Pillow raises for files that are broken or not pictures."""

NO_PICTURES = frozenset({"thumbs.db", "desktop.ini"})
"""Files that systems put into folders of pictures, which are ignored without a message."""


@cache
def formats() -> list[str]:
    """The formats that this Pillow opens; other formats (PostScript, films) are never opened, whatever their names."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]
