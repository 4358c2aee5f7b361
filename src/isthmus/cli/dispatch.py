"""Finds the function of a plugin for a command, and runs functions as commands.

``fit``, ``tune`` and ``demo`` are followed by the name of a plugin; all other commands by a bundle, whose manifest
names it, except those of ``ALONE`` and, if they are given none, of ``OPTIONAL``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import typer

from isthmus import plugins
from isthmus.bundle.manifest import MANIFEST, peek
from isthmus.cli.refusals import refused
from isthmus.errors import InputError
from isthmus.faces import INDEX

HELP = ("-h", "--help")
DEFAULT_DEMO = "interactions"
ON_DATA = ("fit", "tune")
"""Commands that need a plugin and data, but no bundle."""

ALONE = ("store",)
"""Commands of one plugin that need data and no bundle, and not its name either."""

OPTIONAL = ("denoise",)
"""Commands of one plugin that have a model of their own, for those who give no bundle."""

Function = Callable[..., None]


def run(function: Function, program: str, args: Sequence[str]) -> int:
    """Run an annotated function as a command.

    Args:
        function: parameters annotated for typer; the docstring is the help text.
        program: what the user typed before the arguments.
        args: the arguments.

    Returns:
        The exit status.

    Raises:
        InputError: arguments that the function does not accept.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings={"help_option_names": list(HELP)})(function)
    command = typer.main.get_command(app)
    try:
        with command.make_context(program, list(args)) as context:
            command.invoke(context)
    except typer.Exit as leave:
        return leave.exit_code
    except typer.TyperException as error:
        raise refused(error, program, args) from None
    return 0


def on_data(name: str, args: Sequence[str]) -> int:
    """Run ``isthmus fit NAME FILE ...``, or another command of ``ON_DATA``."""
    if args and not args[0].startswith("-"):
        return _run_named(args[0], name, args[1:])
    if set(HELP) & set(args):
        return _help(name, _having(name), " NAME")
    able = ", ".join(_having(name)) or "(none)"
    raise InputError(
        f"{name} needs the name of an adapter first", expected=f"one of: {able}", remedy=f"see isthmus {name} --help"
    )


def alone(name: str, args: Sequence[str]) -> int:
    """Run ``isthmus store FILES ...``, or another command of ``ALONE``, or one of ``OPTIONAL`` without a bundle."""
    having = _having(name)
    if not having:
        raise InputError(f"no installed adapter has the command {name!r}", remedy="see isthmus adapters")
    return _run_named(next(iter(having)), name, args, named=False)


def demo(args: Sequence[str]) -> int:
    """Run ``isthmus demo [NAME] ...``."""
    named = bool(args) and not args[0].startswith("-")
    return _run_named(args[0] if named else DEFAULT_DEMO, "demo", args[1:] if named else args)


def group(name: str, commands: Mapping[str, Function], args: Sequence[str]) -> int:
    """Run ``isthmus NAME VERB ...``, a built-in group of commands.

    Raises:
        InputError: no command, or an unknown one.
    """
    if args and args[0] in commands:
        return run(commands[args[0]], f"isthmus {name} {args[0]}", args[1:])
    if set(HELP) & set(args[:1]):
        for known, function in commands.items():
            run(function, f"isthmus {name} {known}", ["--help"])
        return 0
    if args:
        raise unknown(args[0], set(commands), f" for {name}", f"see isthmus {name} --help")
    raise InputError(f"{name} needs a verb", expected=", ".join(commands), remedy=f"see isthmus {name} --help")


def verb(name: str, args: Sequence[str], frame: Iterable[str], of_index: Iterable[str] = ()) -> int:
    """Run ``isthmus VERB DIR ...``, a command of the plugin that is named in the bundle's manifest.

    Args:
        name: the command.
        args: its arguments.
        frame: commands without a bundle, for suggestions.
        of_index: commands of ``isthmus index``, for suggestions if an index is given.

    Raises:
        InputError: no installed plugin, or not the bundle's plugin, has the command; or an index or no bundle was
            given (``OPTIONAL`` commands need none).
        BundleError: the directory is not a bundle.
        PluginError: the bundle's plugin cannot be imported.
    """
    directory = next((arg for arg in args if _is_bundle(arg)), None)
    if directory is not None:
        plugin = peek(directory).plugin
        if plugin == INDEX:
            meant = f"isthmus index {name} {directory}" if name in of_index else "see isthmus index --help"
            raise InputError(f"{directory!r} is an index", expected="a bundle that an adapter saved", remedy=meant)
        return _run_named(plugin, name, args, named=False)
    having = _having(name)
    if not having:
        raise unknown(name, set(frame) | {known for plugin in plugins.load_all().values() for known in plugin.commands})
    if set(HELP) & set(args):
        return _help(name, having, "")
    if name in OPTIONAL:
        return alone(name, args)
    given = next((arg for arg in args if not arg.startswith("-")), None)
    if given is None:
        raise InputError(f"{name} needs a bundle", expected=f"isthmus {name} DIR", remedy=f"see isthmus {name} --help")
    peek(given)
    raise InputError(f"{name} needs a bundle", expected=f"isthmus {name} DIR")


def unknown(name: str, known: set[str], where: str = "", otherwise: str = "see isthmus --help") -> InputError:
    """The error for an unknown verb.

    Args:
        name: the verb.
        known: those that there are.
        where: of what they are the verbs.
        otherwise: the remedy where none of them is like it.
    """
    return InputError(f"no command {name!r}{where}", remedy=plugins.closest(name, known) or otherwise)


def _run_named(plugin: str, name: str, args: Sequence[str], *, named: bool = True) -> int:
    commands = plugins.load(plugin).commands
    if name not in commands:
        raise _unknown_for(plugin, name, set(commands), named=named)
    return run(commands[name], f"isthmus {name} {plugin}" if named else f"isthmus {name}", args)


def _unknown_for(plugin: str, name: str, known: set[str], *, named: bool) -> InputError:
    """The error for a verb that the plugin does not have; others may."""
    able = " or ".join(_having(name))
    if not able:
        return unknown(name, known, f" for {plugin}")
    taken = ", ".join(sorted(known - {"demo", *ON_DATA}))
    return InputError(
        f"no command {name!r} for {plugin}",
        expected=able if named else f"a bundle of {able}",
        remedy="" if named or not taken else f"this bundle takes {taken}",
    )


def _having(name: str) -> Mapping[str, Function]:
    loaded = plugins.load_all()
    return {owner: plugin.commands[name] for owner, plugin in loaded.items() if name in plugin.commands}


def _help(name: str, having: Mapping[str, Function], place: str) -> int:
    for owner, function in having.items():
        run(function, f"isthmus {name}{place.replace('NAME', owner)}", ["--help"])
    return 0


def _is_bundle(arg: str) -> bool:
    return not arg.startswith("-") and (Path(arg) / MANIFEST).is_file()
