"""``isthmus models``: one line per model, or one model with all its settings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import plugins
from isthmus.cli.output import Json, emit, one_line, page, page_width, printable, table

if TYPE_CHECKING:
    from isthmus.models.recipes.description import Description, Setting


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A model to explain, with its settings.")] = None,
    adapter: Annotated[str | None, typer.Option(metavar="NAME", help="Only the models of this adapter.")] = None,
    as_json: Json = False,
) -> None:
    """List the models for fit ADAPTER --model, or explain one of them and its settings."""
    # Imported here because it imports torch, which the other commands do not need.
    from isthmus.models.recipes.description import describe, described_all

    if name is not None:
        model = describe(name, adapter)
        emit(asdict(model), as_json, lambda: page(_explained(model)))
        return
    if adapter is not None:
        plugins.load(adapter)
    found = [model for model in described_all() if adapter is None or adapter in model.adapters]
    emit({"models": _entries(found, adapter)}, as_json, lambda: page(_listed(found, page_width())))


def _entries(found: Sequence[Description], adapter: str | None) -> list[dict[str, object]]:
    """One entry for each adapter of each model."""
    entries: list[dict[str, object]] = [
        {
            "name": model.name,
            "plugin": owner,
            "about": model.about,
            "paper": model.paper,
            "advice": model.advice,
            "adapters": model.adapters,
        }
        for owner, model in sorted(
            ((owner, model) for model in found for owner in model.adapters), key=lambda pair: (pair[0], pair[1].name)
        )
        if adapter in (None, owner)
    ]
    return entries


def _listed(found: Sequence[Description], width: int) -> RenderableType:
    lines = []
    for adapters, group in groupby(found, key=lambda model: model.adapters):
        models = list(group)
        longest = max(len(model.name) for model in models)
        lines.append(Text(f"for {_joined(adapters)}", style="bold"))
        for model in models:
            told = f"  {model.name:<{longest}}  {_brief(model, width - longest - 4)}"
            lines.append(Text(told, no_wrap=True, overflow="ellipsis"))
        lines.append(Text())
    return Group(*lines, Text("isthmus models NAME explains a model and its settings."))


def _brief(model: Description, width: int) -> str:
    """The description, then the paper and the advice if they fit. A prefix that only repeats the name is left out."""
    lead, colon, rest = model.about.partition(": ")
    repeats = colon and _letters(_AROUND.sub("", lead.lower())) == _letters(model.name)
    told = printable(rest if repeats else model.about).rstrip(".")
    if model.paper and len(told) + len(model.paper) + 3 <= width:
        told += f" ({printable(model.paper)})"
    if model.advice and len(told) + _LEAST_ADVICE <= width:
        advice = printable(model.advice)
        told += f". {advice[:1].upper()}{advice[1:]}"
    return textwrap.shorten(told, max(width, _LEAST), placeholder="…")


def _explained(model: Description) -> RenderableType:
    said = [f"{model.name} (for {_joined(model.adapters)}): {model.about}"]
    said += [f"paper: {model.paper}"] if model.paper else []
    said += [f"when to use it: {model.advice}"] if model.advice else []
    lines = [Text(printable(line)) for line in said]
    if not model.settings:
        return Group(*lines, Text("\nIt has no settings."))
    first = model.settings[0]
    return Group(
        *lines,
        Text(),
        table(("setting", "default", "meaning"), [_row(setting) for setting in model.settings]),
        Text(f"\nset one with fit --setting NAME=VALUE, as in --setting {first.name}={one_line(first.default)}"),
    )


def _row(setting: Setting) -> tuple[str, str, str]:
    published = f" Published: {setting.published}." if setting.published else ""
    return setting.name, one_line(setting.default), _typed(setting.meaning + published)


def _typed(text: str) -> str:
    """Python values as they are typed on the command line."""
    return _WORDS.sub(lambda found: _JSON[found[0]], text)


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text)


_LEAST = 10
_LEAST_ADVICE = 50
_AROUND = re.compile(r"^an? | autoencoder$")
_JSON = {"None": "null", "True": "true", "False": "false"}
_WORDS = re.compile(rf"\b(?:{'|'.join(_JSON)})\b")
