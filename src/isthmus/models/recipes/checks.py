"""Checks that builders share."""

from __future__ import annotations

from isthmus.errors import SettingError
from isthmus.plugins import closest


def check_settings(**settings: int | float) -> None:
    """Refuse sizes, counts and shares that are not above zero.

    Raises:
        SettingError: naming the setting.
    """
    for name, value in settings.items():
        if not value > 0:
            raise SettingError(f"{name}={value}", expected="a number above 0")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices.

    Args:
        name: of the setting.
        value: what was given.
        choices: what may be given.

    Raises:
        SettingError: naming the setting and the choices.
    """
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        raise SettingError(f"{name}={value!r}", expected=expected, remedy=closest(value, choices))
