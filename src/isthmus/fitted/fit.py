"""Steps of ``fit`` that all domains share: finding the builder, scoring epochs, and fitting to the codes after the
training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from isthmus import plugins
from isthmus.batch import Signal
from isthmus.checked.arguments import ABOVE_ZERO, flag, real
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.fitted.anomaly import CONTAMINATION, CalibratedScorer
from isthmus.fitted.gallery import Gallery
from isthmus.fitted.latent_prior import fit_latent_prior
from isthmus.fitted.model import AdapterState, FittedAutoencoder
from isthmus.fitted.quality import warn
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Builder, Recipe, Source
from isthmus.reprs import brief
from isthmus.sources import SomeRows
from isthmus.tasks.coding import codes_of
from isthmus.tasks.coding import held_out as score_held_out
from isthmus.training.history import History
from isthmus.training.interrupts import StopRequest, warn_of_interruption
from isthmus.training.progress import Progress, doing
from isthmus.training.run import Run, Validation

METRIC = "objective"
"""The negative loss on held-out records: nats per record, higher is better."""

CODES, THRESHOLD, PRIOR = "codes to search among", "anomaly threshold", "mixture to sample from"
"""Names of what is computed after the training, for messages."""

FEW = 500
"""Number of records that represent all of them when the user waits for the end."""

A = TypeVar("A", bound=AdapterState)
T = TypeVar("T")


@brief
@dataclass(frozen=True)
class FitRequest:
    """The arguments of ``fit`` that all domains share.

    Attributes:
        plugin: name of the plugin in which the builder is looked up.
        model: name of the builder, as in Python or with hyphens.
        settings: its keywords.
        validation: share of the records that is held out to choose the best epoch.
        contamination: expected share of normal records that ``is_anomaly`` flags.
        gallery: whether the records can be searched afterwards.
    """

    plugin: str
    model: str
    settings: Mapping[str, Any]
    validation: float = 0.1
    contamination: float = CONTAMINATION
    gallery: bool = True

    def __post_init__(self) -> None:
        share = real("contamination", self.contamination, "a share of the records, 0 to 1", least=ABOVE_ZERO)
        if share >= 1:
            raise SettingError(f"contamination={share}", expected="a share of the records, 0 to 1")
        held_out = real("validation", self.validation, "a share of the records, from 0 to a half", least=0)
        for name, value in {
            "contamination": share,
            "validation": held_out,
            "gallery": flag("gallery", self.gallery),
        }.items():
            object.__setattr__(self, name, value)

    def resolve(self, defaults: Callable[[Builder], Mapping[str, Any]] | None = None) -> ModelSpec:
        """Find the builder and complete its keywords.

        Args:
            defaults: default keywords that suit the records better than those of the builder.

        Returns:
            The builder with all its keywords.

        Raises:
            SettingError: no such model, or a setting that it does not have or accept.
        """
        _, builder = plugins.find_builder(self.model, self.plugin)
        found = defaults(builder) if defaults is not None else {}
        # None asks for what is usual, which may depend on the records.
        told = {name: value for name, value in self.settings.items() if value is not None or name not in found}
        given = {**found, **told}
        return ModelSpec(plugins.python_name(self.model), builder, checked(self.model, builder, given))


@brief
@dataclass(frozen=True)
class ModelSpec:
    """A builder with all its keywords.

    Attributes:
        name: name of the builder, as in Python and in bundles.
        builder: the function.
        settings: all its keywords, including defaults.
    """

    name: str
    builder: Builder
    settings: Mapping[str, Any]

    def build(self, signal: Signal, run: Run) -> tuple[Recipe, Autoencoder]:
        """Build the recipe and its untrained model.

        Args:
            signal: shape of a record.
            run: its seed determines the initial weights.

        Returns:
            The recipe, and the model in it.

        Raises:
            SettingError: settings that the model cannot have, or a model that is not an autoencoder.
        """
        recipe = built(self.name, self.builder, signal, run, self.settings)
        if not isinstance(recipe.model, Autoencoder):
            raise SettingError(f"model {self.name!r}", expected="an autoencoder")
        return recipe, recipe.model


def validation_on(source: Source, run: Run, *, corrupt: bool = False, watch: bool = True) -> Validation:
    """Score each epoch by the negative loss on held-out records: nats per record, higher is better.

    Args:
        source: the held-out records.
        run: its precision is used.
        corrupt: whether to corrupt the records, which only a pure denoiser needs.
        watch: whether the history also records ``held_out_nll`` and ``held_out_rate``.

    Returns:
        The validation score.
    """
    latest: dict[str, float] = {}

    def score(model: nn.Module) -> float:
        assert isinstance(model, Autoencoder)
        found = score_held_out(model, source, run, corrupt=corrupt)
        latest.update(held_out_nll=found.nll, held_out_rate=found.rate)
        return -found.loss

    return Validation(METRIC, score, watch=(lambda model: dict(latest)) if watch else None)


def training_facts(
    kind: str, records: int, held_out: int, run: Run, history: History, **more: int | float | str | list[str] | None
) -> dict[str, Any]:
    """Facts about a training for the manifest of a bundle.

    Args:
        kind: name of the records, such as ``images``.
        records: number of records.
        held_out: number of held-out records.
        run: its seed is recorded.
        history: history of the training.
        more: further facts of the domain.
    """
    return {
        kind: records,
        **more,
        f"validation_{kind}": held_out,
        "seed": run.seed,
        "training": history.to_json(),
    }


class AfterTraining:
    """Steps after the training, each of which is skipped if the user has asked to stop.

    Args:
        stop: signals received during the whole ``fit``.
        progress: reports each step.
        history: history of the training, for the message after a signal.
    """

    def __init__(self, stop: StopRequest, progress: Progress, history: History) -> None:
        self._stop, self._progress, self._history = stop, progress, history
        self.left_out: list[str] = []

    def made(self, name: str, work: Callable[[], T], short: Callable[[], T] | None = None) -> T | None:
        """The result of ``work``; None if the step is skipped.

        Args:
            name: name of the result, such as "codes to search among".
            work: computes it.
            short: computes an approximation quickly, if the user wants to stop.
        """
        if self._stop.requested and short is None:
            self.left_out.append(name)
            return None
        found: list[T] = []
        epoch = self._history.best_epoch
        kept = "keeping the trained model" + ("" if epoch is None else f" (epoch {epoch})")
        with self._stop.telling(lambda: f"{kept}, without {name}"), doing(self._progress, f"computing {name}"):
            self._stop.optional(lambda: found.append(work()))
        if found:
            return found[0]
        if short is not None and self._stop.attempt(lambda: found.append(short())):
            return found[0]
        self.left_out.append(name)
        return None

    def quick(self, work: Callable[[], T]) -> T | None:
        """The result of a fast step, which also runs after a signal; None after a second one."""
        found: list[T] = []
        return found[0] if self._stop.attempt(lambda: found.append(work())) else None

    def judged(self, work: Callable[[], Sequence[str | None]]) -> list[str]:
        """Problems of the model, as found by ``isthmus.fitted.quality``; not checked after a signal.

        Args:
            work: returns a sentence for each problem, and None for each check that passed.

        Returns:
            The sentences; a warning is issued for each.
        """
        found: list[str | None] = []
        with doing(self._progress, "checking the quality of the model"):
            self._stop.optional(lambda: found.extend(work()))
        return warn(found, stacklevel=4)

    def closed(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of a bundle, including the steps that were skipped, for which a warning is issued, too."""
        if not self._stop.requested:
            return dict(facts)
        self._history.interrupted = True
        warn_of_interruption(self._history, self.left_out)
        told = {"left_out": self.left_out} if self.left_out else {}
        return {**facts, "training": self._history.to_json(), **told}


