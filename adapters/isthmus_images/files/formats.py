"""Which files are pictures: the endings that are looked for, and the formats that are opened."""

from __future__ import annotations

from functools import cache

from PIL import Image

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "TGA", "TIFF", "WEBP")

SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".mpo"}
    | {".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises of files that are broken or no pictures."""

NO_PICTURES = frozenset({"thumbs.db", "desktop.ini"})
"""What systems put into folders of pictures, and nobody misses."""


@cache
def formats() -> list[str]:
    """What this Pillow opens; other formats (PostScript, films) never are, whatever a file is named."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]
