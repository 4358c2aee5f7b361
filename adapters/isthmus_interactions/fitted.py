"""The state of a trained recommender: what ``fit`` returns, storage writes and reads, and ``Recommender`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from isthmus.answers import html
from isthmus.reprs import counted, described
from isthmus.training.history import History
from isthmus.vocabulary import Id
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.csr import Csr
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories


@dataclass(frozen=True, eq=False, repr=False)
class FittedRecommender:
    """A trained model with its vocabularies and its training data. Nothing in it changes; an update makes a new one.

    Attributes:
        adapter: the vocabularies of items and users.
        model: the network or matrix, in evaluation mode.
        builder: the name of the model, as in Python.
        settings: all keywords of the builder.
        interactions: what the users of ``adapter.users`` interacted with, shape (users, items).
        histories: every event of each user in order, for models of sequences; None where the order is not known.
        titles: what to show for an item, where there is something.
        facts: sizes, the rule for values, the course of the training; a JSON document.
    """

    adapter: InteractionsAdapter
    model: nn.Module
    builder: str
    settings: Mapping[str, Any]
    interactions: Csr
    histories: OrderedHistories | None
    titles: Mapping[Id, str]
    facts: Mapping[str, Any]

    @classmethod
    def of(
        cls, data: Interactions, model: nn.Module, builder: str, settings: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> FittedRecommender:
        """The state of a model that was trained on ``data``; there are no titles yet.

        Args:
            data: the interactions of all users, those who were held out to choose an epoch included.
            model: trained, with a column for each item of ``data``.
            builder: the name of the model, as in Python.
            settings: all keywords of the builder.
            facts: as ``fit.facts_of`` collects them.

        Returns:
            The state of a recommender.
        """
        return cls(InteractionsAdapter.fit(data), model, builder, settings, data.matrix, data.histories, {}, facts)

    def __repr__(self) -> str:
        return described(self, self.summary())

    def summary(self) -> str:
        """The model and its data, in a line."""
        users, items = len(self.adapter.users), len(self.adapter.items)
        known = f"{counted(users, 'user')}, {counted(items, 'item')}"
        return f"{self.builder}: {known}, trained on {counted(int(self.interactions.nnz), 'interaction')}"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        first: torch.Tensor = next(iter(self.model.state_dict().values()))
        return first.device

    @property
    def history(self) -> History:
        """The course of the training."""
        return History.from_json(dict(self.facts["training"]))

    def with_titles(self, titles: Mapping[Id, str]) -> FittedRecommender:
        """The same with other titles."""
        return replace(self, titles=titles)


class FittedView:
    """The fields of a fitted recommender, to be read.

    Args:
        fitted: the whole state.
    """

    def __init__(self, fitted: FittedRecommender) -> None:
        self._fitted = fitted

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fitted.summary()}>"

    def _repr_html_(self) -> str:
        titles = f"{counted(len(self.titles), 'item')} with titles"
        return html.paragraph(repr(self).strip("<>")) + html.paragraph(titles) + self.history._repr_html_()

    @property
    def fitted(self) -> FittedRecommender:
        """The state that is saved and updated."""
        return self._fitted

    @property
    def adapter(self) -> InteractionsAdapter:
        """The vocabularies of items and users."""
        return self.fitted.adapter

    @property
    def model(self) -> nn.Module:
        """The network or matrix."""
        return self.fitted.model

    @property
    def builder(self) -> str:
        """The name of the model, as in Python."""
        return self.fitted.builder

    @property
    def settings(self) -> Mapping[str, Any]:
        """All keywords of the builder."""
        return self.fitted.settings

    @property
    def interactions(self) -> Csr:
        """What the users of ``adapter.users`` interacted with, shape (users, items)."""
        return self.fitted.interactions

    @property
    def ordered_histories(self) -> OrderedHistories | None:
        """Every event of each user of ``adapter.users`` in order; None where the order was not known in training."""
        return self.fitted.histories

    @property
    def titles(self) -> Mapping[Id, str]:
        """What to show for an item, where there is something."""
        return self.fitted.titles

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes, the rule for values, the course of the training; a JSON document."""
        return self.fitted.facts

    @property
    def history(self) -> History:
        """The course of the training."""
        return self.fitted.history
