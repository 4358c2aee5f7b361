"""The settings of papers, for builders whose defaults differ from them to suit more kinds of data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

KEYWORD = "published"
"""The keyword of a builder that selects the settings of its paper."""

_ATTRIBUTE = "published_settings"


def publishes(**values: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for a builder with a keyword ``published``: if it is true, these are the defaults of the other
    keywords.

    Args:
        values: the settings of the paper that differ from the defaults.
    """

    def decorated(builder: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(builder)
        def building(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs.get(KEYWORD) is True:
                for name, value in values.items():
                    kwargs.setdefault(name, value)
            return builder(*args, **kwargs)

        setattr(building, _ATTRIBUTE, values)
        return building

    return decorated


def published_settings(builder: Callable[..., Any]) -> Mapping[str, Any]:
    """The settings of the paper that differ from the defaults of a builder; empty if it has no such keyword."""
    found: Mapping[str, Any] = getattr(builder, _ATTRIBUTE, {})
    return found
