"""Requests: fields that the actions of all domains share, and the validation of JSON documents."""

from __future__ import annotations

import math
from collections.abc import Sized
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictInt,
    ValidationError,
    WithJsonSchema,
)

from isthmus.actions.action import Action
from isthmus.errors import InputError
from isthmus.reprs import one_line

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Limits for one request.

    Attributes:
        k: number of results.
        history: number of items of one history.
        batch: number of records in one request: texts, images or rows.
    """

    k: int = 1_000
    history: int = 10_000
    batch: int = 2_048


def _within(name: str, value: int, info: Any) -> None:
    # The type of ``info`` is a protocol that cannot be checked at run time.
    limits = (info.context or {}).get("limits", Limits())
    most = getattr(limits, name)
    if value > most:
        raise ValueError(f"{value:,} is more than this server's limit of {most:,}")


def _few(value: int, info: Any) -> int:
    _within("k", value, info)
    return value


def _short(value: T, info: Any) -> T:
    if isinstance(value, Sized):
        _within("history", len(value), info)
    return value


def _small(value: T, info: Any) -> T:
    if isinstance(value, Sized) and not isinstance(value, str):
        _within("batch", len(value), info)
    return value


Count = Annotated[StrictInt, Field(ge=1), AfterValidator(_few)]
"""A number of results, with the limit of the server."""

LONGEST = 2_000
"""Maximum number of letters of an id or a title."""


def given_id(value: Any) -> int | float | str:
    """Check that a JSON value can be an id or a title."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("an id is a number or a text")
    if isinstance(value, str) and len(value) > LONGEST:
        raise ValueError(f"an id of {len(value):,} letters; expected at most {LONGEST:,}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("an id is a finite number")
    return value


ID_SCHEMA: dict[str, Any] = {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "number"}]}

GivenId = Annotated[int | float | str, PlainValidator(given_id), WithJsonSchema(ID_SCHEMA)]
"""An id, or a title instead."""

AtMostHistory, AtMostBatch = AfterValidator(_short), AfterValidator(_small)
"""Limits of the server for the length of a list."""


class Request(BaseModel):
    """Base class of all requests. Unknown fields are errors, so that typing errors are noticed."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    uploads: ClassVar[tuple[str, ...]] = ()
    """Types of files, such as ``text/csv`` or ``image/``, that may be sent as they are."""

    model: str | None = Field(None, description="Name of the served model; not needed if only one has this action.")

    @classmethod
    def of_upload(cls, body: bytes) -> dict[str, Any]:
        """The document of a file of one of the types in ``uploads``.

        Raises:
            InputError: a file that cannot be read.
        """
        raise InputError("a file", expected="a JSON object")


def checked(action: Action, document: Any, limits: Limits | None = None) -> Any:
    """Validate a JSON document as a request of an action.

    Args:
        action: an action of a fitted model.
        document: the request, as returned by ``json.loads``.
        limits: limits for the request.

    Returns:
        An instance of ``action.request``.

    Raises:
        InputError: fields that are missing, unknown or wrong, or more than the limits allow.
    """
    if not isinstance(document, dict):
        raise InputError(f"a {type(document).__name__} for {action.name}", expected="a JSON object")
    try:
        return action.request.model_validate(document, context={"limits": limits or Limits()})
    except ValidationError as error:
        raise InputError(_told(error), expected=f"a request of {action.name}") from None


def finite(value: float) -> float | None:
    """A number for JSON; None for infinities and NaN."""
    return float(value) if math.isfinite(value) else None


MENTIONED = 3
"""Maximum number of mistakes in one message."""


def _told(error: ValidationError) -> str:
    """A description of the first mistakes, without the given values."""
    said = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in one["loc"])
        message = one["msg"].removeprefix("Value error, ")
        said.append(one_line(f"{place}: {message}" if place else message, 200))
    different = list(dict.fromkeys(said))
    more = len(different) - MENTIONED
    return "; ".join(different[:MENTIONED]) + (f"; and {more} more" if more > 0 else "")
