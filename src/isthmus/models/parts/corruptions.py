"""Corruptions by name, for every signal.

dropout      numbers or entries become 0, the others grow to make up for it
gaussian     normal noise is added
masking      numbers become 0
salt-pepper  numbers become 0 or 1
swap         numbers become those of another row of the batch
patches      squares of 4 x 4 pixels become 0
deletion     tokens go, and the others move together
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from isthmus.batch import Bag, Grid, Signal, Tokens, Vector
from isthmus.core.corruptions.numbers import Dropout, GaussianNoise, Masking, PatchMasking, SaltAndPepper, SwapNoise
from isthmus.core.corruptions.tokens import TokenDeletion
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_choice
from isthmus.protocols import Corruption

NOISES = {
    Bag: ("dropout",),
    Vector: ("gaussian", "dropout", "masking", "swap"),
    Grid: ("gaussian", "dropout", "masking", "salt-pepper", "patches"),
    Tokens: ("deletion",),
}
"""The corruptions of each signal; the first one is the default."""

PATCH = 4
"""Edge length of a masked square in pixels."""

MADE: dict[str, tuple[Callable[[float], Corruption], float]] = {
    "dropout": (Dropout, 0.5),
    "gaussian": (GaussianNoise, 0.25),
    "masking": (Masking, 0.25),
    "salt-pepper": (SaltAndPepper, 0.1),
    "swap": (SwapNoise, 0.15),
    "patches": (partial(PatchMasking, size=PATCH), 0.5),
    "deletion": (TokenDeletion, 0.3),
}
"""The corruptions with their default levels."""


def corruption_of(signal: Signal, name: str | None = None, level: float | None = None) -> Corruption:
    """Create the corruption of a given name.

    Args:
        signal: sizes of the inputs.
        name: one of ``NOISES`` of that signal; None for the first of them.
        level: amount of noise; None for the default level.

    Returns:
        The corruption.

    Raises:
        SettingError: a corruption that the signal does not support, or a level outside its range.
    """
    choices = NOISES[type(signal)]
    name = choices[0] if name is None else name
    check_choice("noise", name, choices)
    make, usual = MADE[name]
    if name == "gaussian" and level is not None and not level > 0:
        raise SettingError(f"level={level} of Gaussian noise", expected="a standard deviation above 0")
    return make(usual if level is None else level)
