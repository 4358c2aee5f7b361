"""Converts errors of typer to the form of all other messages: what was given, what was expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer

from isthmus import plugins
from isthmus.errors import InputError

_KINDS = {"integer": "a whole number", "number": "a number"}
_NOT = re.compile(r"Input should be a valid (\w+)")
_LIMIT = re.compile(r"Input should be (greater|less) than( or equal to)? (\S+)")


def refused(error: typer.TyperException, program: str, args: Sequence[str]) -> InputError:
    """The error for arguments that a command does not accept.

    Args:
        error: the error of typer.
        program: what the user typed before the arguments.
        args: the arguments.
    """
    see = f"see {program} --help"
    option = getattr(error, "option_name", None)
    near = getattr(error, "possibilities", None)
    if option is not None and near is not None:
        meant = plugins.closest(option, near) or _question(near)
        return InputError(f"no option {option!r}", remedy="; ".join(filter(None, (meant, see))))
    expected, given = _expected(str(getattr(error, "message", ""))), _given(_names(error), args)
    if expected and given is not None:
        return InputError(given, expected=expected, remedy=see)
    return InputError(error.format_message().rstrip("."), remedy=see)


def _question(near: Sequence[str]) -> str:
    return f"did you mean {next(iter(sorted(near)))!r}?" if near else ""


def _expected(message: str) -> str:
    """The expected value; empty if typer's message has another form."""
    kind, limit = _NOT.match(message), _LIMIT.match(message)
    if kind is not None:
        return _KINDS.get(kind[1], "")
    if limit is None:
        return ""
    above, included, bound = limit[1] == "greater", limit[2] is not None, limit[3].rstrip(".")
    if included:
        return f"at least {bound}" if above else f"at most {bound}"
    return f"more than {bound}" if above else f"less than {bound}"


def _names(error: Any) -> list[str]:
    """The spellings of the option; none for an argument."""
    return [name for name in getattr(getattr(error, "param", None), "opts", ()) if name.startswith("-")]


def _given(names: Sequence[str], args: Sequence[str]) -> str | None:
    """An option and its value as they were typed; the last ones if it was repeated."""
    found = None
    for place, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names:
            found = f"{name} {value if equals else ''.join(args[place + 1 : place + 2])!r}"
        elif arg[:2] in names and len(arg) > 2 and not arg.startswith("--"):
            found = f"{arg[:2]} {arg[2:]!r}"
    return found
