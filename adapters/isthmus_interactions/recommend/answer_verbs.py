"""Methods of a recommender for histories, users and items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from isthmus.answers import Answers
from isthmus.checked.arguments import path_of
from isthmus.ids import Id
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import Evaluation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.cold_start.feature_verbs import FeatureVerbs
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.recommend import export
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.engine import RecommendationEngine
from isthmus_interactions.recommend.filters import GivenItems, item_filters
from isthmus_interactions.recommend.histories import GivenId, Histories, History, HistoryBatch, history_batch
from isthmus_interactions.recommend.protocols import Protocol, asked_fold


class AnswerVerbs(FeatureVerbs):
    """The methods of a fitted recommender that return answers."""

    @property
    def ranker(self) -> Ranker:
        """The ranker: the model for histories with known items, popularity for the others."""
        return self._engine.ranker

    @property
    def popularity(self) -> Popularity:
        """The share of users who interacted with each item."""
        return self._engine.popularity

    @cached_property
    def _engine(self) -> RecommendationEngine:
        return RecommendationEngine(self.fitted)

    def _batch(self, histories: Histories) -> HistoryBatch:
        return history_batch(histories, self.adapter.items, self.fitted.histories)

    def recommend(
        self,
        histories: Histories,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: GivenItems | None = None,
        allow: GivenItems | None = None,
        diversity: float = 0.0,
        calibrated: bool = False,
    ) -> Answers[Answer]:
        """The best items for users who do not have to be in the training data.

        All items are ranked exactly, with one exception: for a network over a catalogue for which exact search takes
        more than 50 ms, an approximate index may be used that was measured to find 95 % of the best items.

        Args:
            histories: for each user the ids of their items, oldest first; pairs (id, time) in any order, with numbers,
                dates or texts as times, as in the training data; or ids with weights. Sequence models and models with a
                half-life read the order and the times. Unknown ids are ignored and listed in the answer; if all ids are
                unknown, the most popular items are returned.
            k: number of items.
            exclude_seen: leave out the items of the history.
            exclude: items that must not be recommended: ids for all histories, or a list of ids for each.
            allow: the only items that may be recommended, likewise. Unknown ids in both are ignored.
            diversity: from 0 (best first) to 1 (as different from each other as possible). The items are chosen from
                the 10 k best (at least 100) by maximal marginal relevance (``recommend/diversity.py``). They keep the
                scores of the model, which then do not always decrease.
            calibrated: also return the probability of each item to be a hit, as ``answer.chances`` and as the column
                ``chance`` of tables, and their sum as ``answer.expected_hits``. A hit is one of the hidden items of a
                held-out user: in ``fit`` a fifth of a user's items, so that the probability is that of being among the
                next items, a quarter as many as in the history. If the history is unlike those of the calibration
                (described by ``recommender.calibration.seen``), there are no probabilities, and ``answer.too_little``
                gives the reason. Items of the history, and items that are ranked by their features, have no
                probability. The ranking does not change.

        Returns:
            An answer for each history, best item first.

        Raises:
            SettingError: ``k`` below 1, ``diversity`` outside 0 to 1, or ``calibrated=True`` without a calibration.
            InputError: a value that is not a history, times that are not comparable with those of the training data,
                or a history without order for a sequence model.
        """
        batch = self._batch(histories)
        filters = item_filters(self.adapter.items, batch.bags.size, exclude, allow)
        return self._engine.recommend(
            batch, k, exclude_seen=exclude_seen, filters=filters, diversity=diversity, calibrated=calibrated
        )

    def recommend_users(
        self,
        ids: Sequence[GivenId],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: GivenItems | None = None,
        allow: GivenItems | None = None,
        diversity: float = 0.0,
        calibrated: bool = False,
    ) -> Answers[Answer]:
        """The best items for users of the training data, based on their interactions there.

        Args:
            ids: ids of users.
            k, exclude_seen, exclude, allow, diversity, calibrated: as in ``recommend``.

        Returns:
            An answer for each user, best item first.

        Raises:
            UnknownIdError: a user who is not in the training data; ``recommend`` accepts a history instead.
            InputError: a single id instead of several.
            SettingError: as in ``recommend``.
        """
        batch = self._engine.users(ids)
        filters = item_filters(self.adapter.items, batch.bags.size, exclude, allow)
        return self._engine.recommend(
            batch, k, exclude_seen=exclude_seen, filters=filters, diversity=diversity, calibrated=calibrated
        )

    def recommend_all(
        self,
        path: str | Path,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: GivenItems | None = None,
        allow: GivenItems | None = None,
        diversity: float = 0.0,
        calibrated: bool = False,
    ) -> int:
        """Write the best items for all users of the training data to a Parquet file: user, rank (from 1), item,
        score, and chance if ``calibrated``.

        Users are processed in blocks, so that the results are never in memory together. The file is written completely
        or not at all, and replaces an older one.

        Args:
            path: path of the file.
            k, exclude_seen, exclude, allow, diversity, calibrated: as in ``recommend``.

        Returns:
            The number of rows written.

        Raises:
            InputError: the directory of the file does not exist.
            SettingError: as in ``recommend``.
        """
        place, users = path_of("path", path), self.adapter.users.ids
        filters = item_filters(self.adapter.items, len(users), exclude, allow)
        asked = 0

        def ask(ids: Sequence[GivenId]) -> Answers[Answer]:
            nonlocal asked
            start, asked = asked, asked + len(ids)
            own, engine = filters.part(start, asked), self._engine
            asked_of = engine.users(ids)
            return engine.recommend(
                asked_of, k, exclude_seen=exclude_seen, filters=own, diversity=diversity, calibrated=calibrated
            )

        return export.write(place, users, self.adapter, ask, calibrated=calibrated)

    def score(self, histories: Histories, candidates: Sequence[GivenId]) -> npt.NDArray[np.float32]:
        """Scores of the same items for each history, for re-ranking; ``recommend`` sorts by the same scores.

        Args:
            histories: as in ``recommend``.
            candidates: ids of items.

        Returns:
            Shape (histories, candidates); higher is better, and -inf for items that are not in the catalogue.
        """
        return self._engine.score(self._batch(histories), candidates)

    def similar_items(self, ids: Sequence[GivenId], k: int = 10) -> Answers[Answer]:
        """The items most similar to each of the given items.

        Args:
            ids: ids of items.
            k: number of similar items for each.

        Returns:
            An answer for each item, most similar first. Scores are the cosine similarity between rows of the readout,
            without the bias; for linear models, the weight from the given item to the other one. Higher is more
            similar.

        Raises:
            UnknownIdError: an item that is not in the catalogue.
            InputError: a single id instead of several.
            SettingError: ``k`` below 1, or a model without item vectors.
        """
        return self._engine.similar_items(ids, k)

    def similar_users(self, histories: Histories, k: int = 10) -> Answers[Answer]:
        """The users of the training data most similar to each history.

        Args:
            histories: as in ``recommend``.
            k: number of users for each.

        Returns:
            An answer for each history, most similar first. Scores are the cosine similarity between codes or, for
            models without codes, between the histories themselves. A user's own history finds that user first; a
            history without known items finds no user.

        Raises:
            SettingError: ``k`` below 1.
        """
        return self._engine.similar_users(self._batch(histories), k)

    def explain(self, history: History, item: GivenId, k: int | None = None) -> Answer:
        """The contribution of each item of a history to the score of an item.

        Args:
            history: as one of ``recommend``.
            item: the item whose score is explained.
            k: maximum number of items of the history; all of them by default.

        Returns:
            Items of the history, largest contribution first; a contribution is the decrease of the score of ``item``
            when the other item is removed from the history.

        Raises:
            UnknownIdError: the item is not in the catalogue.
            InputError: not a history.
            SettingError: ``k`` below 1, or a sequence model.
        """
        return self._engine.explain(self._batch([history]), item, k)

    def explain_user(self, user: GivenId, item: GivenId, k: int | None = None) -> Answer:
        """The contribution of each item of a user of the training data to the score of an item.

        Args:
            user: id of the user.
            item, k: as in ``explain``.

        Returns:
            Items of the user, largest contribution first.

        Raises:
            UnknownIdError: the user or the item is not in the training data.
            SettingError: ``k`` below 1, or a sequence model.
        """
        return self._engine.explain(self._engine.users([user]), item, k)

    def surprise(self, histories: Histories) -> list[npt.NDArray[np.float32]]:
        """The surprise of each event of a history under a ``sequence-recommender``, given the previous events.

        Args:
            histories: as for ``recommend``, in order.

        Returns:
            For each history one number for each of its known items, in order: −log of the probability of the item, in
            nats; higher is more unexpected. NaN for the first item, and for items before the last ones that the model
            reads. Their mean (``numpy.nanmean``) measures how unusual a history is.

        Raises:
            SettingError: a model that does not predict each item from the previous ones.
            InputError: a value that is not a history, or one without order.
        """
        return self._engine.surprise(self._batch(histories))

    def sample_futures(
        self,
        histories: Histories,
        steps: int = 10,
        *,
        samples: int = 1,
        temperature: float = 1.0,
        exclude_seen: bool = False,
        seed: int = 0,
    ) -> list[list[list[Id]]]:
        """Sample continuations of histories from a ``sequence-recommender``, item by item.

        Each item is sampled with its probability, given the history and the items sampled before; with
        ``variational=True`` the code of the history is sampled, too. Many samples of the same history show how likely
        an event is within the next steps, which the scores of the next item do not show.

        Args:
            histories: as for ``recommend``, in order, each with at least one known item.
            steps: number of items to sample.
            samples: number of continuations of each history.
            temperature: divides the scores before the softmax; below 1, probable items become more probable.
            exclude_seen: sample each item at most once, and no items of the history.
            seed: the same seed gives the same continuations on the same kind of device.

        Returns:
            For each history its continuations, and for each of these the ids of its items, in order.

        Raises:
            SettingError: a model that does not predict each item from the previous ones, or that reads times; a value
                out of range.
            InputError: a value that is not a history, or one without order or known items.
        """
        return self._engine.sample_futures(
            self._batch(histories), steps, samples, temperature=temperature, exclude_seen=exclude_seen, seed=seed
        )

    def evaluate(
        self,
        test: Any,
        metrics: Sequence[str] = ("recall@20", "ndcg@100"),
        *,
        split: str | None = None,
        at: Any = None,
        target: str | None = None,
        seen: str | None = None,
        hide: float = 0.2,
        seed: int = 0,
        **reading: Unpack[Reading],
    ) -> Evaluation:
        """Rank the items for each user by a history, and compare the ranking with the held-out items.

        Args:
            test: a file, a data frame, a matrix or arrays, as accepted by ``Interactions.read``, interactions, or a
                fold of ``isthmus_interactions.splits`` over this catalogue. Columns, the rule for values and weights
                are those of the training data; columns that ``test`` does not have are searched for under their usual
                names.
            metrics: names such as "recall@20"; see ``isthmus.tasks.evaluation.evaluate``.
            split: the protocol. "users" is strong generalisation, for users who were not trained on: a share of each
                user's items is hidden, and the others are the history. "known" is weak generalisation: the history is
                the training data, and the new items of ``test`` must be found. "last" or "leave-last-out": the most
                recent item of each user must be found. "temporal": what users did from one moment on must be found, by
                a model of what was before; users who are new then are kept apart and reported in ``remarks``.
                "sessions": the same, for data whose "users" are sessions that start after the moment. The default is
                "known" if at least half of the users are in the training data and have new items, and "users"
                otherwise; ``remarks`` says which one was chosen. Not used for a fold.
            at: the moment of "temporal" and "sessions": a date, a number as in the data, or a share such as 0.9 of the
                events before it. By default the moment before which the model was trained.
            target: events of "temporal" and "sessions" to find: the "last" one of each user (the default of
                "temporal"), or each "successive" one.
            seen: "masked" ranks no items of the history, "kept" ranks them, too: for data in which items are repeated
                (the default of "sessions"). The result says which.
            hide: share of items that "users" hides.
            seed: seed for the choice of hidden items.
            reading: columns and other keywords of ``Interactions.read`` that differ from those of ``fit``.

        Returns:
            Means, standard errors and values of each metric; higher is better. ``protocol`` describes the protocol,
            ``remarks`` the users and interactions that were left out, and ``baselines`` has the means of popularity,
            and of popularity in the last week and month if the training data have times.

        Raises:
            SettingError: an unknown metric or split.
            InputError: data that cannot be read, without known items or (for "known") known users, or without items to
                find; a fold over another catalogue; or, for "temporal", a model that was trained on what came later.
        """
        asked = asked_fold(self.fitted, test, Protocol(split, hide, seed, at, target, seen), **reading)
        measured = self._engine.evaluate(asked.fold, metrics, asked.seen)
        remarks, baselines = asked.remarks, self._engine.baselines(asked.fold, metrics, asked.seen)
        if asked.apart is not None:
            apart = self._engine.evaluate(asked.apart, metrics, asked.seen)
            scores = ", ".join(f"{name} {apart.shown(name)}" for name in apart.means)
            rows, users = len(asked.apart), len(set(asked.apart.users))
            remarks = (*remarks, f"kept apart: {rows:,} events of {users:,} new users: {scores}")
        return replace(measured, protocol=asked.protocol, remarks=remarks, baselines=baselines)
