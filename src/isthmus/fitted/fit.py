"""The steps of ``fit`` that every domain shares: which model, how epochs are scored, and what is learned from the
codes afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from isthmus import plugins
from isthmus.batch import Signal
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.fitted.anomaly import CONTAMINATION, CalibratedScorer
from isthmus.fitted.gallery import Gallery
from isthmus.fitted.latent_prior import fit_latent_prior
from isthmus.fitted.model import AdapterState, FittedAutoencoder
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Builder, Recipe, Source
from isthmus.reprs import brief
from isthmus.tasks.coding import held_out as score_held_out
from isthmus.training.history import History
from isthmus.training.run import Run, Validation

METRIC = "objective"
"""The model's own loss on held-out records, negated: nats a record, higher is better."""

A = TypeVar("A", bound=AdapterState)


@brief
@dataclass(frozen=True)
class FitRequest:
    """What a user asks ``fit`` for, in every domain.

    Attributes:
        plugin: where the model's builder is looked up.
        model: the builder's name, as in Python or with hyphens.
        settings: its keywords.
        validation: the share of the records that is held out to choose the best epoch.
        contamination: the share of normal records that ``is_anomaly`` is expected to flag.
        gallery: whether the records can be searched afterwards.
    """

    plugin: str
    model: str
    settings: Mapping[str, Any]
    validation: float = 0.1
    contamination: float = CONTAMINATION
    gallery: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.contamination < 1:
            raise SettingError(f"contamination={self.contamination}", expected="a share of the records, 0 to 1")

    def resolve(self, defaults: Callable[[Builder], Mapping[str, Any]] | None = None) -> ModelSpec:
        """The builder with all its keywords.

        Args:
            defaults: what suits the records better than the builder's own defaults.

        Raises:
            SettingError: no such model, or a setting that it does not know or cannot have.
        """
        _, builder = plugins.find_builder(self.model, self.plugin)
        given = {**(defaults(builder) if defaults is not None else {}), **self.settings}
        return ModelSpec(plugins.python_name(self.model), builder, checked(self.model, builder, given))


@brief
@dataclass(frozen=True)
class ModelSpec:
    """A builder with all its keywords.

    Attributes:
        name: of the builder, as in Python; what a bundle keeps.
        builder: the function.
        settings: all its keywords, the defaults among them.
    """

    name: str
    builder: Builder
    settings: Mapping[str, Any]

    def build(self, signal: Signal, run: Run) -> tuple[Recipe, Autoencoder]:
        """The recipe and the untrained model in it.

        Args:
            signal: sizes of a record.
            run: its seed decides the first weights.

        Raises:
            SettingError: settings that the model cannot have, or a model that is not an autoencoder.
        """
        recipe = built(self.name, self.builder, signal, run, self.settings)
        if not isinstance(recipe.model, Autoencoder):
            raise SettingError(f"model {self.name!r}", expected="an autoencoder")
        return recipe, recipe.model


def validation_on(source: Source, run: Run, *, corrupt: bool = False, watch: bool = True) -> Validation:
    """Scores each epoch by the model's own loss on held-out records, negated: nats a record, higher is better.

    Args:
        source: the held-out records.
        run: for its precision.
        corrupt: whether they are corrupted first, which only a pure denoiser needs.
        watch: whether the history also keeps ``held_out_nll`` and ``held_out_rate``.
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
    """What a bundle's manifest tells of a training.

    Args:
        kind: what records are called, such as ``images``.
        records: how many there were.
        held_out: how many of them chose the epoch.
        run: its seed is kept.
        history: of the training.
        more: facts of the domain.
    """
    return {
        kind: records,
        **more,
        f"validation_{kind}": held_out,
        "seed": run.seed,
        "training": history.to_json(),
    }


def complete(
    fitted: FittedAutoencoder[A],
    gallery: Gallery,
    rows: Tensor,
    train: Source,
    held_out: Source | None,
    *,
    request: FitRequest,
    run: Run,
) -> FittedAutoencoder[A]:
    """The same state with everything that is learned from codes: the latent prior, the anomaly scorer, the gallery.

    Args:
        fitted: a trained model.
        gallery: of all records of ``fit``.
        rows: which of them were trained on.
        train: those records.
        held_out: the others; None where there are none.
        request: the contamination, and whether the gallery is kept.
        run: its seed.
    """
    codes: Float[Tensor, "train code"] = gallery.codes[rows]
    scorer = None
    if len(codes) > 1:
        scorer = CalibratedScorer.fit(fitted.model, codes, train, held_out, contamination=request.contamination)
    return replace(
        fitted,
        latent_prior=fit_latent_prior(codes, run),
        gallery=gallery if request.gallery else None,
        anomaly_scorer=scorer,
    )
