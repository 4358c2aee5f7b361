"""Keywords of builders: their names, types and defaults, and building with them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from isthmus import plugins
from isthmus.batch import Signal
from isthmus.errors import SettingError
from isthmus.models.blend import blend, named_parts
from isthmus.models.parts.keywords import Keyword, keywords_in
from isthmus.models.recipes.counting import MOST, counted_parts
from isthmus.models.recipes.published import KEYWORD, published_settings
from isthmus.models.recipes.recent import named_model, recent
from isthmus.protocols import Builder, Recipe
from isthmus.training.run import Run

_PLAIN: Mapping[type, tuple[type, ...]] = {
    int: (int,),
    float: (int, float),
    bool: (bool,),
    str: (str,),
    NoneType: (NoneType,),
}

_LARGEST: Mapping[type, float] = {int: 2**63 - 1, float: sys.float_info.max}


def keywords_of(builder: Builder) -> dict[str, Keyword]:
    """The settings of a builder in order: its keywords without the generator, and those that it shares with others as
    ``**shared: Unpack[...]``, see ``isthmus.models.parts.keywords``."""
    found: dict[str, Keyword] = {}
    hints = get_type_hints(builder)
    for parameter in list(inspect.signature(builder).parameters.values())[1:]:
        hint = hints.get(parameter.name, Any)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            for shared in get_args(hint):
                found |= keywords_in(shared)
        elif parameter.name != "generator":
            found[parameter.name] = Keyword(parameter.default, hint)
    return found


def checked(name: str, builder: Builder, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All keywords of a builder: the given ones, checked against its annotations, and the defaults of the others, or
    with ``published=True`` the values of its paper.

    Keywords of a blend contain all keywords of each part, and those of a model with a half-life all keywords of that
    model. Because all of them are saved, a bundle does not depend on
    later changes of defaults.

    Args:
        name: name of the model, for error messages.
        builder: the builder.
        settings: the given keywords.

    Returns:
        All keywords.

    Raises:
        SettingError: an unknown keyword, or a value of the wrong type, NaN or infinite.
    """
    known = keywords_of(builder)
    for key in settings:
        if key not in known:
            expected = f"one of: {', '.join(known)}"
            raise unknown_setting(key, known, f"{name} has no setting {key!r}", expected=expected, builder=builder)
    whole = {key: keyword.default for key, keyword in known.items()}
    if settings.get(KEYWORD) is True:
        whole |= published_settings(builder)
    whole |= {key: _value(name, key, value, known[key].type) for key, value in settings.items()}
    if builder is blend:
        whole["parts"] = [
            {"model": part, "settings": checked(part, own, given)} for part, own, given in named_parts(whole["parts"])
        ]
    if builder is recent:
        part, own, given = named_model(whole["of"], whole["settings"])
        whole |= {"of": part, "settings": checked(part, own, given)}
    return whole


def unknown_setting(
    key: str, known: Iterable[str], told: str, *, expected: str = "", builder: Builder | None = None
) -> SettingError:
    """The error for a keyword that neither a model nor ``fit`` knows; the nearest one of either is suggested.

    Args:
        key: what was given.
        known: the settings of the model.
        told: what is wrong with it.
        expected: what would have been right.
        builder: of the model; None where it is not known.
    """
    keywords = _keywords_of_fit(builder) - set(known)
    near = key if key in keywords else plugins.nearest(key, {*known, *keywords})
    option = f"the option --{str(near).replace('_', '-')}" if near in OPTIONS else ""
    if near == key:
        remedy = f"{key} is a keyword of fit and no setting of a model"
        return SettingError(told, expected=expected, remedy=remedy, option=option and f"use {option}")
    remedy, option = f"did you mean {near!r}?" if near else "", option and f"did you mean {option}?"
    return SettingError(told, expected=expected, remedy=remedy, option=option)


OPTIONS = ("seed", "device", "precision", "checkpoints", "resume", "time_limit", "validation")
"""Keywords of every ``fit`` that are options of every ``fit`` on the command line, too."""


def all_settings() -> set[str]:
    """The settings of all models whose plugins are imported."""
    builders = [builder for plugin in plugins.load_imported().values() for builder in plugin.builders.values()]
    return {keyword for builder in builders for keyword in keywords_of(builder)}


def _keywords_of_fit(builder: Builder | None) -> set[str]:
    """The keywords of ``fit`` of the faces of the imported plugins, or of those that have the builder."""
    imported = list(plugins.load_imported().values())
    having = [plugin for plugin in imported if builder in plugin.builders.values()]
    faces = [face for plugin in having or imported for face in plugin.faces.values()]
    fits = [inspect.signature(face.fit).parameters.values() for face in faces if hasattr(face, "fit")]
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {*OPTIONS} | {one.name for parameters in fits for one in parameters if one.kind in named}


def built(name: str, builder: Builder, signal: Signal, run: Run, settings: Mapping[str, Any]) -> Recipe:
    """Call the builder with all its settings.

    Args:
        name: name of the model, for error messages.
        builder: the builder.
        signal: sizes of the data.
        run: its seed determines the initial weights.
        settings: all keywords, as returned by ``checked``.

    Returns:
        The recipe.

    Raises:
        SettingError: settings that the model cannot have, or a model larger than the memory.
    """
    try:
        with counted_parts(MOST, SettingError, "fewer layers"):
            return builder(signal, generator=run.generator(), **settings)
    except (RuntimeError, OverflowError, MemoryError) as error:
        # The error of torch for a layer that is larger than the memory.
        raise SettingError(
            f"{name} cannot be built for {signal} ({' '.join(str(error).split())[:200]})",
            expected="layers that fit into memory",
            remedy="choose smaller ones",
        ) from error


def _value(name: str, key: str, value: Any, wanted: Any) -> Any:
    plain, options = value.item() if isinstance(value, np.generic) else value, _options(wanted)
    if not any(_fits(plain, option) for option in options):
        raise SettingError(f"{key}={plain!r} for {name}", expected=_shown(wanted))
    # Integers are converted where a float is expected, so that 1 and 1.0 are the same setting.
    return float(plain) if type(plain) is int and float in options and int not in options else plain


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: Any, option: Any) -> bool:
    if option not in _PLAIN:
        return True  # lists and the like are the builder's own concern
    if type(value) not in _PLAIN[option]:
        return False
    return abs(value) <= _LARGEST[option] if option in _LARGEST else True


def _shown(hint: Any) -> str:
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text", NoneType: "null"}
    return " or ".join(names.get(option, str(option)) for option in _options(hint))
