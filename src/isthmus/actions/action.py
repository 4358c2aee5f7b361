"""Actions of a fitted model, and the offer that contains them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.reprs import brief

Document = dict[str, Any]
"""A JSON document: the result of one request."""


def _each_alone(request: Any) -> Hashable:
    return id(request)


@brief
@dataclass(frozen=True)
class Action:
    """An action of a fitted model: a route of the server, and a tool of agents.

    Attributes:
        name: a verb or a noun such as ``recommend``; the path of the route and the name of the tool.
        about: a description in one or two sentences for the caller.
        request: a subclass of ``isthmus.actions.requests.Request``, which validates requests.
        answer: returns the document for one checked request. Raises errors of ``isthmus.errors``.
        together: returns the documents for several requests at once, equal to those of ``answer``; None if it would not
            be faster. Raises an error if one of the requests fails.
        alike: requests with equal values of this function may be processed together.
        as_tool: whether it is a tool of agents; False for actions that are only used to draw the page.
    """

    name: str
    about: str
    request: type[Any]
    answer: Callable[[Any], Document]
    together: Callable[[Sequence[Any]], list[Document]] | None = None
    alike: Callable[[Any], Hashable] = _each_alone
    as_tool: bool = True

    @classmethod
    def batched(
        cls,
        name: str,
        about: str,
        request: type[Any],
        together: Callable[[Sequence[Any]], list[Document]],
        alike: Callable[[Any], Hashable],
    ) -> Action:
        """An action that answers one request as it answers several.

        Args:
            name, about, request, together, alike: as the attributes.
        """
        return cls(name, about, request, lambda one: together([one])[0], together, alike)


@brief
@dataclass(frozen=True)
class Offer:
    """The actions of one fitted model, and facts about it.

    Attributes:
        actions: the actions, with distinct names.
        about: facts for a list of models, as JSON: the builder, sizes, what it can do. Never ids or records.
        warm: does work for which the first request would otherwise have to wait.
        page: a JavaScript module that draws the panel of this domain on the web page; None for none.
        trial: the name of an action, and a given number of typical requests for measurements, by a seed; None for none.
    """

    actions: Sequence[Action]
    about: Mapping[str, Any] = field(default_factory=dict)
    warm: Callable[[], None] = lambda: None
    page: Path | None = None
    trial: Callable[[int, int], tuple[str, list[Document]]] | None = None

    def action(self, name: str) -> Action | None:
        """The action of that name, or None."""
        return next((one for one in self.actions if one.name == name), None)
