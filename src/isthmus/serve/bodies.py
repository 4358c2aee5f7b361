"""Converts the body of a request, JSON or an uploaded file, to a document."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request as HttpRequest
from pydantic_core import from_json

from isthmus.actions import Action
from isthmus.serve.problems import Problem
from isthmus.serve.settings import ServerSettings

JSON = "application/json"


async def body_of(request: HttpRequest, settings: ServerSettings) -> bytes:
    """The bytes of a request.

    Raises:
        Problem: more than the limit, or a body that takes too long to arrive.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.body:
        raise _too_large(settings)
    parts, size = [], 0
    try:
        async with asyncio.timeout(settings.patience):
            async for part in request.stream():
                size += len(part)
                if size > settings.body:
                    raise _too_large(settings)
                parts.append(part)
    except TimeoutError:
        raise Problem("slow-body", 408, "The body took too long", f"more than {settings.patience:g} s") from None
    return b"".join(parts)


def kind_of(request: HttpRequest) -> str:
    """The type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Problem: not JSON, or not an object.
    """
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem("not-json", 400, "The body is not JSON", str(error)[:200]) from None
    if not isinstance(found, dict):
        raise Problem("not-an-object", 400, "The body is not a JSON object", f"it is a {type(found).__name__}")
    return found


def uploaded(action: Action, kind: str, body: bytes, query: dict[str, str]) -> dict[str, Any]:
    """The document of an uploaded file, with further fields in the query.

    Args:
        action: the action, which must accept such files.
        kind: content type of the body.
        body: the file.
        query: further fields.

    Returns:
        The document.

    Raises:
        Problem: the action does not accept files of this type.
    """
    if not any(kind.startswith(one) for one in action.request.uploads):
        taken = " or ".join((JSON, *(f"{one}*" if one.endswith("/") else one for one in action.request.uploads)))
        raise Problem("wrong-type", 415, "A body of this type is not taken", f"Content-Type must be {taken}")
    document: dict[str, Any] = action.request.of_upload(body)
    return {**{name: _value(text) for name, text in query.items()}, **document}


def _value(text: str) -> Any:
    """A value of a query: JSON if it can be parsed, otherwise text."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def _too_large(settings: ServerSettings) -> Problem:
    return Problem("too-large", 413, "The body is too large", f"at most {settings.body:,} bytes")
