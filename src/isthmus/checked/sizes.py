"""Numbers that decide how much memory is asked for."""

from __future__ import annotations

from isthmus.errors import SettingError
from isthmus.machine.hardware import available_bytes

UNWEIGHED = 1 << 26
"""Bytes for which nobody looks at the memory."""


def check_memory(need: int, what: str) -> None:
    """Refuse a number of things that would not fit into memory.

    Args:
        need: bytes that they take at least.
        what: they are, with their number.

    Raises:
        SettingError: less memory is free.
    """
    if need > UNWEIGHED and need > (available_bytes() or need):
        raise SettingError(f"{what}, which takes {need / 1e9:,.0f} GB", expected="what fits into memory")
