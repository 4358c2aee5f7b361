"""The ``Recommender``: train on interactions, recommend for any user, save and load."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Unpack, final

from isthmus import plugins
from isthmus.bundle.in_memory import packed, unpacked
from isthmus.cards import CardWords
from isthmus.checked.arguments import flag
from isthmus.distributed import check_network
from isthmus.jobs.tasks import PartTask
from isthmus.machine.devices import named_device, put
from isthmus.plots import Missing, Panel
from isthmus.training.interrupts import interruptible
from isthmus.training.loggers import Log
from isthmus.training.progress import Progress, doing
from isthmus.training.run import Run
from isthmus_interactions import storage
from isthmus_interactions.auto import auto
from isthmus_interactions.calibration.held_out import calibrate
from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.match_items import match_items_to_features
from isthmus_interactions.exact import state
from isthmus_interactions.exact.verbs import ExactVerbs
from isthmus_interactions.exchange.verbs import ExchangeVerbs
from isthmus_interactions.factorisation import implicit_adopting
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.files.reading import Reading, Weights
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.jobs.tasks import PART_TASKS
from isthmus_interactions.order.choose_decay import check_decay_of_auto, fit_with_decay
from isthmus_interactions.order.temporal import earlier
from isthmus_interactions.overview.card import WORDS
from isthmus_interactions.overview.panels import panels
from isthmus_interactions.recommend.protocols import Protocol, asked_fold
from isthmus_interactions.recommend.timed_protocols import BEFORE
from isthmus_interactions.recommend.titles import known_titles
from isthmus_interactions.report.verbs import ReportVerbs
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.update import update
from isthmus_interactions.vocabularies import Ids

logger = logging.getLogger(__name__)


@final
class Recommender(ReportVerbs, ExactVerbs, ExchangeVerbs):
    """A trained model with its vocabularies. Created by ``fit`` or ``load``; immutable.

    Args:
        fitted: the state, whose fields can be read here under their own names.

    Attributes:
        card_words: text of the model card for recommenders.
        part_tasks: what is answered for the rows of a table in batch jobs, by name; see ``isthmus.jobs``.
    """

    card_words: ClassVar[CardWords] = WORDS
    part_tasks: ClassVar[Mapping[str, PartTask]] = PART_TASKS

    @classmethod
    def fit(
        cls,
        train: Interactions | Any,
        model: str = "auto",
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        value: str | int | None = None,
        time: str | int | None = None,
        keep: str | float | None = None,
        weights: Weights | None = None,
        ordered: bool | None = None,
        users: Ids | None = None,
        items: Ids | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        before: Any = None,
        decay: float | int | str | None = None,
        validation: FoldIn | float = 0.1,
        metric: str = "ndcg@100",
        refit: bool = True,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        shard: str | None = None,
        groups: int = 1,
        log: Log | None = None,
        run: Run | None = None,
        titles: Mapping[Any, str] | None = None,
        features: ItemFeatures | None = None,
        **settings: Any,
    ) -> Recommender:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; see ``history.interrupted``.

        Args:
            train: a file, a data frame, a SciPy matrix or a tuple of arrays (users, items, values), as accepted by
                ``Interactions.read``, or interactions.
            user, item, value, time: names of columns, if they are not the usual ones. They are remembered, so that
                ``update`` and ``evaluate`` read files with the same columns.
            keep, weights, ordered: which values count, the weight of an interaction, and whether rows are in order.
            users, items: ids for the rows and columns of a SciPy matrix.
            encoding, delimiter, header: the format of a text file, if it is not detected correctly; remembered like the
                names of columns. See ``Interactions.read`` for all of these.
            model: name of a builder; ``isthmus models`` lists them. ``auto`` tries linear models, then networks, then a
                blend of them, and keeps the best on held-out users; ``facts["tried"]`` lists all of them.
            before: only train on events before this moment: a date, a number as in the data, or a share such as 0.9 of
                the events. ``evaluate(..., split="temporal")`` then evaluates on the later events.
            decay: recency, for models of bags: the half-life of an item in a history, as a number of later events such
                as 20 or as a time such as "30d". "auto" chooses one, or none, on held-out data; ``facts["decay"]``
                lists what was tried. The builder of the result is then ``recent``.
            validation: held-out users who choose the best epoch, or the share of the users of ``train`` to hold out; a
                fifth of their items is hidden. With 0, or fewer than 50 users, all users are trained on and the last
                epoch is kept.
            metric: metric that chooses the best epoch, higher is better; see ``isthmus.tasks.evaluation``.
            refit: whether the model is finally fitted on all users, including held-out ones of ``train``: a closed form
                is solved again, and a network is trained again for the best number of epochs, which takes up to as long
                as before and is skipped if the time limit does not allow it. Scores and calibration are measured
                before. ``facts["fitted_on_everybody"]`` says whether it was done.
            seed, device, precision, checkpoints, resume: how training is run, see ``isthmus.training.run.Run``.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            time_limit: seconds for the training. For ``auto`` this includes everything, approximately, and the default
                is 600.
            shard: over the processes that ``torchrun`` started, "rows" distributes the rows of the item tables, for
                catalogues that one process cannot train, and "batches" the rows of each batch. All of them call this
                method in the same way. The returned recommender is complete in process 0, and with "batches" in all
                of them; with "rows" it cannot be used in the others. Only process 0 saves it.
            groups: with "rows": groups of processes that have all rows together and compute a part of each batch.
            run: all of these as one object.
            titles: titles of items, by id, to show with results.
            features: tags, texts or vectors of items. They are used in the training of linear models and networks
                (``feature_weight``; chosen on held-out users if it is not given) and of "content-knn", and items
                without interactions are ranked by them; see ``with_features``.
            settings: keywords of the builder, such as ``epochs``.

        Returns:
            The trained recommender, for the users and items of ``train``.

        Raises:
            SettingError: no such model or metric, or a setting that the model does not have or accept.
            InputError: data that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        columns: Reading = {"user": user, "item": item, "value": value, "time": time}
        told: Reading = {"keep": keep, "weights": weights, "ordered": ordered, "users": users, "items": items}
        file: Reading = {"encoding": encoding, "delimiter": delimiter, "header": header}
        data = Interactions.read(train, **columns | told | file)
        data, moment = (data, None) if before is None else earlier(data, before)
        together: Any = {"shard": shard, "groups": groups}
        run = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log, **together)
        check_network(run, plugins.python_name(model), "features of items" if features is not None else "")
        if features is not None:
            # Before the training, which may take long.
            match_items_to_features(data.items, data.matrix, features)
        with interruptible() as stop:
            if plugins.python_name(model) == "auto":
                check_decay_of_auto(decay)
                made = auto.fit(data, validation, metric, run, settings, features, refit=refit)
            else:
                made = fit_with_decay(data, model, decay, validation, metric, run, settings, features, refit=refit)
            if moment is not None:
                made = replace(made, facts={**made.facts, BEFORE: moment})
            found = [cls(made.with_titles(known_titles({} if titles is None else titles, data.items)))]
            if features is not None:
                with doing(run.progress, "learning from the features of items"):
                    if not stop.optional(lambda: found.append(found[0].with_features(features, seed=run.seed))):
                        logger.warning("interrupted: the features of items are left out")
        return found[-1]

    def __getstate__(self) -> dict[str, Any]:
        return packed(storage.content(self.fitted))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        Recommender.__init__(self, storage.restored(unpacked(state)))

    @classmethod
    def from_implicit(
        cls, model: Any, data: Any, titles: Mapping[Any, str] | None = None, **reading: Unpack[Reading]
    ) -> Recommender:
        """Convert a model that ``implicit`` has trained. Its item factors are kept, and users are folded in.

        The result is saved and loaded without ``implicit``. User factors are computed from the interactions.

        Args:
            model: a trained ``AlternatingLeastSquares`` or ``BayesianPersonalizedRanking`` on the CPU.
            data: the training data of the model, as a matrix of users and items or as interactions.
            titles: titles of items, by id.
            reading: ids of a matrix as ``users=`` and ``items=``; see ``Interactions.read``.

        Returns:
            A recommender with the same item factors.

        Raises:
            SettingError: another class of model, or a model that is not trained.
            InputError: other numbers of users or items than in ``data``.
            NonFiniteLossError: a factor is NaN or infinite.
            MissingLibraryError: ``implicit`` is not installed.
        """
        data = Interactions.read(data, **reading)
        made = implicit_adopting.from_implicit(model, data)
        return cls(made.with_titles(known_titles({} if titles is None else titles, data.items)))

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
        log: Log | None = None,
        run: Run | None = None,
        titles: Mapping[Any, str] | None = None,
        **reading: Unpack[Reading],
    ) -> Recommender:
        """Return a recommender that also knows new interactions, users and items. This one does not change.

        Old ids keep their rows, and new ids follow. The interactions are the union of old and new ones: an interaction
        in both counts once if weights are binary, and otherwise amounts are summed, as if all rows had been read at
        once. A closed-form model is solved again for all users. A trained model continues from its weights on all
        users, with new rows for new items; if this is not possible, it is fitted again with its settings. Parts of a
        blend are updated in the same way, with unchanged weights; parts of weight 0 are only widened.
        ``facts["updates"]`` describes each update, and ``history`` is that of the last one. The calibration is learnt
        again if the model is fitted again, and otherwise kept, see ``calibrate``.

        Args:
            new: anything that ``Interactions.read`` accepts; columns, the rule for values and weights are those of
                ``fit``.
            epochs: passes over old and new data of a model that continues training (rounds, for a model that is trained
                in rounds); by default a tenth of those in ``settings``, at least 1. 0 only widens the model.
            validation: share of the users with new interactions who are held out to choose the best epoch. Only their
                new items are hidden, which the old weights cannot know; the state before the first epoch is one of the
                candidates. Afterwards the model continues once more from the old weights, on all users, for as many
                epochs as were best (parts of a blend do not). With 0, or fewer than 50 such users, all users are
                trained on at once and the last epoch is kept.
                For a model that is solved or fitted again, ``validation`` has the same meaning as in ``fit``.
            metric: metric that chooses the best epoch; by default the one of the last training.
            seed, device, precision, checkpoints, resume, time_limit: how training is run; see ``isthmus.training.run``.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            run: all of these as one object.
            titles: further titles of items, by id.
            reading: columns and other keywords of ``Interactions.read`` that differ from those of ``fit``.

        Returns:
            The updated recommender.

        Raises:
            InputError: data that cannot be read, no interactions, or ids of another kind (text and numbers).
            SettingError: no such metric, epochs for a model that has none, or a share outside 0 to a half.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        extend.check_without_features(self.model)
        data = read_like(self.fitted, new, **reading)
        how = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log)
        return Recommender(update.update(self.fitted, data, epochs, validation, metric, how, titles or {}))

    def calibrate(
        self,
        test: Any,
        *,
        split: str | None = None,
        at: Any = None,
        target: str | None = None,
        hide: float = 0.2,
        seed: int = 0,
        **reading: Unpack[Reading],
    ) -> Recommender:
        """Return a recommender with hit probabilities for ``recommend(..., calibrated=True)``. This one does not
        change.

        ``fit`` learns them from the users that it holds out. This method learns them from other data: for a bundle
        without a calibration, or if a hit should mean something else, such as the next item.

        Args:
            test: interactions that the model was not trained on, as for ``evaluate``, preferably of several hundred
                users or more. Their hidden items are the hits.
            split, at, target, hide, seed, reading: as for ``evaluate``.

        Returns:
            The recommender with the calibration.

        Raises:
            SettingError: an unknown split.
            InputError: as for ``evaluate``; or fewer than 30 users with 30 hits among their best items.
        """
        asked = asked_fold(self.fitted, test, Protocol(split, hide, seed, at, target, "masked"), **reading)
        return Recommender(replace(self.fitted, calibration=calibrate(self.model, asked.fold, self.fitted.device)))

    def panels(self) -> list[Panel | Missing]:
        """The panels of ``isthmus.plots.overview``, which ``isthmus plot`` draws.

        Returns:
            Scores of the candidates on held-out users, parts of a blend, training curves, scores by length of the
            history, and the popularity of recommendations; or, in place of a panel, the reason why it is missing.
        """
        return panels(self.fitted, self._engine)

    def save(self, path: str | Path, *, inverse: bool = True, card: bool = True) -> None:
        """Save to a directory, completely or not at all; an older bundle there is replaced.

        Args:
            path: of the bundle. After a training with ``shard``, process 0 writes it.
            inverse: save the inverse for the next ``learn`` or ``forget``, if there is one, which is as large as the
                weights. Without it, the next one takes as long as a fit.
            card: whether to write a model card, ``README.md``, with sizes and scores, but no ids.

        Raises:
            InputError: the path exists and is not a bundle.
        """
        if getattr(self.model, "elsewhere", False):
            return
        kept = self.fitted if flag("inverse", inverse) else state.without_inverse(self.fitted)
        storage.write(path, kept, card)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> Recommender:
        """Load and verify what ``save`` wrote.

        Args:
            path: of the bundle.
            device: where its questions are answered: ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes CUDA where
                there is a device.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
            SettingError: a device that is not there, or has too little memory.
        """
        named_device(device)
        found = storage.read(path)
        put(found.model, device)
        return cls(found)
