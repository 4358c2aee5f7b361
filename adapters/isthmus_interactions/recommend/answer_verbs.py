"""What a recommender answers: its verbs over histories, users and items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from isthmus.answers import Answers
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import Evaluation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.cold_start.feature_verbs import FeatureVerbs
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.recommend import export
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.engine import RecommendationEngine
from isthmus_interactions.recommend.filters import GivenItems, item_filters
from isthmus_interactions.recommend.histories import GivenId, Histories, History, history_batch
from isthmus_interactions.recommend.protocols import asked_fold


class AnswerVerbs(FeatureVerbs):
    """What a fitted recommender can be asked."""

    @property
    def ranker(self) -> Ranker:
        """What answers: the model for every history of which it knows something, popularity for the others."""
        return self._engine.ranker

    @property
    def popularity(self) -> Popularity:
        """The share of users who interacted with each item."""
        return self._engine.popularity

    @cached_property
    def _engine(self) -> RecommendationEngine:
        return RecommendationEngine(self.fitted)

    def recommend(
        self,
        histories: Histories,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: GivenItems | None = None,
        allow: GivenItems | None = None,
        diversity: float = 0.0,
    ) -> Answers[Answer]:
        """The best items for users who need not be in the training data.

        All items are ranked exactly, except by a network over a catalogue of which one pass takes more than 50 ms:
        it may answer through an approximate index that was measured to find 95 % of the best items.

        Args:
            histories: for each user the ids of their items, oldest first (only models of sequences read the order), or
                ids with weights. Ids that the catalogue does not hold are left out and listed in the answer; where none
                is left, the most popular items are answered.
            k: how many items.
            exclude_seen: leave out the items of the history.
            exclude: items that must not be answered: ids for all histories, or a list of ids for each.
            allow: the only items that may be answered, likewise. Unknown ids in both are ignored.
            diversity: from 0, best first, to 1, as unlike each other as possible: the answers are chosen from the 10 k
                best (at least 100) by maximal marginal relevance (``recommend/diversity.py``). They keep the model's
                scores, which then need not fall from one to the next.

        Returns:
            An answer for each history, best item first.

        Raises:
            SettingError: ``k`` below 1, or ``diversity`` outside 0 to 1.
            InputError: something that is not a history, or one without order for a model that reads items in order.
        """
        batch = history_batch(histories, self.adapter.items)
        filters = item_filters(self.adapter.items, batch.bags.size, exclude, allow)
        return self._engine.recommend(batch, k, exclude_seen=exclude_seen, filters=filters, diversity=diversity)

    def recommend_users(
        self,
        ids: Sequence[GivenId],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: GivenItems | None = None,
        allow: GivenItems | None = None,
        diversity: float = 0.0,
    ) -> Answers[Answer]:
        """The best items for users of the training data, by their interactions there.

        Args:
            ids: of users.
            k, exclude_seen, exclude, allow, diversity: as in ``recommend``.

        Returns:
            An answer for each user, best item first.

        Raises:
            UnknownIdError: a user who is not among them; ``recommend`` takes a history instead.
            InputError: a single id instead of several.
        """
        batch = self._engine.users(ids)
        filters = item_filters(self.adapter.items, batch.bags.size, exclude, allow)
        return self._engine.recommend(batch, k, exclude_seen=exclude_seen, filters=filters, diversity=diversity)

    def recommend_all(
        self,
        path: str | Path,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: GivenItems | None = None,
        allow: GivenItems | None = None,
        diversity: float = 0.0,
    ) -> int:
        """Write the best items of all users of the training data to a Parquet file: user, rank (from 1), item, score.

        Users are processed in blocks, so that the answers never are in memory together. The file appears whole or not
        at all, and replaces an older one.

        Args:
            path: of the file.
            k, exclude_seen, exclude, allow, diversity: as in ``recommend``.

        Returns:
            The number of rows written.

        Raises:
            InputError: no directory to hold the file.
            SettingError: ``k`` below 1, or ``diversity`` outside 0 to 1.
        """
        users = self.adapter.users.ids
        filters = item_filters(self.adapter.items, len(users), exclude, allow)
        asked = 0

        def ask(ids: Sequence[GivenId]) -> Answers[Answer]:
            nonlocal asked
            start, asked = asked, asked + len(ids)
            own, engine = filters.part(start, asked), self._engine
            return engine.recommend(engine.users(ids), k, exclude_seen=exclude_seen, filters=own, diversity=diversity)

        return export.write(Path(path), users, self.adapter, ask)

    def score(self, histories: Histories, candidates: Sequence[GivenId]) -> npt.NDArray[np.float32]:
        """Scores of the same items for each history, for re-ranking: those that ``recommend`` sorts by.

        Args:
            histories: as in ``recommend``.
            candidates: ids of items.

        Returns:
            Shape (histories, candidates); higher is better, and -inf for items that the catalogue does not hold.
        """
        return self._engine.score(history_batch(histories, self.adapter.items), candidates)

    def similar_items(self, ids: Sequence[GivenId], k: int = 10) -> Answers[Answer]:
        """The items nearest to each of the given ones.

        Args:
            ids: of items.
            k: how many for each.

        Returns:
            An answer for each item, nearest first. Scores are the cosine between rows of the readout, without the bias;
            for linear models the weight with which the given item contributes to the other. Higher is nearer.

        Raises:
            UnknownIdError: an item that the catalogue does not hold.
            InputError: a single id instead of several.
            SettingError: ``k`` below 1, or a model without vectors of its items.
        """
        return self._engine.similar_items(ids, k)

    def similar_users(self, histories: Histories, k: int = 10) -> Answers[Answer]:
        """The users of the training data nearest to each history.

        Args:
            histories: as in ``recommend``.
            k: how many for each.

        Returns:
            An answer for each history, nearest first. Scores are the cosine between codes; for models without codes,
            between the histories themselves. A user's own history finds that user first; an unknown history finds no
            user.

        Raises:
            SettingError: ``k`` below 1.
        """
        return self._engine.similar_users(history_batch(histories, self.adapter.items), k)

    def explain(self, history: History, item: GivenId, k: int | None = None) -> Answer:
        """How much each item of a history contributes to the score of an item.

        Args:
            history: ids, or ids with weights.
            item: whose score is explained.
            k: at most this many items of the history; all of them by default.

        Returns:
            Items of the history, largest contribution first; a score is by how much that of ``item`` falls without it.

        Raises:
            UnknownIdError: the item is not in the catalogue.
            InputError: not a history.
            SettingError: ``k`` below 1, or a model that reads items in order.
        """
        return self._engine.explain(history_batch([history], self.adapter.items), item, k)

    def evaluate(
        self,
        test: Any,
        metrics: Sequence[str] = ("recall@20", "ndcg@100"),
        *,
        split: str | None = None,
        hide: float = 0.2,
        seed: int = 0,
        **reading: Unpack[Reading],
    ) -> Evaluation:
        """Rank the items of each user by a history, and compare with what was held out.

        Args:
            test: a file, a data frame, a matrix or arrays, as ``Interactions.read`` takes them, interactions, or a fold
                of ``isthmus_interactions.splits`` over this catalogue. Columns, values that count and weights are those
                of the training data; a column that these lacks is looked for under the usual names.
            metrics: names such as "recall@20"; see ``isthmus.tasks.evaluation.evaluate``.
            split: the protocol. "users", strong generalisation, for users who were not trained on: a share of each
                one's items is hidden, the others are the history. "known", weak generalisation: the history is what was
                trained on, and what the test data add to it is to be found. "last", leave-last-out: the latest item of
                each user is to be found. By default "known" where at least half of the users are in the training data
                and have something new, else "users"; ``remarks`` tells which. A fold has no split.
            hide: the share that "users" hides.
            seed: of the hidden items.
            reading: columns and other keywords of ``Interactions.read``, where they are others than in ``fit``.

        Returns:
            Means, standard errors and values of each metric; higher is better. ``protocol`` says what was done, and
            ``remarks`` which users and interactions were left out.

        Raises:
            SettingError: an unknown metric or split.
            InputError: data that cannot be read, of which no item or, for "known", no user is known, that hold nothing
                to be found, or a fold over another catalogue.
        """
        asked = asked_fold(self.fitted, test, split, hide, seed, **reading)
        measured = self._engine.evaluate(asked.fold, metrics)
        return replace(measured, protocol=asked.protocol, remarks=asked.remarks)
