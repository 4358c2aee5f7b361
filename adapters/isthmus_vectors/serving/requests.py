"""What is asked of models of rows of numbers, checked."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictBool, StrictStr, model_validator

from isthmus.actions.requests import AtMostBatch, Count, Request
from isthmus.errors import InputError
from isthmus.serve.autoencoders import EmbeddingRequest, SearchRequest

Vector = Annotated[list[float], Field(min_length=1)]
Vectors = Annotated[list[Vector], Field(min_length=1), AtMostBatch]
Row = dict[str, float | int | str | bool | None]

MOST_ROWS = 100_000
"""Rows of a CSV file, whose size the limit of bodies bounds, too."""


class OfRows(Request):
    """Rows of numbers, in one of three forms."""

    uploads: ClassVar[tuple[str, ...]] = ("text/csv",)

    vectors: Vectors | None = Field(None, description="Rows of numbers, in the order of the training columns.")
    rows: Annotated[list[Row], Field(min_length=1), AtMostBatch] | None = Field(
        None, description="Rows by name of column; others than those of the training are ignored."
    )
    csv: StrictStr | None = Field(None, description="A table in delimited text with a line of names.")

    @classmethod
    def of_upload(cls, body: bytes) -> dict[str, Any]:
        """A CSV file in UTF-8."""
        try:
            return {"csv": body.decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise InputError("a CSV file that is not UTF-8", expected="UTF-8") from None

    @model_validator(mode="after")
    def _one_form(self) -> OfRows:
        if sum(one is not None for one in (self.vectors, self.rows, self.csv)) != 1:
            raise ValueError("give either vectors, rows or csv")
        return self


class Embed(EmbeddingRequest):
    """Codes of rows, in the form of OpenAI's interface."""

    input: Vector | Vectors


class Search(OfRows, SearchRequest):
    """Rows of the training data whose codes are nearest."""


class Anomalies(OfRows):
    """How unusual rows are."""

    explain: StrictBool = Field(False, description="Also tell which columns make a row unusual, where that is known.")
    columns: Count = Field(3, description="How many columns are told for each row.")


class Reconstruct(OfRows):
    """Rows that are encoded and decoded again."""


class Encode(OfRows):
    """Rows in a few bytes each."""
