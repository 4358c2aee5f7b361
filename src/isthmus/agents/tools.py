"""The actions of several models as tools: names, schemas and answers. No protocol is known here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.actions.requests import Limits, checked
from isthmus.errors import InputError
from isthmus.serve.opened import Opened

DESCRIBE = "describe_model"
FIND, SEARCH = "items", "search"

LIMITS = Limits(k=100, history=2_000, batch=128)
"""The most that one call may ask for: what a tool answers is read by a language model."""


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: by which it is called.
        about: what it does, for the agent.
        schema: JSON schema of its arguments.
    """

    name: str
    about: str
    schema: Mapping[str, Any]


class Toolbox:
    """The tools of some models.

    Args:
        models: loaded models with different names.

    Raises:
        InputError: no model, or two of one name.
    """

    def __init__(self, models: Sequence[Opened]) -> None:
        self._models = {one.name: one for one in models}
        if not models or len(self._models) < len(models):
            raise InputError(f"{len(models)} models for agents", expected="one or more, each with a name of its own")
        offered = {action.name for one in models for action in one.offer.actions if action.as_tool}
        # Finding items by their titles is what agents expect of a search, unless a model searches records.
        self._actions = {SEARCH if name == FIND and SEARCH not in offered else name: name for name in sorted(offered)}

    def tools(self) -> list[Tool]:
        """All tools, by name."""
        found = [self._tool(name, action) for name, action in self._actions.items()]
        names = list(self._models)
        model = {"type": "string", "enum": names, "description": "Which model; not needed if there is only one."}
        schema = {"type": "object", "properties": {"model": model}, "additionalProperties": False}
        about = f"What a model was trained on, how good it is, and what it can answer. Models: {', '.join(names)}."
        return sorted([*found, Tool(DESCRIBE, about, schema)], key=lambda tool: tool.name)

    def call(self, name: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """The answer of a tool.

        Args:
            name: of the tool.
            arguments: as its schema says.

        Returns:
            A JSON document.

        Raises:
            IsthmusError: no such tool or model, arguments that are wrong, or what the model cannot answer.
        """
        given = dict(arguments or {})
        if name == DESCRIBE:
            return self._described(given)
        if name not in self._actions:
            raise InputError(f"no tool {name!r}", expected=", ".join([*self._actions, DESCRIBE]))
        action = self._actions[name]
        opened = self._meant(given.get("model"), self._having(action))
        found = opened.offer.action(action)
        assert found is not None
        # The page may show a NaN as a gap, an agent may not read it.
        answer: dict[str, Any] = json.loads(json.dumps(found.answer(checked(found, given, LIMITS)), allow_nan=False))
        return answer

    def _tool(self, name: str, action: str) -> Tool:
        having = self._having(action)
        first = having[0].offer.action(action)
        assert first is not None
        schema = first.request.model_json_schema()
        schema["properties"]["model"] = {
            "type": "string",
            "enum": [one.name for one in having],
            "description": "Which model; not needed if only one has this tool.",
        }
        return Tool(name, first.about, schema)

    def _having(self, action: str) -> list[Opened]:
        return [one for one in self._models.values() if (found := one.offer.action(action)) and found.as_tool]

    def _meant(self, name: Any, having: Sequence[Opened]) -> Opened:
        known = ", ".join(one.name for one in having)
        found = [one for one in having if name in (None, one.name)]
        if len(found) != 1:
            given = "no model" if name is None else f"the model {name!r}"
            raise InputError(f"{given} for this tool", expected=f"model, one of: {known}")
        return found[0]

    def _described(self, given: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(given.keys() - {"model"}):
            raise InputError(f"{unknown[0]!r} for {DESCRIBE}", expected="model, or nothing")
        opened = self._meant(given.get("model"), list(self._models.values()))
        able = {name for name, action in self._actions.items() if opened in self._having(action)}
        return {
            "model": opened.name,
            "domain": opened.domain,
            "created": opened.created,
            "tools": sorted(able),
            **{name: value for name, value in opened.offer.about.items() if name not in ("model", "tools")},
            "warnings": list(getattr(opened.face, "facts", {}).get("warnings", ())),
        }
