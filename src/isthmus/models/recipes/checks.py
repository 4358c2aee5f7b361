"""Checks that builders share."""

from __future__ import annotations

from isthmus.checked.arguments import ABOVE_ZERO, choice, real
from isthmus.plugins import closest


def check_settings(**settings: int | float) -> None:
    """Check that sizes, counts and shares are above zero.

    Raises:
        SettingError: the message names the setting.
    """
    for name, value in settings.items():
        real(name, value, "a number above 0", least=ABOVE_ZERO)


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check that a value is one of the choices.

    Args:
        name: name of the setting.
        value: the given value.
        choices: the valid values.

    Raises:
        SettingError: the message names the setting and the choices.
    """
    choice(name, value, choices, closest)
