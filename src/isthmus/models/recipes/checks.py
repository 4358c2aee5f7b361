"""Checks that builders share."""

from __future__ import annotations

from isthmus.errors import SettingError
from isthmus.plugins import closest


def check_settings(**settings: int | float) -> None:
    """Check that sizes, counts and shares are above zero.

    Raises:
        SettingError: the message names the setting.
    """
    for name, value in settings.items():
        if not value > 0:
            raise SettingError(f"{name}={value}", expected="a number above 0")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check that a value is one of the choices.

    Args:
        name: name of the setting.
        value: the given value.
        choices: the valid values.

    Raises:
        SettingError: the message names the setting and the choices.
    """
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        raise SettingError(f"{name}={value!r}", expected=expected, remedy=closest(value, choices))
