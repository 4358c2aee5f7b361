"""The state of a trained recommender, which ``fit`` returns, storage saves and loads, and ``Recommender`` contains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import nn

from isthmus.answers import html
from isthmus.core.linear.changing import ChangingInverse
from isthmus.ids import Id
from isthmus.reprs import counted, described
from isthmus.training.history import History
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.csr import Csr
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories


@dataclass(frozen=True, eq=False, repr=False)
class FittedRecommender:
    """A trained model with its vocabularies and its training data. It is immutable; an update creates a new one.

    Attributes:
        adapter: the vocabularies of items and users.
        model: the network or matrix, in evaluation mode.
        builder: name of the model, as in Python.
        settings: all keywords of the builder.
        interactions: training interactions of ``adapter.users``, shape (users, items).
        histories: all events of each user in order, for sequence models; None if the order is unknown.
        titles: titles of items, for those that have one.
        facts: sizes, the rule for values, the history of the training; a JSON document.
        calibration: the calibration of hit probabilities; None if there is none.
        inverse: the inverse with which ``learn`` and ``forget`` change a closed form; None until one of them was
            called.
    """

    adapter: InteractionsAdapter
    model: nn.Module
    builder: str
    settings: Mapping[str, Any]
    interactions: Csr
    histories: OrderedHistories | None
    titles: Mapping[Id, str]
    facts: Mapping[str, Any]
    calibration: Calibration | None = None
    inverse: ChangingInverse | None = None

    @classmethod
    def of(
        cls,
        data: Interactions,
        model: nn.Module,
        builder: str,
        settings: Mapping[str, Any],
        facts: Mapping[str, Any],
        calibration: Calibration | None = None,
    ) -> FittedRecommender:
        """The state of a model that was trained on ``data``, without titles.

        Args:
            data: the interactions of all users, including those who were held out to choose an epoch.
            model: the trained model, with a column for each item of ``data``.
            builder: name of the model, as in Python.
            settings: all keywords of the builder.
            facts: as collected by ``fit.facts_of``.
            calibration: learnt from users whom the model was not trained on; None if there were too few.

        Returns:
            The state of a recommender.
        """
        adapter = InteractionsAdapter.fit(data)
        return cls(adapter, model, builder, settings, data.matrix, data.histories, {}, facts, calibration)

    def __repr__(self) -> str:
        return described(self, self.summary())

    def summary(self) -> str:
        """The model and its data in one line."""
        users, items = len(self.adapter.users), len(self.adapter.items)
        known = f"{counted(users, 'user')}, {counted(items, 'item')}"
        return f"{self.builder}: {known}, trained on {counted(int(self.interactions.nnz), 'interaction')}"

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        # Not of ``state_dict``, which is made anew: every request asks for the device.
        return next(chain(self.model.parameters(), self.model.buffers())).device

    @property
    def history(self) -> History:
        """The history of the training."""
        return History.from_json(dict(self.facts["training"]))

    def with_titles(self, titles: Mapping[Id, str]) -> FittedRecommender:
        """A copy with other titles."""
        return replace(self, titles=titles)


class FittedView:
    """Read access to the fields of a fitted recommender.

    Args:
        fitted: the state.
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
        """Training interactions of ``adapter.users``, shape (users, items)."""
        return self.fitted.interactions

    @property
    def ordered_histories(self) -> OrderedHistories | None:
        """All events of ``adapter.users`` in order; None if the order was not known in training."""
        return self.fitted.histories

    @property
    def titles(self) -> Mapping[Id, str]:
        """Titles of items, for those that have one."""
        return self.fitted.titles

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes, the rule for values, the history of the training; a JSON document."""
        return self.fitted.facts

    @property
    def calibration(self) -> Calibration | None:
        """The calibration for ``recommend(..., calibrated=True)``; None if there were too few held-out users."""
        return self.fitted.calibration

    @property
    def history(self) -> History:
        """The history of the training."""
        return self.fitted.history
