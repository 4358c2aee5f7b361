"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV (also .gz) or Parquet, one event a row.")]
UserColumn = Annotated[str | None, typer.Option("--user", help="Column of users [user, user_id, userId].")]
ItemColumn = Annotated[str | None, typer.Option("--item", help="Column of items [item, item_id, itemId, movieId].")]
ValueColumn = Annotated[str | None, typer.Option("--value", help="Column of ratings or amounts [rating, value].")]
TimeColumn = Annotated[str | None, typer.Option("--time", help="Column of times [timestamp, time].")]
Ordered = Annotated[bool, typer.Option("--ordered", help="Rows are in order; only without a column of times.")]
Keep = Annotated[str | None, typer.Option(help='Which values count: all, ">=4", ">3.5" [top two fifths of a scale].')]
Weights = Annotated[str, typer.Option(help="What a cell holds: binary, value or log.")]
Histories = Annotated[
    list[str] | None,
    typer.Option(
        "--history",
        help="Ids with commas between, a JSON array of ids or [id, weight] pairs, or @FILE with a history a line; "
        "may be repeated, once for each person.",
    ),
]
FeatureFile = Annotated[
    Path | None, typer.Option("--features", help="A table of items, also of ones without interactions.")
]
FeatureId = Annotated[str | None, typer.Option("--feature-id", help="Its column of ids [item, item_id, id].")]
Tags = Annotated[list[str] | None, typer.Option("--tags", help="Its column of tags, a|b; may be repeated.")]
Text = Annotated[list[str] | None, typer.Option("--text", help="Its column of prose; may be repeated.")]
Vectors = Annotated[list[str] | None, typer.Option("--vectors", help="Its column of embeddings; may be repeated.")]
FeatureTitle = Annotated[str | None, typer.Option("--title", help="Its column of titles [title].")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Such as recall@20; may be repeated.")]
