"""What answers questions about a fitted recommender: rankings, neighbours, explanations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from isthmus.core.rankers import ranker_of
from isthmus.index.vectors import check_k
from isthmus.protocols import Ranker, RowLists
from isthmus.tasks.explain import contributions
from isthmus.tasks.similar import SimilarColumns
from isthmus_interactions.baselines import OrPopular, Popularity
from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.ranker import WithNewItems
from isthmus_interactions.cold_start.similar import SimilarWithNew
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.recommend.answers import Answer, named
from isthmus_interactions.recommend.diversity import Diversity, candidates, check_diversity
from isthmus_interactions.recommend.histories import GivenId, Told, several
from isthmus_interactions.recommend.similar_users import People, bags_on
from isthmus_interactions.recommend.top_k import Ranking


class RecommendationEngine:
    """The parts that answer, over external ids; each is made on first use and then kept.

    Args:
        fitted: the model and what it was trained on; it does not change.
    """

    def __init__(self, fitted: FittedRecommender) -> None:
        self._fitted = fitted

    @cached_property
    def ranker(self) -> Ranker:
        """The model for every history of which it knows something, popularity for the others."""
        return OrPopular(ranker_of(self._fitted.model), self.popularity)

    @cached_property
    def popularity(self) -> Popularity:
        """The share of users who interacted with each item."""
        return Popularity.of(self._fitted.interactions, self._fitted.device)

    def recommend(
        self, batch: Told, k: int, *, exclude_seen: bool, allow: Iterable[GivenId] | None, diversity: float
    ) -> list[Answer]:
        """The best items for each history; see ``Recommender.recommend``.

        Args:
            batch: the histories.
            k: how many items.
            exclude_seen: leave out what is in the history.
            allow: only these items may be answered.
            diversity: from 0, best first, to 1, as unlike as possible.

        Raises:
            SettingError: ``k`` below 1, or ``diversity`` outside 0 to 1.
        """
        check_k(k)
        check_diversity(diversity)
        device, items = self._fitted.device, self._fitted.adapter.items
        bags = bags_on(batch.bags, device)
        seen = RowLists(bags.indices, bags.offsets) if exclude_seen else None
        allowed = None if allow is None else torch.from_numpy(np.unique(items.split(several(allow))[0])).to(device)
        many = candidates(k) if diversity else k
        found = self._ranking.best(bags, min(many, len(items)), exclude=seen, allow=allowed)
        found = self._diversity.rerank(found, min(k, len(items)), diversity) if diversity else found
        return named(found, items, batch.unknown, (batch.bags.lengths() == 0).tolist())

    def users(self, ids: Sequence[GivenId]) -> Told:
        """The histories of users of the training data.

        Raises:
            UnknownIdError: a user who is not among them.
            InputError: a single id instead of several.
        """
        rows = torch.from_numpy(self._fitted.adapter.users.rows(several(ids)))
        return Told(self._users.bags(rows), [[] for _ in rows])

    def score(self, batch: Told, wanted: Sequence[GivenId]) -> npt.NDArray[np.float32]:
        """Scores of the same items for each history, shape (histories, wanted); -inf for unknown items."""
        items, device = self._fitted.adapter.items, self._fitted.device
        bags, ids = bags_on(batch.bags, device), several(wanted)
        known = [place for place, id_ in enumerate(ids) if id_ in items]
        out = np.full((bags.size, len(ids)), -np.inf, dtype=np.float32)
        if known:
            rows = torch.from_numpy(items.rows([ids[place] for place in known])).to(device)
            with torch.no_grad():
                out[:, known] = self.ranker.scores(self.ranker.prepare(bags), rows).cpu().numpy()
        return out

    def similar_items(self, ids: Sequence[GivenId], k: int) -> list[Answer]:
        """The nearest items of each item; see ``Recommender.similar_items``."""
        items = self._fitted.adapter.items
        rows = torch.from_numpy(items.rows(several(ids))).to(self._fitted.device)
        return named(self._similar.search(rows, min(k, len(items))), items)

    def similar_users(self, batch: Told, k: int) -> list[Answer]:
        """The nearest users of each history; see ``Recommender.similar_users``."""
        bags = extend.readable(self._fitted.model, batch.bags)
        found = self._users.nearest(bags, k, self._fitted.device)
        return named(found, self._fitted.adapter.users, batch.unknown)

    def explain(self, batch: Told, item: GivenId, k: int | None) -> Answer:
        """What each item of a single history contributes to the score of an item; see ``Recommender.explain``."""
        if k is not None:
            check_k(k)
        fitted = self._fitted
        column = int(fitted.adapter.items.rows(several([item]))[0])
        parts = contributions(ranker_of(fitted.model), bags_on(batch.bags, fitted.device), column).cpu()
        order = torch.sort(parts, descending=True, stable=True).indices[:k]
        ids = fitted.adapter.items.take(batch.bags.indices[order].numpy())
        return Answer(ids, [float(part) for part in parts[order]], batch.unknown[0])

    @cached_property
    def _similar(self) -> SimilarColumns | SimilarWithNew:
        model = self._fitted.model
        return SimilarWithNew(model) if isinstance(model, WithNewItems) else SimilarColumns(model)

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking(self._fitted.model, self.ranker, self.popularity, self._users.some)

    @cached_property
    def _diversity(self) -> Diversity:
        return Diversity(self._fitted.interactions)

    @cached_property
    def _users(self) -> People:
        plain = extend.plain(self._fitted)
        return People(plain.model, plain.interactions)
