"""The main job: train on interactions, recommend to users who were never seen, save, load."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from isthmus.answers import Answers
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import Evaluation
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import Progress, doing
from isthmus.training.run import Run
from isthmus_interactions import fit, storage
from isthmus_interactions.auto import auto
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.feature_verbs import FeatureVerbs
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.match_items import match_items_to_features
from isthmus_interactions.factorisation import implicit_adopting
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend import export
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.engine import RecommendationEngine
from isthmus_interactions.recommend.histories import GivenId, Histories, History, history_batch, id_list
from isthmus_interactions.recommend.titles import known_titles
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.update import update
from isthmus_interactions.update.merge_data import read_like

logger = logging.getLogger(__name__)


@final
class Recommender(FeatureVerbs):
    """A trained model with its vocabularies. Made by ``fit`` or ``load``; nothing in it changes.

    Args:
        fitted: the whole state, whose fields can be read here under their own names.
    """

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

    @classmethod
    def fit(
        cls,
        train: Interactions | Any,
        model: str = "auto",
        *,
        validation: FoldIn | float = 0.1,
        metric: str = "ndcg@100",
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        run: Run | None = None,
        titles: Mapping[Any, str] | None = None,
        features: ItemFeatures | None = None,
        **settings: Any,
    ) -> Recommender:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; see ``history.interrupted``.

        Args:
            train: interactions, or anything that ``Interactions.read`` takes.
            model: a builder's name; ``isthmus models`` lists them. ``auto`` tries linear models, then networks, then a
                blend of them, and keeps the best among held-out users; ``facts["tried"]`` lists all of them.
            validation: users to choose the best epoch by, or the share of ``train`` to hold out for that; a fifth of
                their items is hidden and asked for. With 0, or with fewer than 50 users, all users are trained on, to
                the last epoch. A model in closed form is measured on the held-out users and then solved for all users.
            metric: what the best epoch is best at, higher is better; see ``isthmus.tasks.evaluation``.
            seed, device, precision, checkpoints, resume: how training runs, see ``isthmus.training.run.Run``.
            progress: whether it is shown, or a ``Progress`` that is called instead.
            time_limit: seconds that training may take. For ``auto`` that is all it does, by its best estimate, and 600
                where nothing is said.
            run: all of these as one object.
            titles: texts to show with items, by id.
            features: tags, texts or vectors of items, also of items without interactions; see ``with_features``.
            settings: keywords of the builder, such as ``epochs``.

        Returns:
            The trained recommender, over the users and items of ``train``.

        Raises:
            SettingError: no such model or metric, or a setting that the model does not know or cannot have.
            InputError: data that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        data = train if isinstance(train, Interactions) else Interactions.read(train)
        run = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit)
        if features is not None:
            # Before the training, which may be long.
            match_items_to_features(data.items, data.matrix, features)
        with interruptible() as stop:
            if model == "auto":
                made = auto.fit(data, validation, metric, run, settings)
            else:
                made = fit.fit(data, model, validation, metric, run, settings)
            found = [cls(made.with_titles(known_titles(titles or {}, data.items)))]
            if features is not None:
                with doing(run.progress, "learning from the features of items"):
                    if not stop.optional(lambda: found.append(found[0].with_features(features, seed=run.seed))):
                        logger.warning("interrupted: the features of items are left out")
        return found[-1]

    @classmethod
    def from_implicit(cls, model: Any, data: Interactions, titles: Mapping[Any, str] | None = None) -> Recommender:
        """Adopt a model that ``implicit`` has trained: its item factors stay, users are folded in.

        The result is saved and loaded without ``implicit``. The factors of the users of ``data`` are computed anew from
        their interactions, so that all users are treated alike.

        Args:
            model: a trained ``AlternatingLeastSquares`` or ``BayesianPersonalizedRanking`` on the CPU.
            data: the interactions whose ``matrix`` it was trained on.
            titles: texts to show with items, by id.

        Returns:
            A recommender with the same item factors.

        Raises:
            SettingError: another class of model, or one that is not trained.
            InputError: other numbers of users or items than in ``data``.
            NonFiniteLossError: a factor is NaN or infinite.
            MissingLibraryError: ``implicit`` is not installed.
        """
        made = implicit_adopting.from_implicit(model, data)
        return cls(made.with_titles(known_titles(titles or {}, data.items)))

    def update(
        self,
        new: Interactions | Any,
        *,
        epochs: int | None = None,
        validation: float = 0.1,
        metric: str | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        run: Run | None = None,
        titles: Mapping[Any, str] | None = None,
    ) -> Recommender:
        """A recommender that also knows new interactions, users and items. This one does not change.

        Old ids keep their rows, new ones follow. The interactions are the union of old and new: a pair that both have
        counts once where weights are binary, and amounts are summed, as one reading of all rows would have done. A
        model in closed form is solved again for all users. A trained one continues from its weights on all users, with
        fresh rows for new items; where that is impossible, it is fitted anew with its settings. So is each part of a
        blend, whose weights stay; parts of weight 0 are only widened. ``facts["updates"]`` describes each update, and
        ``history`` is that of the last.

        Args:
            new: interactions, or anything that ``Interactions.read`` takes; the same values count as in ``fit``.
            epochs: passes over old and new data of a model that continues (rounds, for one that is trained in rounds);
                by default a tenth of those in ``settings``, at least 1. 0 only makes room for what is new.
            validation: the share of the users with something new who choose the best epoch and are not trained on. Only
                their new items are hidden, which the old weights cannot know; the state before the first epoch is among
                those to choose from. With 0, or with fewer than 50 such users, all users are trained on, to the last
                epoch. A model that is solved or fitted anew treats ``validation`` as ``fit`` does.
            metric: what the best epoch is best at; by default the one of the last training.
            seed, device, precision, checkpoints, resume, time_limit: how training runs; see ``isthmus.training.run``.
            progress: whether it is shown, or a ``Progress`` that is called instead.
            run: all of these as one object.
            titles: further texts to show with items, by id.

        Returns:
            The updated recommender.

        Raises:
            InputError: data that cannot be read, no interactions, or ids of another kind (text and numbers).
            SettingError: no such metric, epochs for a model that has none, or a share outside 0 to a half.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        extend.check_without_features(self.model)
        data = new if isinstance(new, Interactions) else read_like(self.fitted, new)
        how = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit)
        return Recommender(update.update(self.fitted, data, epochs, validation, metric, how, titles or {}))

    def recommend(
        self,
        histories: Histories,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[GivenId] | None = None,
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
            allow: only these items may be answered; unknown ids among them are ignored.
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
        return self._engine.recommend(batch, k, exclude_seen=exclude_seen, allow=allow, diversity=diversity)

    def recommend_users(
        self,
        ids: Sequence[GivenId],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[GivenId] | None = None,
        diversity: float = 0.0,
    ) -> Answers[Answer]:
        """The best items for users of the training data, by their interactions there.

        Args:
            ids: of users.
            k, exclude_seen, allow, diversity: as in ``recommend``.

        Returns:
            An answer for each user, best item first.

        Raises:
            UnknownIdError: a user who is not among them; ``recommend`` takes a history instead.
            InputError: a single id instead of several.
        """
        batch = self._engine.users(ids)
        return self._engine.recommend(batch, k, exclude_seen=exclude_seen, allow=allow, diversity=diversity)

    def recommend_all(
        self,
        path: str | Path,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[GivenId] | None = None,
        diversity: float = 0.0,
    ) -> int:
        """Write the best items of all users of the training data to a Parquet file: user, rank (from 1), item, score.

        Users are processed in blocks, so that the answers never are in memory together. The file appears whole or not
        at all, and replaces an older one.

        Args:
            path: of the file.
            k, exclude_seen, allow, diversity: as in ``recommend``.

        Returns:
            The number of rows written.

        Raises:
            InputError: no directory to hold the file.
            SettingError: ``k`` below 1, or ``diversity`` outside 0 to 1.
        """
        allowed = None if allow is None else id_list(allow)

        def ask(ids: Sequence[GivenId]) -> Answers[Answer]:
            return self.recommend_users(ids, k, exclude_seen=exclude_seen, allow=allowed, diversity=diversity)

        return export.write(Path(path), self.adapter.users.ids, self.adapter, ask)

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

    def evaluate(self, test: FoldIn, metrics: Sequence[str] = ("recall@20", "ndcg@100")) -> Evaluation:
        """Rank the items of each user of a fold and compare with what was held out.

        Args:
            test: histories and held-out items over this catalogue; see ``isthmus_interactions.splits``.
            metrics: names such as "recall@20"; see ``isthmus.tasks.evaluation.evaluate``.

        Returns:
            Means, standard errors and values of each metric; higher is better.

        Raises:
            SettingError: an unknown metric.
            InputError: a fold over another catalogue.
        """
        return self._engine.evaluate(test, metrics)

    def save(self, path: str | Path) -> None:
        """Save to a directory, whole or not at all; an older bundle at that place is replaced.

        Raises:
            InputError: something else stands at that place.
        """
        storage.write(path, self.fitted)

    @classmethod
    def load(cls, path: str | Path) -> Recommender:
        """Load and verify what ``save`` wrote. Raises BundleError: truncated, altered, foreign or too new."""
        return cls(storage.read(path))
