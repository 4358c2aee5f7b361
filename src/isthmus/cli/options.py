"""Options that the commands of several adapters share, and how their texts become values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.errors import SettingError

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="What fit saved.")]
Contamination = Annotated[float, typer.Option(help="Share of normal records that may be flagged as anomalies.")]

TimeLimit = Annotated[str | None, typer.Option(help="What training may take, such as 90s, 10m or 2h.")]


def parsed_duration(text: str) -> float:
    """Seconds of ``90s``, ``10m``, ``1.5h``, or of a bare number.

    Raises:
        SettingError: no positive length of time.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingError(f"a time of {text!r}", expected="seconds, minutes or hours, such as 90s, 10m or 2h")
    return seconds


_UNITS = {"s": 1, "m": 60, "h": 3600}


def parsed_settings(pairs: list[str]) -> dict[str, Any]:
    """``name=value`` pairs; values are JSON, or else text.

    Raises:
        SettingError: a pair without an equals sign.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SettingError(f"--setting {pair!r}", expected="NAME=VALUE, as in --setting code=100")
        try:
            settings[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            settings[name.replace("-", "_")] = value
    return settings
