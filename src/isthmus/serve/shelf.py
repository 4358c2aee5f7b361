"""The served models: found by name, and replaced all at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from isthmus.serve.opened import Opened, Place
from isthmus.serve.problems import Problem


class Shelf:
    """The served models. A reload replaces all of them together, or none.

    Args:
        places: where the models come from; empty if they cannot be loaded again.
        load: loads one of them.
        models: those that are loaded already; by default all places are loaded.
    """

    def __init__(
        self, places: Sequence[Place], load: Callable[[Place], Opened], models: Sequence[Opened] | None = None
    ) -> None:
        self._places, self._load, self._reloading = places, load, asyncio.Lock()
        self._models = _by_name(self._loaded() if models is None else models)
        self.loaded_at = time.time()

    @property
    def models(self) -> Mapping[str, Opened]:
        """The models by name; a reload makes another mapping and leaves this one alone."""
        return self._models

    def having(self, action: str) -> list[Opened]:
        """The models with an action, in order."""
        return [one for one in self._models.values() if one.offer.action(action) is not None]

    def find(self, action: str, name: str | None) -> Opened:
        """The model that a request means.

        Args:
            action: what it asks for.
            name: of the model; None if the request names none.

        Raises:
            Problem: no such action or model, a model without the action, or several that may be meant.
        """
        having = self.having(action)
        known = ", ".join(one.name for one in having)
        if not having:
            able = sorted({one.name for model in self._models.values() for one in model.offer.actions})
            raise Problem("unknown-path", 404, "No such path", f"no model answers {action!r}; there are {able}")
        if name is None:
            if len(having) == 1:
                return having[0]
            raise Problem("which-model", 422, "The model is not named", f"model must be one of: {known}")
        if name not in self._models:
            raise Problem("unknown-model", 404, "Unknown model", f"model must be one of: {known}")
        if all(one.name != name for one in having):
            raise Problem("wrong-model", 422, "The model does not answer this", f"{action} is answered by: {known}")
        return self._models[name]

    async def reload(self) -> None:
        """Load all bundles again, and then replace the models; if one cannot be loaded, all stay as they are.

        Raises:
            IsthmusError: a bundle that cannot be loaded.
        """
        async with self._reloading:
            self._models = _by_name(await asyncio.to_thread(self._loaded))
            self.loaded_at = time.time()

    def _loaded(self) -> list[Opened]:
        found = [self._load(place) for place in self._places]
        for one in found:
            one.offer.warm()
        return found


def _by_name(models: Sequence[Opened]) -> Mapping[str, Opened]:
    return {one.name: one for one in models}
