"""Checks that builders share."""

from __future__ import annotations

from isthmus.checked.arguments import ABOVE_ZERO, choice, real


def check_settings(**settings: int | float) -> None:
    """Refuse sizes, counts and shares that are not above zero.

    Raises:
        SettingError: naming the setting.
    """
    for name, value in settings.items():
        real(name, value, "a number above 0", least=ABOVE_ZERO)


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices.

    Args:
        name: of the setting.
        value: what was given.
        choices: what may be given.

    Raises:
        SettingError: naming the setting and the choices.
    """
    choice(name, value, choices)
