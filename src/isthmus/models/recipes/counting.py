"""A limit on the parts that a builder makes: a number of layers may be any number, and making them takes for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from isthmus.errors import IsthmusError

MOST = 20_000
"""Modules and parameters of any model."""


@contextmanager
def counted_parts(most: int, error: type[IsthmusError], expected: str) -> Iterator[None]:
    """While inside, this thread makes at most so many modules and parameters.

    Args:
        most: how many.
        error: what is raised where there are more.
        expected: what would have been right, for the error.
    """
    me, made = threading.get_ident(), 0

    def count(module: nn.Module, name: str, part: object) -> None:
        nonlocal made
        # Hooks are of the process, and other threads may build models of their own.
        made += threading.get_ident() == me
        if made > most:
            raise error(f"settings that make more than {most:,} parts", expected=expected)

    hooks = [register_module_module_registration_hook(count), register_module_parameter_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
