"""The main job: train on interactions, ask for people who were never seen, save, load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from isthmus.batch import Bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import ranker_of
from isthmus.index.exact import ExactSearcher, rank
from isthmus.protocols import Neighbours, Ranker, RowLists
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import Evaluation, evaluate
from isthmus.tasks.explain import contributions
from isthmus.tasks.similar import encoded, similar_columns
from isthmus.training.history import History as TrainingHistory
from isthmus.training.run import Run
from isthmus.vocabulary import Id
from isthmus_interactions import bulk, fitting, storage
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.answers import Answer, named
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.histories import Histories, History, Told, tell
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.matrices import Csr
from isthmus_interactions.neighbours import nearest_rows
from isthmus_interactions.splits import FoldIn


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained model with its vocabularies. Made by ``fit`` or ``load``; nothing in it changes.

    Attributes:
        adapter: the vocabularies of items and people.
        model: the network or matrix.
        builder: the name of the model, as in Python.
        settings: the builder's keywords that were given.
        told: the interactions of the people of ``adapter.users``, shape (users, items).
        titles: what to show for an item, where there is something.
        facts: sizes, the rule for values, the course of the training.
    """

    adapter: InteractionsAdapter
    model: nn.Module
    builder: str
    settings: Mapping[str, Any]
    told: Csr
    titles: Mapping[Id, str]
    facts: Mapping[str, Any]

    @classmethod
    def fit(
        cls,
        train: Interactions | Any,
        model: str = "mult-vae",
        *,
        validation: FoldIn | float = 0.1,
        metric: str = "ndcg@100",
        run: Run | None = None,
        titles: Mapping[Id, str] | None = None,
        **settings: Any,
    ) -> Recommender:
        """Train a model.

        Args:
            train: interactions, or whatever ``Interactions.read`` takes.
            model: a builder's name; ``isthmus models`` lists them.
            validation: people to choose the best epoch by, or the share of the people of ``train`` to hold out for
                that: a fifth of their items is hidden and asked for. 0 trains on everybody to the last epoch, and so
                do data of fewer than 50 people.
            metric: what the best epoch is best at, higher is better; see ``isthmus.tasks.evaluation``.
            run: device, seed, precision, progress and checkpoints.
            titles: texts to show with items.
            settings: keywords of the builder, such as ``epochs``.

        Raises:
            SettingError: no such model, or a setting that it does not know.
            InputError: data that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        data = train if isinstance(train, Interactions) else Interactions.read(train)
        fitted = fitting.fit(data, model, validation, metric, run or Run(), settings)
        facts = {
            **fitted.facts,
            "people": len(data.users),
            "items": len(data.items),
            "interactions": data.nnz,
            "kept": data.report.why,
        }
        known = {id_: text for id_, text in (titles or {}).items() if id_ in data.items}
        return cls(
            InteractionsAdapter.fit(data), fitted.model, fitted.builder, settings, data.matrix, known, facts
        )  # fmt: skip

    @property
    def history(self) -> TrainingHistory:
        """The course of the training."""
        return TrainingHistory.from_json(dict(self.facts["training"]))

    @cached_property
    def ranker(self) -> Ranker:
        """The model's ranking face."""
        return ranker_of(self.model)

    @cached_property
    def popularity(self) -> Popularity:
        """The share of people who touched each item."""
        return Popularity.of(self.told)

    def recommend(
        self, histories: Histories, k: int = 10, *, exclude_seen: bool = True, allow: Iterable[Id] | None = None
    ) -> list[Answer]:
        """Items for people who need not be in the training data.

        Args:
            histories: for each person the ids they touched (or ids with weights); ids that the catalogue does not hold
                are left out and named in the answer. Where nothing is left, the popular items are answered.
            k: how many items.
            exclude_seen: leave out what is in the history.
            allow: only these items may be answered; unknown ids among them are ignored.

        Raises:
            SettingError: ``k`` below 1.
            InputError: a history that is none.
        """
        told = tell(histories, self.adapter.items)
        allowed = None if allow is None else torch.from_numpy(np.unique(self.adapter.items.split(allow)[0]))
        found = self._rank(
            told.bags, k, RowLists(told.bags.indices, told.bags.offsets) if exclude_seen else None, allowed
        )
        return self._answers(told, found)

    def recommend_users(self, ids: Sequence[Id], k: int = 10, *, exclude_seen: bool = True) -> list[Answer]:
        """Items for people of the training data.

        Raises:
            UnknownIdError: somebody who is not among them; ``recommend`` takes a history instead.
        """
        rows = torch.from_numpy(self.adapter.users.rows(ids))
        bags = self._source.batch(rows).inputs
        assert isinstance(bags, Bags)
        seen = RowLists(bags.indices, bags.offsets) if exclude_seen else None
        return self._answers(Told(bags, [[] for _ in ids]), self._rank(bags, k, seen, None))

    def recommend_all(self, path: str | Path, k: int = 10, *, exclude_seen: bool = True) -> int:
        """Write items for everybody of the training data to a Parquet file: user, rank (from 1), item, score.

        Memory does not grow with the number of people. The file appears whole or not at all.

        Returns:
            The number of rows written.
        """
        users = self.adapter.users.take(np.arange(len(self.adapter.users)))
        return bulk.write(
            Path(path), users, self.adapter, lambda ids: self.recommend_users(ids, k, exclude_seen=exclude_seen)
        )

    def score(self, histories: Histories, candidates: Sequence[Id]) -> npt.NDArray[np.float32]:
        """Scores of the same candidates for each history, for re-ranking; higher is better, unknown ids get -inf.

        Returns:
            Shape (histories, candidates).
        """
        bags = tell(histories, self.adapter.items).bags
        out = np.full((bags.size, len(candidates)), -np.inf, dtype=np.float32)
        known = [place for place, id_ in enumerate(candidates) if id_ in self.adapter.items]
        rows = torch.from_numpy(self.adapter.items.rows([candidates[place] for place in known]))
        with torch.no_grad():
            bags = self._moved(bags)
            out[:, known] = self.ranker.scores(self.ranker.prepare(bags), rows.to(bags.indices.device)).cpu().numpy()
        return out

    def similar_items(self, ids: Sequence[Id], k: int = 10) -> list[Answer]:
        """The items nearest to each of the given ones: the cosine between rows of the readout, without the bias; for
        linear cores the weight with which the given item speaks for the other. Higher is nearer.

        Raises:
            UnknownIdError: an item that the catalogue does not hold.
        """
        rows = torch.from_numpy(self.adapter.items.rows(ids)).to(self._device)
        return named(similar_columns(self.model, rows, k), self.adapter.items)

    def similar_users(self, histories: Histories, k: int = 10) -> list[Answer]:
        """People of the training data who are nearest to each history: the cosine between codes; for linear cores,
        which have none, between the histories themselves. Somebody's own history finds themselves first.
        """
        bags = self._moved(tell(histories, self.adapter.items).bags)
        if self._codes is None:
            return named(nearest_rows(bags, self.told, k), self.adapter.users)
        assert isinstance(self.model, Autoencoder)
        with torch.no_grad():
            found = self._codes.search(self.model.encode(bags).point, k)
        return named(found, self.adapter.users)

    def explain(self, history: History, item: Id, k: int | None = None) -> Answer:
        """Which items of a history speak for an item: by how much its score falls without each, best first.

        Raises:
            UnknownIdError: the item is not in the catalogue.
            InputError: a history that is none.
        """
        told = tell([history], self.adapter.items)
        row = int(self.adapter.items.rows([item])[0])
        with torch.no_grad():
            parts = contributions(self.ranker, self._moved(told.bags), row).cpu()
        order = torch.sort(parts, descending=True, stable=True).indices[:k]
        ids = self.adapter.items.take(told.bags.indices[order].numpy())
        return Answer(ids, [float(part) for part in parts[order]], told.unknown[0])

    def evaluate(self, test: FoldIn, metrics: Sequence[str] = ("recall@20", "ndcg@100")) -> Evaluation:
        """Ask for what was held out, over this catalogue; see ``isthmus.tasks.evaluation.evaluate``."""
        return evaluate(self.ranker, test.history, test.held_out, metrics, device=self._device)

    def save(self, path: str | Path) -> None:
        """Save to a directory, whole or not at all; an older bundle at that place is replaced.

        Raises:
            InputError: something else stands at that place.
        """
        storage.write(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Recommender:
        """Load and verify what ``save`` wrote.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
        """
        return cls(**storage.read(path))

    @property
    def _device(self) -> torch.device:
        first: torch.Tensor = next(iter(self.model.state_dict().values()))
        return first.device

    @cached_property
    def _source(self) -> BagSource:
        return BagSource.from_csr(self.told)

    @cached_property
    def _codes(self) -> ExactSearcher | None:
        if not isinstance(self.model, Autoencoder):
            return None
        return ExactSearcher.build(encoded(self.model, self._source.to(self._device)), "cosine")

    def _moved(self, bags: Bags) -> Bags:
        device = self._device
        return Bags(bags.indices.to(device), bags.offsets.to(device), bags.weights.to(device))

    def _rank(self, bags: Bags, k: int, exclude: RowLists | None, allow: torch.Tensor | None) -> Neighbours:
        """Known histories by the model, empty ones by popularity."""
        moved = self._moved(bags)
        seen = None if exclude is None else RowLists(moved.indices, moved.offsets)
        found = rank(self.ranker, moved, k, exclude=seen, allow=None if allow is None else allow.to(self._device))
        empty = bags.lengths() == 0
        rows, scores = found.rows.cpu(), found.scores.cpu()
        if empty.any():
            nobody = Bags(bags.indices[:0], bags.offsets[:1].repeat(2), bags.weights[:0])
            popular = rank(self.popularity, nobody, k, allow=allow)
            rows[empty], scores[empty] = popular.rows, popular.scores
        return Neighbours(rows, scores)

    def _answers(self, told: Told, found: Neighbours) -> list[Answer]:
        empty = (told.bags.lengths() == 0).tolist()
        plain = named(found, self.adapter.items)
        return [
            replace(answer, unknown=unknown, popular=popular)
            for answer, unknown, popular in zip(plain, told.unknown, empty, strict=True)
        ]
