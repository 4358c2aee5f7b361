"""The main job: train on interactions, ask for people who were never seen, save, load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from isthmus.core.rankers import ranker_of
from isthmus.index.vectors import check_k
from isthmus.protocols import Ranker
from isthmus.rowlists import RowLists
from isthmus.tasks.evaluation import Evaluation, evaluate
from isthmus.tasks.explain import contributions
from isthmus.tasks.similar import SimilarColumns
from isthmus.training.history import History as TrainingHistory
from isthmus.training.run import Run
from isthmus.vocabulary import Id
from isthmus_interactions import fit, storage
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.auto import auto
from isthmus_interactions.baselines import OrPopular, Popularity
from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.match_items import placed
from isthmus_interactions.cold_start.ranker import WithNewItems
from isthmus_interactions.cold_start.similar import SimilarWithNew
from isthmus_interactions.csr import Csr
from isthmus_interactions.factorisation import implicit_adopting
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend import export
from isthmus_interactions.recommend.answers import Answer, named
from isthmus_interactions.recommend.diversity import Diversity, candidates, check_diversity
from isthmus_interactions.recommend.histories import GivenId, Histories, History, Told, several, tell
from isthmus_interactions.recommend.similar_users import People, bags_on
from isthmus_interactions.recommend.titles import known_titles
from isthmus_interactions.recommend.top_k import Ranking
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.update import update
from isthmus_interactions.update.merge_data import read_like


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained model with its vocabularies. Made by ``fit`` or ``load``; nothing in it changes.

    Attributes:
        adapter: the vocabularies of items and people.
        model: the network or matrix.
        builder: the name of the model, as in Python.
        settings: all keywords of the builder.
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
        model: str = "auto",
        *,
        validation: FoldIn | float = 0.1,
        metric: str = "ndcg@100",
        budget: float = auto.BUDGET,
        run: Run | None = None,
        titles: Mapping[Any, str] | None = None,
        features: ItemFeatures | None = None,
        **settings: Any,
    ) -> Recommender:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; ``history.interrupted`` tells.

        Args:
            train: interactions, or whatever ``Interactions.read`` takes.
            model: a builder's name; ``isthmus models`` lists them. ``auto`` tries linear models, then networks, then
                their blend, and keeps the best among the people held out; ``facts["tried"]`` tells of all of them.
            validation: people to choose the best epoch by, or the share of ``train`` to hold out for that, a fifth of
                whose items is hidden and asked for. 0 trains on everybody to the last epoch, and so do data of fewer
                than 50 people. A model in closed form is measured by them, then solved for everybody.
            metric: what the best epoch is best at, higher is better; see ``isthmus.tasks.evaluation``.
            budget: seconds that ``auto`` may take, by its best estimate; other models do not look at it.
            run: device, seed, precision, progress and checkpoints.
            titles: texts to show with items, by id.
            features: tags, texts or vectors of items, also of such that nobody touched; see ``with_features``.
            settings: keywords of the builder, such as ``epochs``.

        Raises:
            SettingError: no such model or metric, or a setting that the model does not know or cannot have.
            InputError: data that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        data = train if isinstance(train, Interactions) else Interactions.read(train)
        run = run or Run()
        if features is not None:
            # Before the training, which may be long.
            placed(data.items, data.matrix, features)
        if model == "auto":
            made = auto.fit(data, validation, metric, run, budget, settings)
        else:
            made = fit.fit(data, model, validation, metric, run, settings)
        adapter, shown = InteractionsAdapter.fit(data), known_titles(titles or {}, data.items)
        fitted = cls(adapter, made.model, made.builder, made.settings, data.matrix, shown, made.facts)
        return fitted if features is None else fitted.with_features(features, seed=run.seed)

    def with_features(self, features: ItemFeatures, *, boost: float = 1.0, seed: int = 0) -> Recommender:
        """A recommender whose catalogue also holds the items that only ``features`` know; this one does not change.

        They follow the old items, which keep their rows and scores, and stand among them in every answer. Items of the
        old catalogue that nobody touched are placed by their features too. The score of such an item is a combination
        of the scores of the others and of the history, by ridge regression on the features; how much each counts is
        chosen on touched items that are treated as new ones and told in ``facts["features"]``. In a history a new item
        is replaced by the touched ones that stand for it. Features that were given before are replaced.

        Args:
            features: of touched items, to learn from, and of new ones; see ``ItemFeatures``.
            boost: how much further apart the scores of new items are than what ranks all items best. With 1 few of
                them reach the top among many touched ones; 2 brings forward those that the features speak most for.
            seed: of the people and items that the choice is made on.

        Raises:
            InputError: no item with features is in the training data, or ids of another kind (text and numbers).
            SettingError: more features and items than can be solved with, or ``boost`` not above 0.
        """
        return Recommender(**extend.extended(self, features, boost, seed))

    def without_features(self) -> Recommender:
        """The recommender without the items that only their features know: what ``fit`` returned."""
        return Recommender(**extend.plain(self))

    @classmethod
    def from_implicit(cls, model: Any, data: Interactions, titles: Mapping[Any, str] | None = None) -> Recommender:
        """Take over a model that ``implicit`` has trained: its item factors stay, everybody else is folded in.

        The result is saved and loaded without ``implicit``. Factors of the people of ``data`` are found anew too, from
        what they touched, so that everybody is treated alike.

        Args:
            model: a trained ``AlternatingLeastSquares`` or ``BayesianPersonalizedRanking`` on the CPU.
            data: the interactions whose ``matrix`` it was trained on.
            titles: texts to show with items, by id.

        Raises:
            SettingError: another class of model, or one that is not trained.
            InputError: other numbers of people or items than in ``data``.
            NonFiniteLossError: a factor is NaN or infinite.
            MissingLibraryError: ``implicit`` is not installed.
        """
        made, shown = implicit_adopting.adopted(model, data), known_titles(titles or {}, data.items)
        adapter = InteractionsAdapter.fit(data)
        return cls(adapter, made.model, made.builder, made.settings, data.matrix, shown, made.facts)

    def update(
        self,
        new: Interactions | Any,
        *,
        epochs: int | None = None,
        validation: float = 0.1,
        metric: str | None = None,
        run: Run | None = None,
        titles: Mapping[Any, str] | None = None,
    ) -> Recommender:
        """A recommender that also knows new interactions, people and items; nothing in this one changes.

        Old ids keep their rows, new ones follow. What the people are known to have touched is the union of old and new:
        an interaction that both have counts once where weights are binary; amounts are summed, as one reading of all
        rows would have summed them. A model in closed form is solved again for everybody. One that is trained goes on
        from its weights, with fresh rows for new items, over everybody; where that cannot be, it is fitted anew with
        its settings. So is each part of a blend, whose weights stay; parts of weight 0 only get room for what is new.
        ``facts["updates"]`` tells what was done each time, and ``history`` is that of the last one.

        Args:
            new: interactions, or whatever ``Interactions.read`` takes, of which the same values count as in ``fit``.
            epochs: passes over old and new data of a model that goes on (rounds, for one that is trained in rounds); by
                default a tenth of those in ``settings``, at least 1. 0 only makes room for what is new.
            validation: the share, of the people with something new, who choose the best epoch and do not train. Only
                new items of theirs are hidden, which the old weights cannot know. The state before the first epoch is
                among those to choose from. 0 trains on everybody to the last epoch, and so do fewer than 50 people. A
                model that is solved or fitted anew treats all people as ``fit`` does.
            metric: what the best epoch is best at; by default the one of the last training.
            run: device, seed, precision, progress and checkpoints.
            titles: further texts to show with items, by id.

        Raises:
            InputError: data that cannot be read, no interactions, or ids of another kind (text and numbers).
            SettingError: no such metric, epochs for a model that has none, or a share outside 0 to a half.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        extend.check_plain(self.model)
        data = new if isinstance(new, Interactions) else read_like(self.facts, new)
        return Recommender(**update.update(self, data, epochs, validation, metric, run or Run(), titles or {}))

    @property
    def history(self) -> TrainingHistory:
        """The course of the training."""
        return TrainingHistory.from_json(dict(self.facts["training"]))

    @cached_property
    def ranker(self) -> Ranker:
        """What answers: the model for whoever has a history that it knows, popularity for the others."""
        return OrPopular(ranker_of(self.model), self.popularity)

    @cached_property
    def popularity(self) -> Popularity:
        """The share of people who touched each item."""
        return Popularity.of(self.told, self._device)

    def recommend(
        self,
        histories: Histories,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[GivenId] | None = None,
        diversity: float = 0.0,
    ) -> list[Answer]:
        """Items for people who need not be in the training data.

        They are the best of all items; only a network over a catalogue of which one pass takes more than 50 ms may
        answer through an approximate index, one that was measured to find 95 % of them.

        Args:
            histories: for each person the ids they touched (or ids with weights); ids that the catalogue does not hold
                are left out and named in the answer. Where nothing is left, the popular items are answered.
            k: how many items.
            exclude_seen: leave out what is in the history.
            allow: only these items may be answered; unknown ids among them are ignored.
            diversity: from 0, best first, to 1, as unlike as possible after the first one: the answers are chosen from
                the 10 k best (100 at least) by maximal marginal relevance (``recommend/diversity.py``). They keep the
                model's scores, which then need not fall from one to the next.

        Raises:
            SettingError: ``k`` below 1, or ``diversity`` outside 0 to 1.
            InputError: a history that is none.
        """
        return self._asked(tell(histories, self.adapter.items), k, exclude_seen, allow, diversity)

    def recommend_users(
        self,
        ids: Sequence[GivenId],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[GivenId] | None = None,
        diversity: float = 0.0,
    ) -> list[Answer]:
        """Items for people of the training data, by what they touched there.

        Raises:
            UnknownIdError: somebody who is not among them; ``recommend`` takes a history instead.
            InputError: a single id instead of several.
        """
        rows = torch.from_numpy(self.adapter.users.rows(several(ids)))
        return self._asked(Told(self._people.bags(rows), [[] for _ in rows]), k, exclude_seen, allow, diversity)

    def recommend_all(
        self,
        path: str | Path,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[GivenId] | None = None,
        diversity: float = 0.0,
    ) -> int:
        """Write items for everybody of the training data to a Parquet file: user, rank (from 1), item, score.

        People are asked about in blocks, so that the answers never are in memory together. The file appears whole or
        not at all, and replaces an older one. Returns the number of rows written.

        Raises:
            InputError: no directory to hold the file.
            SettingError: ``k`` below 1, or ``diversity`` outside 0 to 1.
        """
        allowed = None if allow is None else several(allow)

        def ask(ids: Sequence[GivenId]) -> list[Answer]:
            return self.recommend_users(ids, k, exclude_seen=exclude_seen, allow=allowed, diversity=diversity)

        return export.write(Path(path), self.adapter.users.ids, self.adapter, ask)

    def score(self, histories: Histories, candidates: Sequence[GivenId]) -> npt.NDArray[np.float32]:
        """Scores of the same candidates for each history, shape (histories, candidates), for re-ranking: those that
        ``recommend`` sorts by. Higher is better, unknown candidates get -inf."""
        bags = bags_on(tell(histories, self.adapter.items).bags, self._device)
        wanted = several(candidates)
        known = [place for place, id_ in enumerate(wanted) if id_ in self.adapter.items]
        out = np.full((bags.size, len(wanted)), -np.inf, dtype=np.float32)
        if known:
            rows = torch.from_numpy(self.adapter.items.rows([wanted[place] for place in known])).to(self._device)
            with torch.no_grad():
                out[:, known] = self.ranker.scores(self.ranker.prepare(bags), rows).cpu().numpy()
        return out

    def similar_items(self, ids: Sequence[GivenId], k: int = 10) -> list[Answer]:
        """The items nearest to each of the given ones: the cosine between rows of the readout, without the bias; for
        linear cores the weight with which the given item speaks for the other. Higher is nearer.

        Raises:
            UnknownIdError: an item that the catalogue does not hold.
            InputError: a single id instead of several.
            SettingError: ``k`` below 1.
        """
        rows = torch.from_numpy(self.adapter.items.rows(several(ids))).to(self._device)
        return named(self._similar.search(rows, min(k, len(self.adapter.items))), self.adapter.items)

    def similar_users(self, histories: Histories, k: int = 10) -> list[Answer]:
        """People of the training data who are nearest to each history: the cosine between codes; for linear cores,
        which have none, between the histories themselves. Somebody's own history finds themselves first, and a history
        of which nothing is known finds nobody.

        Raises:
            SettingError: ``k`` below 1.
        """
        told = tell(histories, self.adapter.items)
        bags = extend.readable(self.model, told.bags)
        return named(self._people.nearest(bags, k, self._device), self.adapter.users, told.unknown)

    def explain(self, history: History, item: GivenId, k: int | None = None) -> Answer:
        """Which items of a history speak for an item: by how much its score falls without each, best first.

        Raises:
            UnknownIdError: the item is not in the catalogue.
            InputError: a history that is none.
            SettingError: ``k`` below 1.
        """
        if k is not None:
            check_k(k)
        told = tell([history], self.adapter.items)
        column = int(self.adapter.items.rows(several([item]))[0])
        parts = contributions(ranker_of(self.model), bags_on(told.bags, self._device), column).cpu()
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
        """Load and verify what ``save`` wrote. Raises BundleError: truncated, altered, foreign or too new."""
        return cls(**storage.read(path))

    @property
    def _device(self) -> torch.device:
        first: torch.Tensor = next(iter(self.model.state_dict().values()))
        return first.device

    @cached_property
    def _similar(self) -> SimilarColumns | SimilarWithNew:
        return SimilarWithNew(self.model) if isinstance(self.model, WithNewItems) else SimilarColumns(self.model)

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking(self.model, self.ranker, self.popularity, self._people.some)

    @cached_property
    def _diversity(self) -> Diversity:
        return Diversity(self.told)

    @cached_property
    def _people(self) -> People:
        fields = extend.plain(self)
        return People(fields["model"], fields["told"])

    def _asked(
        self, told: Told, k: int, exclude_seen: bool, allow: Iterable[GivenId] | None, diversity: float
    ) -> list[Answer]:
        check_k(k)
        check_diversity(diversity)
        bags, items = bags_on(told.bags, self._device), self.adapter.items
        seen = RowLists(bags.indices, bags.offsets) if exclude_seen else None
        allowed = None if allow is None else torch.from_numpy(np.unique(items.split(several(allow))[0]))
        only = None if allowed is None else allowed.to(self._device)
        many = candidates(k) if diversity else k
        found = self._ranking.best(bags, min(many, len(items)), exclude=seen, allow=only)
        found = self._diversity.rerank(found, min(k, len(items)), diversity) if diversity else found
        return named(found, items, told.unknown, (told.bags.lengths() == 0).tolist())
