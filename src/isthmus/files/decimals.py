"""Detects the decimal separator of a table: a comma if numbers have commas and none has a point."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence

COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+")
POINT = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")
_SMALL = re.compile(r"[-+]?\d{1,3}")


def decimal_of(rows: Sequence[Sequence[str]], delimiter: str | None) -> str:
    """The decimal separator according to the first rows of a table.

    Args:
        rows: fields of the rows.
        delimiter: delimiter of the fields.

    Returns:
        A point or a comma; empty if no number has either, and later ones may have a comma.
    """
    if delimiter is None:
        return "."
    fields = [field.strip() for row in rows for field in row]
    if any(POINT.fullmatch(field) for field in fields):
        return "."
    if delimiter == ",":
        # Numbers in quotes; "1,234" is more than a thousand there.
        return "," if any(COMMA.fullmatch(field) and not _THOUSANDS.fullmatch(field) for field in fields) else "."
    commas = any(COMMA.fullmatch(field) for field in fields)
    return "" if not commas else "." if any(map(_has_thousands, zip(*rows, strict=False))) else ","


def _has_thousands(column: Sequence[str]) -> bool:
    """Whether commas separate thousands: several in one number, or three digits after each, and smaller numbers have
    none."""
    cells = [cell.strip() for cell in column]
    commas = [cell for cell in cells if "," in cell and cell.lstrip("+-")[:1].isdigit()]
    if not commas or not all(_THOUSANDS.fullmatch(cell) for cell in commas):
        return False
    return any(cell.count(",") > 1 for cell in commas) or any(_SMALL.fullmatch(cell) for cell in cells)


class DecimalSigns:
    """Detects the decimal separators of the numbers of a whole text while it is read.

    Args:
        delimiter: delimiter of the fields, a byte.
    """

    def __init__(self, delimiter: bytes) -> None:
        edge, end = rb"(?:^|[\"" + re.escape(delimiter) + rb"])", rb"(?=[\"\r" + re.escape(delimiter) + rb"]|$)"
        self._comma = re.compile(edge + rb" *[-+]?\d+,\d+ *" + end, re.MULTILINE)
        self._point = re.compile(edge + rb" *[-+]?\d*\.\d+ *" + end, re.MULTILINE)
        self.commas, self.points = False, False

    def watched(self, blocks: Iterable[bytes]) -> Generator[bytes, None, None]:
        """Pass on blocks of whole lines and inspect them."""
        for block in blocks:
            self.commas = self.commas or (b"," in block and self._comma.search(block) is not None)
            self.points = self.points or (b"." in block and self._point.search(block) is not None)
            yield block

    @property
    def decimal(self) -> str:
        """A comma if numbers have commas and none has a point; otherwise a point."""
        return "," if self.commas and not self.points else "."
