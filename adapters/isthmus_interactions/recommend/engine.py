"""Computes the answers of a fitted recommender: rankings, neighbours, explanations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch import Generator, nn

from isthmus.answers import Answers
from isthmus.batch import Bags, Tensors, require_bags, require_tokens
from isthmus.checked.arguments import checked_k, checked_seed, flag, real
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import ranker_of
from isthmus.core.recency import Recent
from isthmus.errors import SettingError
from isthmus.ids import Id
from isthmus.protocols import Neighbours, Ranker
from isthmus.rowlists import RowLists
from isthmus.tasks.evaluation import Evaluation
from isthmus.tasks.explain import contributions, contributions_in_order
from isthmus.tasks.futures import sample_futures
from isthmus.tasks.similar import SimilarColumns
from isthmus.tasks.surprise import surprise
from isthmus_interactions.baselines import Popularity, PopularityFallback
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.calibration.outcomes import DEPTH
from isthmus_interactions.calibration.told import calibrated_items, calibration_for, chances_of
from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.ranker import ColdStartRanker
from isthmus_interactions.cold_start.similar import ColdStartSimilarity
from isthmus_interactions.csr import Csr
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.order.folds import evaluate_fold
from isthmus_interactions.order.inputs import BAGS, Reads, all_rows, reads_of, source_of
from isthmus_interactions.order.popular import recent_popularity
from isthmus_interactions.recommend.answers import Answer, Chances, Questions, to_answers
from isthmus_interactions.recommend.diversity import Diversity, candidates, check_diversity
from isthmus_interactions.recommend.filters import ItemFilters
from isthmus_interactions.recommend.histories import GivenId, HistoryBatch, id_list
from isthmus_interactions.recommend.similar_users import SimilarUsers
from isthmus_interactions.recommend.suggest import item_rows, warn_of_unknown_histories
from isthmus_interactions.recommend.top_k import TopItems
from isthmus_interactions.sequences import known_order
from isthmus_interactions.splits import FoldIn

logger = logging.getLogger(__name__)


class RecommendationEngine:
    """The components of a recommender in operation, with external ids; each one is created on first use and then kept.

    Args:
        fitted: the model and its training data.
    """

    def __init__(self, fitted: FittedRecommender) -> None:
        self._fitted = fitted

    @cached_property
    def ranker(self) -> Ranker:
        """The model for histories with known items, popularity for the others."""
        return PopularityFallback(ranker_of(self._fitted.model), self.popularity)

    @cached_property
    def popularity(self) -> Popularity:
        """The share of users who interacted with each item."""
        return Popularity.of(self._fitted.interactions, self._fitted.device)

    def recommend(
        self,
        batch: HistoryBatch,
        k: int,
        *,
        exclude_seen: bool,
        filters: ItemFilters,
        diversity: float,
        calibrated: bool = False,
    ) -> Answers[Answer]:
        """The best items for each history; see ``Recommender.recommend``.

        Args:
            batch: the histories.
            k: number of items.
            exclude_seen: leave out the items of the history.
            filters: which items may be recommended.
            diversity: from 0 (best first) to 1 (as different as possible).
            calibrated: add the chance of each item to be a hit.

        Returns:
            An answer for each history, best item first.

        Raises:
            SettingError: ``k`` below 1, ``diversity`` outside 0 to 1, or no calibration.
        """
        k = checked_k(k)
        check_diversity(diversity)
        exclude_seen = flag("exclude_seen", exclude_seen)
        calibration = calibration_for(self._fitted) if flag("calibrated", calibrated) else None
        self._warn(batch, "the most popular items are recommended")
        device, items = self._fitted.device, self._fitted.adapter.items
        bags = batch.bags.to(device)
        seen = RowLists(bags.indices, bags.offsets) if exclude_seen else None
        filters = filters.to(device)
        many = candidates(k) if diversity else k
        inputs = self._read(self._inputs(batch))
        found = self._ranking.best(
            inputs, min(many, len(items)), exclude=filters.excluded(bags.size, seen), allow=filters.allow
        )
        found = self._diversity.rerank(found, min(k, len(items)), diversity) if diversity else found
        chances = None if calibration is None else self._chances(calibration, found, batch, inputs)
        asked = Questions(batch.unknown, (batch.bags.lengths() == 0).tolist(), batch.users, batch.kind, chances)
        return to_answers(found, items, asked, self._fitted.titles)

    def _chances(self, calibration: Calibration, found: Neighbours, batch: HistoryBatch, inputs: Tensors) -> Chances:
        """The hit probabilities of items, which depend on the best items of each history without filters."""
        bags = batch.bags.to(self._fitted.device)
        seen = RowLists(bags.indices, bags.offsets)
        known = calibrated_items(self._fitted.model)
        k = min(DEPTH, len(self._fitted.adapter.items) if known is None else len(known))
        best = self._ranking.best(inputs, k, exclude=seen, allow=known)
        return chances_of(calibration, found, batch, best, self._fitted.model)

    def users(self, ids: Sequence[GivenId]) -> HistoryBatch:
        """The histories of users of the training data.

        Raises:
            UnknownIdError: a user who is not in the training data.
            InputError: a single id instead of several.
        """
        users = self._fitted.adapter.users
        asked = id_list(ids, users)
        rows = torch.from_numpy(users.rows(asked))
        events = self._fitted.histories
        ordered = None if events is None else events.take(rows.numpy())
        return HistoryBatch(self._users.bags(rows), [[] for _ in rows], ordered, asked, users.kind)

    def score(self, batch: HistoryBatch, wanted: Sequence[GivenId]) -> npt.NDArray[np.float32]:
        """Scores of the same items for each history, shape (histories, wanted); -inf for unknown items."""
        items, device = self._fitted.adapter.items, self._fitted.device
        self._warn(batch, "items are scored by their popularity")
        inputs = self._inputs(batch)
        ids = id_list(wanted, items)
        known = [place for place, id_ in enumerate(ids) if id_ in items]
        out = np.full((inputs.size, len(ids)), -np.inf, dtype=np.float32)
        if known:
            rows = torch.from_numpy(items.rows([ids[place] for place in known])).to(device)
            with torch.no_grad():
                out[:, known] = self.ranker.scores(self.ranker.prepare(inputs), rows).cpu().numpy()
        return out

    def similar_items(self, ids: Sequence[GivenId], k: int) -> Answers[Answer]:
        """The nearest items of each item; see ``Recommender.similar_items``."""
        k, items = checked_k(k), self._fitted.adapter.items
        asked = Questions(ids=id_list(ids, items), kind=items.kind)
        rows = torch.from_numpy(item_rows(self._fitted, asked.ids or ())).to(self._fitted.device)
        return to_answers(self._similar.search(rows, min(k, len(items))), items, asked, self._fitted.titles)

    def similar_users(self, batch: HistoryBatch, k: int) -> Answers[Answer]:
        """The nearest users of each history; see ``Recommender.similar_users``."""
        k = checked_k(k)
        self._warn(batch, "there are no similar users")
        inputs = self._inputs(batch)
        if isinstance(inputs, Bags):
            inputs = self._read(extend.readable(self._fitted.model, inputs))
        found = self._users.nearest(inputs, k, self._fitted.device)
        return to_answers(found, self._fitted.adapter.users, Questions(batch.unknown, None, batch.users, batch.kind))

    def explain(self, batch: HistoryBatch, item: GivenId, k: int | None) -> Answer:
        """The contribution of each item of a history to the score of an item; see ``Recommender.explain``.

        Args:
            batch: a single history.
            item: the item whose score is explained.
            k: maximum number of items of the history.

        Returns:
            Items of the history, largest contribution first.
        """
        if k is not None:
            k = checked_k(k)
        fitted = self._fitted
        column, inputs = int(item_rows(fitted, [item])[0]), self._read(self._inputs(batch))
        if self._reads.length is None:
            items = require_bags(inputs, "an explanation").indices
            parts = contributions(ranker_of(self._model), require_bags(inputs, "an explanation"), column)
        else:
            items, parts = contributions_in_order(self._model, inputs, column)
        order = torch.sort(parts.cpu(), descending=True, stable=True).indices[:k]
        ids = fitted.adapter.items.take(items.cpu()[order].numpy())
        titles = [fitted.titles.get(id_) for id_ in ids]
        scores = [float(part) for part in parts[order]]
        return Answer(ids, scores, batch.unknown[0], titles=titles, kind=fitted.adapter.items.kind)

    def surprise(self, batch: HistoryBatch) -> list[npt.NDArray[np.float32]]:
        """The surprise of each event of the histories; see ``Recommender.surprise``."""
        model = self._causal("how unexpected events are")
        tokens = require_tokens(self._inputs(batch), "a sequence model")
        found, lengths = surprise(model, tokens).numpy(), tokens.mask.sum(1).tolist()
        events = known_order(batch.ordered).lengths.tolist()
        early = [np.full(whole - read, np.nan, np.float32) for whole, read in zip(events, lengths, strict=True)]
        return [np.concatenate([skipped, row[:read]]) for skipped, row, read in zip(early, found, lengths, strict=True)]

    def sample_futures(
        self, batch: HistoryBatch, steps: int, samples: int, *, temperature: float, exclude_seen: bool, seed: int
    ) -> list[list[list[Id]]]:
        """Sampled continuations of the histories; see ``Recommender.sample_futures``."""
        model, items = self._causal("what comes next"), self._fitted.adapter.items
        steps, samples = checked_k(steps, "steps"), checked_k(samples, "samples")
        exclude_seen = flag("exclude_seen", exclude_seen)
        generator = Generator(self._fitted.device).manual_seed(checked_seed(seed))
        tokens = require_tokens(self._inputs(batch), "a sequence model").repeat(samples)
        temperature = real("temperature", temperature, "a number above 0")
        drawn = sample_futures(model, tokens, steps, generator=generator, temperature=temperature, new=exclude_seen)
        found = [list(items.take(row)) for row in drawn.cpu().numpy()]
        return [found[start : start + samples] for start in range(0, len(found), samples)]

    def _causal(self, asked: str) -> Autoencoder:
        """The model, which must predict each item from the previous ones."""
        model = self._fitted.model
        if not (isinstance(model, Autoencoder) and self._reads.length is not None):
            raise SettingError(
                f"{asked} to {self._fitted.builder}",
                expected="a sequence-recommender, which predicts each item from those before it",
            )
        return model

    def evaluate(self, fold: FoldIn, metrics: Sequence[str], seen: str = "masked") -> Evaluation:
        """Evaluate on held-out items; see ``Recommender.evaluate``."""
        fitted = self._fitted
        return evaluate_fold(
            self.ranker, self._reads, fold, metrics, fitted.device, seen=seen, trained=fitted.interactions
        )

    def baselines(self, fold: FoldIn, metrics: Sequence[str], seen: str) -> dict[str, dict[str, float]]:
        """Means of the metrics for popularity, and for that of the last days of the training data."""
        rankers = {"popularity": self.popularity, **recent_popularity(self._fitted)}
        found = {}
        for name, ranker in rankers.items():
            measured = evaluate_fold(
                ranker, BAGS, fold, metrics, self._fitted.device, seen=seen, trained=self._fitted.interactions
            )
            found[name] = dict(measured.means)
        return found

    def _warn(self, batch: HistoryBatch, instead: str) -> None:
        """Warn the caller of the public method about histories without known items."""
        known = (batch.bags.lengths() > 0).tolist()
        warn_of_unknown_histories(self._fitted, batch.unknown, known, instead, stacklevel=4)

    @cached_property
    def _reads(self) -> Reads:
        return reads_of(self._fitted.model)

    @property
    def _model(self) -> nn.Module:
        """The model itself; a model with a half-life gets weighted bags, see ``_read``."""
        model = self._fitted.model
        return model.model if isinstance(model, Recent) else model

    def _inputs(self, batch: HistoryBatch) -> Tensors:
        """The histories in the form that the model reads, on its device."""
        if not self._reads.order:
            return batch.bags.to(self._fitted.device)
        ordered = known_order(batch.ordered)
        if self._reads.timed and self._reads.ages and ordered.times is None and ordered.events:
            logger.warning("histories without times for a half-life in time: all their items count alike")
        bags = batch.bags
        parts = (bags.weights.numpy(), bags.indices.numpy(), bags.offsets.numpy())
        matrix: Csr = csr_array(parts, shape=(bags.size, self._fitted.interactions.shape[1]))
        matrix.sort_indices()
        return all_rows(source_of(matrix, ordered, self._reads)).to(self._fitted.device)

    def _read(self, inputs: Tensors) -> Tensors:
        """The inputs in the form that the inner model reads."""
        model = self._fitted.model
        return model.weighed(inputs) if isinstance(model, Recent) else inputs

    @cached_property
    def _similar(self) -> SimilarColumns | ColdStartSimilarity:
        model = self._model
        return ColdStartSimilarity(model) if isinstance(model, ColdStartRanker) else SimilarColumns(model)

    @cached_property
    def _ranking(self) -> TopItems:
        ranker = PopularityFallback(ranker_of(self._model), self.popularity)
        return TopItems(self._model, ranker, self.popularity, self._users.some)

    @cached_property
    def _diversity(self) -> Diversity:
        return Diversity(self._fitted.interactions)

    @cached_property
    def _users(self) -> SimilarUsers:
        known = extend.without_features(self._fitted)
        return SimilarUsers(known.model, known.interactions, known.histories)
