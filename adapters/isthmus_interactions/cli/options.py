"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.errors import InputError
from isthmus.vocabulary import Id, Vocabulary

Data = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV (also .gz) or Parquet, one event a row.")]
UserColumn = Annotated[str | None, typer.Option("--user", help="Column of users [user, user_id, userId].")]
ItemColumn = Annotated[str | None, typer.Option("--item", help="Column of items [item, item_id, itemId, movieId].")]
ValueColumn = Annotated[str | None, typer.Option("--value", help="Column of ratings or amounts [rating, value].")]
TimeColumn = Annotated[str | None, typer.Option("--time", help="Column of times [timestamp, time].")]
Ordered = Annotated[bool, typer.Option("--ordered", help="Rows are in order; only without a column of times.")]
Keep = Annotated[str | None, typer.Option(help='Which values count: all, ">=4", ">3.5" [top two fifths of a scale].')]
Weights = Annotated[str, typer.Option(help="What a cell holds: binary, value or log.")]
Many = Annotated[int, typer.Option("-k", min=1, help="How many answers.")]
HistoryText = Annotated[str | None, typer.Option("--history", help="Ids with commas between, or a file, an id a line.")]
FeatureFile = Annotated[
    Path | None, typer.Option("--features", help="A table of items, also of ones without interactions.")
]
FeatureId = Annotated[str | None, typer.Option("--feature-id", help="Its column of ids [item, item_id, id].")]
Tags = Annotated[list[str] | None, typer.Option("--tags", help="Its column of tags, a|b; may be repeated.")]
Text = Annotated[list[str] | None, typer.Option("--text", help="Its column of prose; may be repeated.")]
Vectors = Annotated[list[str] | None, typer.Option("--vectors", help="Its column of embeddings; may be repeated.")]
FeatureTitle = Annotated[str | None, typer.Option("--title", help="Its column of titles [title].")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Such as recall@20; may be repeated.")]


def parsed_history(text: str, items: Vocabulary) -> list[Id]:
    """Ids from a command line or a file.

    Raises:
        UnknownIdError: text where the ids are numbers.
        InputError: a file that is not text.
    """
    return [items.parse(word) for word in words(text)]


def words(text: str) -> list[str]:
    """The lines of a file of that name, or what stands between commas; blanks around them do not count."""
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:
        is_file = False
    try:
        found = path.read_text(encoding="utf-8-sig").splitlines() if is_file else text.split(",")
    except UnicodeDecodeError:
        raise InputError(f"{text!r} is not text", expected="UTF-8, an id a line") from None
    return [word.strip() for word in found if word.strip()]