def complete(
    fitted: FittedAutoencoder[A],
    gallery: Callable[[], Gallery],
    rows: Tensor,
    train: Source,
    held_out: Source | None,
    *,
    request: FitRequest,
    run: Run,
    stop: StopRequest | None = None,
) -> FittedAutoencoder[A]:
    """Complete a fitted model with the latent prior, the anomaly scorer and the gallery.

    Args:
        fitted: a trained model.
        gallery: creates the gallery of all records of ``fit``.
        rows: positions of the training records.
        train: the training records.
        held_out: the other records; None if there are none.
        request: the contamination, and whether a gallery is kept.
        run: seed and progress.
        stop: signals received during the whole ``fit``, after which remaining steps are skipped.

    Returns:
        The completed state.
    """
    after = AfterTraining(stop or StopRequest(), run.progress, fitted.history)
    some, some_held = SomeRows.of(train, FEW), None if held_out is None else SomeRows.of(held_out, FEW)
    found = after.made(CODES, gallery)
    few = found.codes[rows][some.rows] if found else after.quick(lambda: codes_of(fitted.model, some))
    if few is None:
        after.left_out += [THRESHOLD, PRIOR]
        return replace(fitted, facts=after.closed(fitted.facts))
    codes: Float[Tensor, "train code"] = found.codes[rows] if found else few

    def scored(codes: Tensor, train: Source, held_out: Source | None) -> CalibratedScorer | None:
        share = request.contamination
        return (
            CalibratedScorer.fit(fitted.model, codes, train, held_out, contamination=share) if len(codes) > 1 else None
        )

    scorer = after.made(THRESHOLD, lambda: scored(codes, train, held_out), lambda: scored(few, some, some_held))
    prior = after.made(PRIOR, lambda: fit_latent_prior(codes, run), lambda: fit_latent_prior(few, run))
    return replace(
        fitted,
        facts=after.closed(fitted.facts),
        latent_prior=prior,
        gallery=found if request.gallery else None,
        anomaly_scorer=scorer,
    )
