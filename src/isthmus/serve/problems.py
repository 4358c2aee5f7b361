"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.errors import BudgetError, InputError, IsthmusError, UnknownIdError

CONTENT_TYPE = "application/problem+json"
PREFIX = "urn:isthmus:problem:"


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818
    """A rejected or failed request.

    Attributes:
        kind: the last part of the type, such as ``unknown-id``.
        status: HTTP status.
        title: description of the kind of problem.
        detail: description of this problem.
        more: further members of the document.
        headers: headers of the response.
    """

    kind: str
    status: int
    title: str
    detail: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The body of the response."""
        told = {"detail": self.detail} if self.detail else {}
        return {"type": PREFIX + self.kind, "title": self.title, "status": self.status, **told, **self.more}


def problem_of(error: Exception) -> Problem:
    """The problem for an error, without details if the error is unexpected."""
    if isinstance(error, Problem):
        return error
    parts = {"given": "", "expected": "", "remedy": ""}
    parts = {name: getattr(error, name, "") for name in parts}
    more = {name: text for name, text in parts.items() if text}
    if isinstance(error, UnknownIdError):
        return Problem("unknown-id", 404, "Unknown id", str(error), more)
    if isinstance(error, BudgetError):
        return Problem("over-budget", 422, "More than the limits allow", str(error), more)
    if isinstance(error, InputError):
        return Problem("invalid-request", 422, "The request cannot be answered", str(error), more)
    if isinstance(error, IsthmusError):
        return Problem("unanswerable", 422, "The request cannot be answered", str(error), more)
    return Problem("internal", 500, "Internal error")


def busy(waiting: int) -> Problem:
    """The problem that too many requests are waiting."""
    return Problem(
        "busy",
        429,
        "Too many requests",
        f"{waiting:,} requests are waiting for this model; ask again later",
        headers={"Retry-After": "1"},
    )
