"""Actions of a fitted model, and all that it offers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Document = dict[str, Any]
"""A JSON document: the answer to one request."""


def _each_alone(request: Any) -> Hashable:
    return id(request)


@dataclass(frozen=True)
class Action:
    """One thing that a fitted model answers: a route of the server, a tool of agents.

    Attributes:
        name: a verb or a noun such as ``recommend``; the path of the route and the name of the tool.
        about: one or two sentences for whoever calls it.
        request: a subclass of ``isthmus.actions.requests.Request``, which checks what is asked.
        answer: the document that answers one checked request. Raises errors of ``isthmus.errors``.
        together: the documents that answer several requests at once, the same ones as ``answer`` gives; None if it
            would not be faster. Raises if one of the requests cannot be answered.
        alike: requests with equal values of this function may be answered together.
        as_tool: whether agents are offered it; not what only serves to draw a page.
    """

    name: str
    about: str
    request: type[Any]
    answer: Callable[[Any], Document]
    together: Callable[[Sequence[Any]], list[Document]] | None = None
    alike: Callable[[Any], Hashable] = _each_alone
    as_tool: bool = True


@dataclass(frozen=True)
class Offer:
    """What one fitted model offers.

    Attributes:
        actions: by name; no name twice.
        about: facts for a list of models, as JSON: the builder, sizes, what it can do. Never ids or records.
        warm: does what the first question would otherwise wait for.
        page: a JavaScript module that draws the panel of this domain in the browser; None for none.
        trial: the name of an action, and so many typical requests to measure with, by a seed; None for none.
    """

    actions: Sequence[Action]
    about: Mapping[str, Any] = field(default_factory=dict)
    warm: Callable[[], None] = lambda: None
    page: Path | None = None
    trial: Callable[[int, int], tuple[str, list[Document]]] | None = None

    def action(self, name: str) -> Action | None:
        """The action of that name, or None."""
        return next((one for one in self.actions if one.name == name), None)
