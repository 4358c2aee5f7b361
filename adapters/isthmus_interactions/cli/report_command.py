"""The command ``isthmus report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from isthmus.cli.options import Delimiter, Directory, Encoding, Header, Seed
from isthmus.cli.output import Json, emit, printable, status, table
from isthmus.disk import check_file
from isthmus_interactions.cli.options import (
    Data,
    HiddenShare,
    ItemColumn,
    Keep,
    Ordered,
    SeenItems,
    SplitAt,
    SplitName,
    SplitTarget,
    TimeColumn,
    UserColumn,
    ValueColumn,
)
from isthmus_interactions.files.reading import Reading, with_order
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.report.report import QualityReport, check_ending


def report(
    directory: Directory,
    file: Data,
    out: Annotated[
        Path | None, typer.Option(help="The page (.html) or the document (.json) to write [DIR.report.html].")
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    keep: Keep = None,
    ordered: Ordered = False,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Length of the rankings.")] = 20,
    split: SplitName = None,
    at: SplitAt = None,
    target: SplitTarget = None,
    seen: SeenItems = None,
    hide: HiddenShare = 0.2,
    samples: Annotated[
        int, typer.Option("--resamples", min=1, help="Number of bootstrap samples for the intervals.")
    ] = 1000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Report the quality of a bundle by groups of users and items, and problems of the model or the test data."""
    place = _place(directory) if out is None else out
    check_ending(place)
    check_file(place)
    recommender = Recommender.load(directory)
    told: Reading = {"user": user, "item": item, "value": value, "time": time, "keep": keep}
    told |= {"encoding": encoding, "delimiter": delimiter, "header": header}
    reading = with_order(told, ordered)
    asked: dict[str, Any] = {"k": k, "split": split, "at": at, "target": target, "seen": seen, "hide": hide}
    found = recommender.report(file, seed=seed, samples=samples, **asked, **reading)
    found.save(place)
    for remark in (found.protocol, *found.remarks):
        status(remark)
    emit({"path": str(place), **found.document()}, as_json, lambda: _said(place, found))


def _place(directory: Path) -> Path:
    name = f"{directory.resolve().name}.report.html"
    return Path(name) if directory.name in ("", "..") else directory.parent / name


def _said(place: Path, found: QualityReport) -> Group:
    rows = [(check.level, check.name, check.text) for check in found.checks]
    return Group(
        table(("verdict", "about", ""), rows),
        Text(),
        Text(printable(f"{found.verdict}; the report is {place}")),
    )
