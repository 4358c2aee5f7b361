"""Methods of a recommender that learn and forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack

from isthmus.training.loggers import Log
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_interactions.exact import forget, learn
from isthmus_interactions.exact.forget import Refit
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.fitted import FittedView
from isthmus_interactions.recommend.histories import GivenId

V = TypeVar("V", bound="ExactVerbs")


class ExactVerbs(FittedView):
    """Learns interactions and forgets users and items, with the result of a fit on the changed data."""

    def learn(
        self: V, new: Any, *, check: int = 3, titles: Mapping[Any, str] | None = None, **reading: Unpack[Reading]
    ) -> V:
        """Return a recommender that also knows new interactions, users and items, as if it had been fitted on all of
        them. This one does not change.

        For ``ease``, ``edlae`` and ``rdlae``, whose weights follow from the inverse of a matrix. Data are merged as by
        ``update``. The first call solves that matrix in double precision, which takes as long as a fit and 8 bytes for
        each pair of items; later ones change it by a low rank, which takes a fraction of a second for a few users, and
        longer for new items (a copy of the matrix). A change of very many users is solved anew.
        ``facts["updates"][-1]`` describes the change: ``largest_difference`` is the largest difference between a weight
        and its exact value in the checked columns. Above 1e-8 the matrix is solved again.

        Args:
            new: anything that ``Interactions.read`` accepts; columns, the rule for values and weights are those of
                ``fit``.
            check: number of items whose weights are checked against the data; 0 checks nothing.
            titles: further titles of items, by id.
            reading: columns and other keywords of ``Interactions.read`` that differ from those of ``fit``.

        Returns:
            The recommender that knows more.

        Raises:
            SettingError: a model that cannot learn exactly; items that are known only by their features; or too little
                memory.
            InputError: data that cannot be read, no interactions, or ids of another kind (text and numbers).
        """
        data = read_like(self.fitted, new, **reading)
        return type(self)(learn.learn(self.fitted, data, check, titles or {}))

    def forget(
        self: V,
        *,
        users: Sequence[GivenId] | None = None,
        items: Sequence[GivenId] | None = None,
        check: int = 3,
        validation: float = 0.1,
        metric: str | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        time_limit: float | None = None,
        log: Log | None = None,
        run: Run | None = None,
    ) -> V:
        """Return a recommender without some users and items, as if they had never been in its data. This one does not
        change.

        The weights of ``ease``, ``edlae`` and ``rdlae`` are changed exactly, as by ``learn``, which describes the time,
        the memory and the report. All other models are fitted anew on the remaining data with the same settings, which
        takes as long as the first fit. Items that only forgotten users had stay in the catalogue, and users who only
        had forgotten items stay without interactions. Copies of the bundle and the files that it was trained on are
        not touched.

        Args:
            users: users of the training data.
            items: items of the catalogue.
            check: number of items whose weights are checked against the data; 0 checks nothing.
            validation: for a model that is fitted anew, the share of users to hold out, as in ``fit``.
            metric: metric that chooses the best epoch then; by default the one of the last training.
            seed, device, precision, progress, time_limit, log: how it is trained then; see ``isthmus.training.run``.
            run: all of these as one object.

        Returns:
            The recommender that knows less.

        Raises:
            UnknownIdError: a user or an item that is not in the training data, with suggestions.
            InputError: nobody and nothing to forget, or no interaction that would be left.
            SettingError: items that are known only by their features, or too little memory.
        """
        gathered = Run.gather(run, seed, device, precision, progress, None, False, time_limit, log)
        how = Refit(validation, metric, gathered)
        return type(self)(forget.forget(self.fitted, users, items, check, how))
