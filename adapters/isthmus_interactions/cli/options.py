"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV (also .gz) or Parquet, one event per row.")]
UserColumn = Annotated[str | None, typer.Option("--user", help="Column of users [user, user_id, userId].")]
ItemColumn = Annotated[str | None, typer.Option("--item", help="Column of items [item, item_id, itemId, movieId].")]
ValueColumn = Annotated[str | None, typer.Option("--value", help="Column of ratings or amounts [rating, value].")]
TimeColumn = Annotated[str | None, typer.Option("--time", help="Column of times [timestamp, time].")]
Ordered = Annotated[bool, typer.Option("--ordered", help="Rows are in order; only needed without a column of times.")]
Keep = Annotated[str | None, typer.Option(help='Values that count: all, ">=4", ">3.5" [top two fifths of the scale].')]
Weights = Annotated[str, typer.Option(help="Weight of an interaction: binary, value or log.")]
Histories = Annotated[
    list[str] | None,
    typer.Option(
        "--history",
        help="Ids separated by commas, oldest first; a JSON array of ids, of [id, weight] or of [id, date] pairs; or "
        "@FILE with one history per line; may be repeated, once for each user.",
    ),
]
FeatureFile = Annotated[
    Path | None, typer.Option("--features", help="Table of items, including items without interactions.")
]
FeatureId = Annotated[str | None, typer.Option("--feature-id", help="Column of ids in --features [item, item_id, id].")]
Tags = Annotated[list[str] | None, typer.Option("--tags", help="Column of tags, a|b, in --features; may be repeated.")]
Text = Annotated[list[str] | None, typer.Option("--text", help="Column of prose in --features; may be repeated.")]
Vectors = Annotated[
    list[str] | None, typer.Option("--vectors", help="Column of embeddings in --features; may be repeated.")
]
Titles = Annotated[Path | None, typer.Option("--titles", help="Table with the ids and titles of items.")]
TitleId = Annotated[str | None, typer.Option("--title-id", help="Column of ids in --titles [item, item_id, id].")]
TitleColumn = Annotated[str | None, typer.Option("--title-column", help="Column of titles in --titles [title, name].")]
FeatureTitle = Annotated[str | None, typer.Option("--title", help="Column of titles in --features [title].")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Metric such as recall@20; may be repeated.")]
SplitName = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="users (new users), known (later interactions), leave-last-out (most recent item), temporal (what "
        "users did from one moment on) or sessions (the same for sessions) [depends on FILE].",
    ),
]
SplitAt = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="The moment of --split temporal and sessions: a date, a number as in FILE, or a share of the events "
        "before it [what DIR was trained before].",
    ),
]
SplitTarget = Annotated[
    str | None,
    typer.Option("--target", help="Events to find after the moment: the last of each user, or each successive one."),
]
SeenItems = Annotated[
    str | None, typer.Option("--seen", help="Items of the history are masked or kept in the ranking [masked].")
]
HiddenShare = Annotated[float, typer.Option("--hide", help="Share of each user's items that --split users hides.")]
