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
from isthmus.machine.unasked import gather_ranges
from isthmus.protocols import Neighbours, Ranker, Searcher
from isthmus.rowlists import RowLists, take
from isthmus_interactions.baselines import Popularity

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

    def __init__(self, model: nn.Module, ranker: Ranker, popularity: Popularity, histories: Callable[[], Bags]) -> None:
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
        if not isinstance(inputs, Bags):
            return self._rank_in_parts(inputs, k, exclude, allow)
        if self._network is None:
            return rank(self._ranker, inputs, k, exclude=exclude, allow=allow)
        k = checked_k(k)
        bags = inputs
        known = bags.lengths() > 0
        if bool(known.all()):
            return self._searcher.search(self._queries(bags), k, exclude=exclude, allow=allow)
        rows = torch.empty(bags.size, k, dtype=torch.int64, device=bags.indices.device)
        scores = torch.empty(bags.size, k, device=bags.indices.device)
        for some, is_known in ((known.nonzero()[:, 0], True), ((~known).nonzero()[:, 0], False)):
            if len(some):
                own, out = _of(bags, some), None if exclude is None else take(exclude, some)
                only = take(allow, some) if isinstance(allow, RowLists) else allow
                if is_known:
                    found = self._searcher.search(self._queries(own), k, exclude=out, allow=only)
                else:
                    found = rank(self._popularity, own, k, exclude=out, allow=only)
                rows[some], scores[some] = found.rows, found.scores.to(scores.dtype)
        return Neighbours(rows, scores)

    def _rank_in_parts(self, inputs: Tensors, k: int, exclude: RowLists | None, allow: Allow) -> Neighbours:
        """Score every item, for some sequences at a time."""
        found, device = [], inputs.device
        for start in range(0, inputs.size, AT_A_TIME):
            some = torch.arange(start, min(inputs.size, start + AT_A_TIME), device=device)
            state = self._ranker.prepare(inputs.part(start, start + len(some)))
            out = None if exclude is None else take(exclude, some)
            only = take(allow, some) if isinstance(allow, RowLists) else allow
            found.append(rank_prepared(self._ranker, state, len(some), k, exclude=out, allow=only, device=device))
        return Neighbours(torch.cat([one.rows for one in found]), torch.cat([one.scores for one in found]))

    def _queries(self, bags: Bags) -> Float[Tensor, "batch hidden_plus_one"]:
        assert self._network is not None
        return self._network.readout.queries(self._network.prepare(bags))

    @cached_property
    def _searcher(self) -> Searcher:
        assert self._network is not None
        vectors = self._network.readout.vectors()

        def asked() -> Tensor:
            some = self._histories()
            return self._queries(_of(some, (some.lengths() > 0).nonzero()[:, 0]))

        return searcher_over(vectors, "ip", asked)


def _of(bags: Bags, some: Tensor) -> Bags:
    entries, offsets = gather_ranges(bags.offsets, some)
    return bags.entries(entries, offsets)
