"""The best items for histories: through an index if scores are inner products, otherwise by scoring every item."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors
from isthmus.checked.arguments import checked_k
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import AutoencoderRanker
from isthmus.index.exact.filters import Allow
from isthmus.index.exact.searcher import rank, rank_prepared
from isthmus.index.searchers import searcher_over
from isthmus.protocols import Neighbours, Ranker, Searcher
from isthmus.rowlists import RowLists, take
from isthmus_interactions.baselines import Popularity, is_empty

AT_A_TIME = 1024
"""Number of sequences that are processed together."""


class TopItems:
    """Ranks items for ``Recommender.recommend``.

    The scores of a network are inner products of its decoded state with rows of its readout, so an index of these rows
    gives the same ranking. It is exact unless the catalogue is so large that one query would take more than
    ``isthmus.index.searchers.EXACT_SECONDS``. The scores of linear models, blends and new items are not inner products
    of short vectors, so every item is scored.

    Args:
        model: the network or matrix.
        ranker: ranks popular items if the model knows nothing of a history.
        popularity: ranks the popular items.
        histories: creates histories similar to the queries, to tune an index.
    """

    def __init__(
        self, model: nn.Module, ranker: Ranker, popularity: Popularity, histories: Callable[[], Tensors]
    ) -> None:
        self._ranker, self._popularity, self._histories = ranker, popularity, histories
        self._network = AutoencoderRanker(model) if isinstance(model, Autoencoder) else None

    @torch.no_grad()
    def best(self, inputs: Tensors, k: int, *, exclude: RowLists | None = None, allow: Allow = None) -> Neighbours:
        """The ``k`` best items for each history, best first; arguments and errors are those of ``index.exact.rank``.

        Args:
            inputs: histories as the model reads them.
            k: number of items.
            exclude: items that must not be recommended, for each history.
            allow: the only items that may be recommended, for all histories or for each.

        Returns:
            Rows of items and their scores, best first; higher is better.
        """
        if self._network is None:
            if isinstance(inputs, Bags):
                return rank(self._ranker, inputs, k, exclude=exclude, allow=allow)
            return self._rank_in_parts(inputs, k, exclude, allow)
        k, known = checked_k(k), ~is_empty(inputs)
        if bool(known.all()):
            return self._searcher.search(self._queries(inputs), k, exclude=exclude, allow=allow)
        rows = torch.empty(inputs.size, k, dtype=torch.int64, device=inputs.device)
        scores = torch.empty(inputs.size, k, device=inputs.device)
        for some, is_known in ((known.nonzero()[:, 0], True), ((~known).nonzero()[:, 0], False)):
            if len(some):
                own, out = inputs.take(some), None if exclude is None else take(exclude, some)
                only = take(allow, some) if isinstance(allow, RowLists) else allow
                if is_known:
                    found = self._searcher.search(self._queries(own), k, exclude=out, allow=only)
                else:
                    found = rank(self._popularity, own, k, exclude=out, allow=only)
                rows[some], scores[some] = found.rows, found.scores.to(scores.dtype)
        return Neighbours(rows, scores)

    def _rank_in_parts(self, inputs: Tensors, k: int, exclude: RowLists | None, allow: Allow) -> Neighbours:
        """Score every item, in blocks of sequences."""
        found, device = [], inputs.device
        for start in range(0, inputs.size, AT_A_TIME):
            some = torch.arange(start, min(inputs.size, start + AT_A_TIME), device=device)
            state = self._ranker.prepare(inputs.part(start, start + len(some)))
            out = None if exclude is None else take(exclude, some)
            only = take(allow, some) if isinstance(allow, RowLists) else allow
            found.append(rank_prepared(self._ranker, state, len(some), k, exclude=out, allow=only, device=device))
        return Neighbours(torch.cat([one.rows for one in found]), torch.cat([one.scores for one in found]))

    def _queries(self, inputs: Tensors) -> Float[Tensor, "batch hidden_plus_one"]:
        """The queries for the index of items; sequences are processed in blocks, because their states at all steps are
        large."""
        assert self._network is not None
        if isinstance(inputs, Bags):
            return self._network.readout.queries(self._network.prepare(inputs))
        starts = range(0, max(1, inputs.size), AT_A_TIME)
        states = [self._network.prepare(inputs.part(start, min(inputs.size, start + AT_A_TIME))) for start in starts]
        return self._network.readout.queries(torch.cat(states))

    @cached_property
    def _searcher(self) -> Searcher:
        assert self._network is not None
        vectors = self._network.readout.vectors()

        def asked() -> Tensor:
            some = self._histories()
            return self._queries(some.take((~is_empty(some)).nonzero()[:, 0]))

        return searcher_over(vectors, "ip", asked)
