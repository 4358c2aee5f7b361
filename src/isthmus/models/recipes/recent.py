"""Any model of bags with a half-life: recent entries count more, in training and in recommendations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Int64
from torch import Generator, Tensor, nn

from isthmus import plugins
from isthmus.batch import Bag, Batch, Tokens, require_bags
from isthmus.core.recency import HalfLife, Recent
from isthmus.errors import SettingError
from isthmus.models.blend import BlendRecipe, read_by
from isthmus.protocols import Builder, Recipe, Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.run import Run, Validation


@brief
@dataclass(frozen=True)
class RecentRecipe:
    """A recipe whose model receives weighted bags, in training too unless ``training`` is false."""

    model: Recent
    recipe: Recipe
    training: bool = True

    @property
    def chooses_epoch(self) -> bool:
        """Whether the model with its half-life chooses an epoch: as without it."""
        return self.recipe.chooses_epoch

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Fit the model.

        Args:
            source: bags with the ages of their entries, or their times.
            run: device, seed, precision, progress and checkpoints.
            validation: a score of the model with its half-life.

        Returns:
            The history of the model.
        """
        own = read_by(source, self.model)
        rows = RecentSource(own, self.model.half_life) if self.training else own
        history: History = self.recipe.fit(rows, run, None if validation is None else self.scored(validation))
        return history

    def scored(self, validation: Validation) -> Validation:
        """The validation of the model alone, with weighted bags."""
        half_life, watch = self.model.half_life, validation.watch

        def score(model: nn.Module) -> float:
            return validation.score(Recent(model, half_life))

        return replace(validation, score=score, watch=watch and (lambda model: watch(Recent(model, half_life))))


@dataclass(frozen=True, eq=False)
class RecentSource:
    """The bags of another source, weighted with a half-life."""

    source: Source
    half_life: HalfLife

    def __len__(self) -> int:
        return len(self.source)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Number of entries of each row."""
        return self.source.lengths

    def to(self, device: Any) -> RecentSource:
        """The same rows on another device."""
        return RecentSource(self.source.to(device), self.half_life)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        found = self.source.batch(rows)
        bags = require_bags(found.inputs, "a model with a half-life")
        weighed = bags.reweighted(bags.weights * self.half_life.factors(bags))
        return Batch(found.rows, weighed, weighed)


def recent(
    signal: Bag,
    *,
    generator: Generator,
    of: str = "edlae",
    half_life: float | str = 20.0,
    training: bool = True,
    settings: Any = None,
) -> RecentRecipe:
    """Recency for any model of bags: an entry counts less the longer ago it was (Ding & Li, CIKM 2005).

    Advice: if tastes change, or what comes next matters more than what was ever liked; ``decay=`` of ``fit`` writes it
    shorter.

    The weight of each entry is multiplied by ½ ** (age / half_life) ("Time Weight Collaborative Filtering"), in
    training and in answers. Scores, codes and explanations are those of the model for the weighed bags.

    Args:
        of: name of a model that reads bags.
        half_life: the age at which an entry counts half: a number of later events of the same user, such as 20, or a
            time such as "30d" (s, min, h, d, w or y), which needs dates or seconds since 1970.
        training: whether entries are weighed in training, too; false weighs only the histories of answers, which keeps
            what goes together over long times and suits a part of a blend.
        settings: settings of the model, by name.
    """
    name, builder, own = named_model(of, settings)
    parsed = HalfLife.parse(half_life)
    recipe = builder(signal, generator=generator, **own)
    if isinstance(recipe, BlendRecipe | RecentRecipe) or isinstance(getattr(recipe.model, "signal", None), Tokens):
        raise SettingError(
            f"half_life={half_life!r} for {plugins.command_name(name)}",
            expected="a model of bags",
            remedy="give the parts of a blend a half-life of their own; models that read items in order need none",
        )
    return RecentRecipe(Recent(recipe.model, parsed), recipe, training)


def named_model(model: Any, settings: Any) -> tuple[str, Builder, Mapping[str, Any]]:
    """The Python name of the builder, the builder and the given settings.

    Raises:
        SettingError: no such model, or settings that are not a mapping.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise SettingError(f"settings={settings!r}", expected='settings by name, as in {"regularisation": 200}')
    return plugins.python_name(model), plugins.find_builder(model)[1], settings or {}
