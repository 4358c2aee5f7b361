"""Validated requests to a recommender."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, StrictBool, StrictInt, StrictStr, WithJsonSchema, model_validator

from isthmus.actions.requests import ID_SCHEMA, AtMostBatch, AtMostHistory, Count, GivenId, Request, given_id

Time = int | float | str


def _entry(value: Any) -> Any:
    """An id, or a pair of an id and a time."""
    if isinstance(value, list | tuple) and len(value) != 2:
        raise ValueError("an entry is an id, a title, or a pair of an id and a time")
    return tuple(map(given_id, value)) if isinstance(value, list | tuple) else given_id(value)


PAIR: dict[str, Any] = {"type": "array", "items": ID_SCHEMA, "minItems": 2, "maxItems": 2}
Entry = Annotated[
    int | float | str | tuple[int | float | str, Time],
    PlainValidator(_entry),
    WithJsonSchema({"anyOf": [*ID_SCHEMA["anyOf"], PAIR]}),
]
History = Annotated[list[Entry], AtMostHistory]
HISTORY = "Items of one person, oldest first: ids, titles, or pairs of an id and a time."
Ids = Annotated[list[GivenId], AtMostHistory]


class AboutSomebody(Request):
    """A request about one person: by a history, or a user of the training data."""

    history: History | None = Field(None, description=HISTORY)
    user: GivenId | None = Field(None, description="A user of the training data, in place of a history.")

    @model_validator(mode="after")
    def _one_of_both(self) -> AboutSomebody:
        if (self.history is None) == (self.user is None):
            raise ValueError("give either history or user")
        return self


class Recommend(AboutSomebody):
    """Which items to recommend."""

    k: Count = Field(10, description="How many items.")
    exclude_seen: StrictBool = Field(True, description="Leave out the items of the history.")
    exclude: Ids | None = Field(None, description="Items that must not be recommended.")
    allow: Annotated[list[GivenId], AtMostBatch] | None = Field(
        None, description="The only items that may be recommended."
    )
    without_popular: float = Field(
        0.0, ge=0, le=0.99, description="Leave out this share of the catalogue, the most popular items first."
    )
    diversity: float = Field(0.0, ge=0, le=1, description="0: best first; 1: as different as possible.")
    explain: StrictBool = Field(False, description="Also tell which items of the history speak for each item.")
    calibrated: StrictBool = Field(False, description="Also tell the chance of each item to be a hit.")


class Score(Request):
    """The scores of given items, to re-rank a list of candidates."""

    history: History = Field(description=HISTORY)
    items: Annotated[list[GivenId], Field(min_length=1), AtMostBatch] = Field(description="Ids or titles of items.")


class Explain(AboutSomebody):
    """Why an item is recommended."""

    item: GivenId = Field(description="The item whose score is explained: an id or a title.")
    k: Count = Field(10, description="How many items of the history at most.")


class Similar(Request):
    """Items similar to an item."""

    item: GivenId = Field(description="An id or a title.")
    k: Count = Field(10, description="How many items.")


class Find(Request):
    """Items by their titles."""

    text: Annotated[StrictStr, Field(max_length=2_000)] = Field("", description="Part of a title, or an id.")
    k: Count = Field(10, description="How many items.")


class Points(Request):
    """Items on a map."""

    most: Annotated[StrictInt, Field(ge=2, le=20_000)] = Field(3_000, description="How many items at most.")


class Course(Request):
    """How the training went."""
