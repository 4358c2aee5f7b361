"""Checks of numbers that decide how much memory is allocated."""

from __future__ import annotations

from isthmus.errors import SettingError
from isthmus.machine.hardware import available_bytes

UNWEIGHED = 1 << 26
"""Sizes up to this many bytes are not checked."""


def check_memory(need: int, what: str) -> None:
    """Check that an allocation fits into memory.

    Args:
        need: minimum size in bytes.
        what: description of the setting that needs it, with its value.

    Raises:
        SettingError: too little free memory.
    """
    if need > UNWEIGHED and need > (available_bytes() or need):
        raise SettingError(f"{what}, which takes {need / 1e9:,.0f} GB", expected="what fits into memory")
