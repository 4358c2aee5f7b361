"""Commands that do not depend on a plugin."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import plugins
from isthmus.bundle.manifest import Manifest, peek
from isthmus.cli.output import Json, emit, one_line, table
from isthmus.cli.wording import duration, figures
from isthmus.cli.wording import size as in_bytes


def adapters(as_json: Json = False) -> None:
    """List the installed adapters, without importing them."""
    found = [asdict(said) for said in plugins.installed()]
    emit({"adapters": found}, as_json, lambda: table(("name", "distribution", "version"), map(_three, found)))


def info(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A saved bundle.")],
    verify: Annotated[bool, typer.Option("--verify", help="Also check the SHA-256 of every file.")] = False,
    as_json: Json = False,
) -> None:
    """Describe a bundle as recorded in its manifest."""
    manifest = _verified(directory) if verify else peek(directory)
    document: dict[str, Any] = {"path": str(directory), **asdict(manifest)}
    document["bytes"] = sum(stamp.bytes for stamp in manifest.files.values())
    document["verified"] = verify
    emit(document, as_json, lambda: _summary(directory, manifest, document["bytes"]))


def _verified(directory: Path) -> Manifest:
    # Imported here because it brings torch, which the other commands do not need.
    from isthmus.bundle.bundle import read

    return read(directory).manifest


def _summary(directory: Path, manifest: Manifest, size: int) -> RenderableType:
    head = Text(f"{directory}: {plugins.command_name(manifest.builder)} for {manifest.plugin}, {in_bytes(size)}")
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    rows = [("created", manifest.created), ("written by", versions)]
    rows += [line for name, value in manifest.settings.items() for line in _setting(name, value)]
    # The history of a training is long; --json has all of it.
    rows += [(name.replace("_", " "), _fact(name, value)) for name, value in manifest.facts.items() if _is_short(value)]
    return Group(head, table(("", ""), rows))


def _is_short(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _fact(name: str, value: Any) -> str:
    if name.startswith("seconds"):
        return duration(value)
    return figures({name: value})[0][1] if isinstance(value, bool | int | float) and name != "seed" else one_line(value)


def _setting(name: str, value: Any) -> list[tuple[str, str]]:
    """The lines of one setting; for a list of models, such as the parts of a blend, one line per model."""
    if not (isinstance(value, list) and value and all(isinstance(part, dict) and "model" in part for part in value)):
        return [(f"setting {name}", one_line(value))]
    return [
        (
            f"{name} {number}: {plugins.command_name(part['model'])}",
            ", ".join(f"{key} {one_line(inner)}" for key, inner in part.get("settings", {}).items()),
        )
        for number, part in enumerate(value, start=1)
    ]


def _three(said: dict[str, Any]) -> tuple[str, str, str]:
    return said["name"], said["distribution"], said["version"]
