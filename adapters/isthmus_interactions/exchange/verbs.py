"""The methods of a recommender that hand it to other programs."""

from __future__ import annotations

from pathlib import Path

from isthmus.plots.atlas import MOST, Mapped
from isthmus_interactions.exchange import onnx
from isthmus_interactions.exchange.item_map import mapped_items
from isthmus_interactions.fitted import FittedView


class ExchangeVerbs(FittedView):
    """Exports a recommender."""

    def to_onnx(self, folder: str | Path, *, k: int = onnx.K) -> Path:
        """Write the recommender for onnxruntime: ``model.onnx`` and ``items.json``.

        The graph takes ``items`` (int64 [entries], numbers of items), ``offsets`` (int64 [histories + 1], where the
        entries of each history start, and at last where they end) and ``weights`` (float32 [entries], 1 for each item).
        It returns ``ids`` (int64 [histories, k], numbers of items) and ``scores`` (float32 [histories, k]), best first.
        ``items.json`` lists the id of each number. Items of a history are not recommended to it; where no others are
        left, the score is -inf. An empty history gets the most popular items, scored by their share of users.

        Args:
            folder: a new folder; it is written whole or not at all.
            k: number of items in an answer, at most all.

        Returns:
            The folder.

        Raises:
            SettingError: a model that reads the order of a history, or that ONNX cannot express; the message says why.
            MissingLibraryError: the extra ``onnx`` is not installed.
            InputError: the folder exists.
        """
        return onnx.export(self.fitted, folder, k)

    def mapped_items(self, most: int = MOST) -> Mapped:
        """Items for ``isthmus atlas``: near ones have similar users.

        Args:
            most: number of items; of more, the most popular ones.

        Returns:
            Vectors of the items with their ids, titles and numbers of users.
        """
        return mapped_items(self.fitted, most)
