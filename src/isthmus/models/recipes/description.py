"""Descriptions of models and their settings, read from the builder: annotations, defaults and docstring."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from isthmus import plugins
from isthmus.models.recipes.docstrings import entries, summary
from isthmus.models.recipes.settings import keywords_of
from isthmus.protocols import Builder
from isthmus.reprs import brief

_PUBLISHED = re.compile(r"\s*\bPublished: (.+?)\.?$")
_WIDTH = 80


@brief
@dataclass(frozen=True)
class Setting:
    """A keyword of a builder.

    Attributes:
        name: as in ``fit(..., name=value)`` and ``--setting name=value``.
        default: its default value.
        meaning: its meaning; empty if the builder's docstring does not describe it.
        published: the value in the paper, if the docstring ends with ``Published: ...``.
    """

    name: str
    default: Any
    meaning: str
    published: str | None = None


@dataclass(frozen=True, repr=False)
class Description:
    """A model: a description, its adapters, and its settings. ``print`` shows everything.

    Attributes:
        name: as on the command line.
        adapters: the plugins that offer it.
        about: a description in one line.
        paper: the paper, if it is published.
        advice: when to use it.
        settings: in the order of the builder's keywords.
    """

    name: str
    adapters: tuple[str, ...]
    about: str
    paper: str | None
    advice: str | None
    settings: tuple[Setting, ...]

    def __repr__(self) -> str:
        values = ", ".join(f"{setting.name}={setting.default!r}" for setting in self.settings)
        lines = (self._title(), values or "no settings", "print it to read what they mean and when to use the model")
        return "\n  ".join(textwrap.shorten(line, 118, placeholder=" ...") for line in lines)

    def __str__(self) -> str:
        lines = textwrap.wrap(self._title(), _WIDTH)
        lines += textwrap.wrap(f"paper: {self.paper}", _WIDTH) if self.paper else []
        lines += textwrap.wrap(f"when to use it: {self.advice}", _WIDTH) if self.advice else []
        for setting in self.settings:
            told = [setting.meaning, f"Published: {setting.published}." if setting.published else ""]
            lines += ["", f"{setting.name} = {setting.default!r}"]
            lines += [f"    {line}" for line in textwrap.wrap(" ".join(filter(None, told)), _WIDTH - 4)]
        return "\n".join(lines)

    def _title(self) -> str:
        return f"{self.name} (for {', '.join(self.adapters)}): {self.about}"


def describe(name: str, plugin: str | None = None) -> Description:
    """Describe a model of the installed adapters and its settings.

    Args:
        name: such as ``mult-vae`` or ``mult_vae``.
        plugin: only search this plugin; needed if several plugins have different models of that name.

    Returns:
        The description, which can be printed.

    Raises:
        SettingError: no such model; the message suggests the most similar name.
        NameClashError: several plugins have different models of that name, and ``plugin`` is not given.
        PluginError: the named plugin cannot be imported.
    """
    _, builder = plugins.find_builder(name, plugin)
    wanted = plugins.python_name(name)
    having = [owner for owner, loaded in plugins.load_all().items() if loaded.builders.get(wanted) is builder]
    return described(wanted, builder, tuple(having))


def described(name: str, builder: Builder, adapters: tuple[str, ...]) -> Description:
    """The description of a builder.

    Args:
        name: name of the builder.
        builder: the function.
        adapters: the plugins that offer it.
    """
    said, meanings = summary(inspect.getdoc(builder) or ""), _meanings(builder)
    settings = tuple(
        _setting(key, keyword.default, meanings.get(key, "")) for key, keyword in keywords_of(builder).items()
    )
    return Description(plugins.command_name(name), adapters, said.about, said.paper, said.advice, settings)


def described_all() -> list[Description]:
    """All models of the installed adapters, sorted by adapters and names; a model of several adapters is listed
    once."""
    having: dict[tuple[str, int], list[str]] = {}
    builders: dict[tuple[str, int], Builder] = {}
    for owner, plugin in plugins.load_all().items():
        for name, builder in plugin.builders.items():
            having.setdefault((name, id(builder)), []).append(owner)
            builders[name, id(builder)] = builder
    found = [described(key[0], builders[key], tuple(owners)) for key, owners in having.items()]
    return sorted(found, key=lambda one: (len(one.adapters), one.adapters, one.name))


def _meanings(builder: Builder) -> dict[str, str]:
    """The meaning of each keyword: from the builder itself, or from the ``TypedDict`` that it shares with others."""
    found: dict[str, str] = {}
    hints = get_type_hints(builder)
    for parameter in inspect.signature(builder).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            for shared in get_args(hints.get(parameter.name)):
                found |= entries(shared.__doc__ or "", "Attributes")
    return found | entries(inspect.getdoc(builder) or "", "Args")


def _setting(name: str, default: Any, text: str) -> Setting:
    published = _PUBLISHED.search(text)
    if published is None:
        return Setting(name, default, text)
    return Setting(name, default, text[: published.start()], published[1])
