"""From images and a model's name to a fitted model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from isthmus import plugins
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import MissingLibraryError
from isthmus.models.recipes.settings import built, checked
from isthmus.sources import even_rows
from isthmus.tasks.coding import codes_of, held_out
from isthmus.training.history import History
from isthmus.training.holdout import hold_out
from isthmus.training.run import Run, Validation
from isthmus_images.adapter import ImageAdapter
from isthmus_images.denoising import takes_any_size
from isthmus_images.gallery import Gallery
from isthmus_images.images import Images
from isthmus_images.source import ImageSource
from isthmus_images.strangeness import Strangeness

if TYPE_CHECKING:
    from isthmus_images.autoencoder import ImageAutoencoder

PLUGIN = "images"
FEWEST = 50
"""With fewer codes than this no mixture is fitted to them."""

MOST_HELD_OUT = 2_000
MOST_FITTED = 20_000
"""Codes that the mixture is fitted to."""

MIXTURE = 10
"""Components of the prior that is fitted to the codes."""

METRIC = "objective"
"""The model's own loss on images that were held out, negated: nats an image, higher is better."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A fitted model with its builder's Python name and all its keywords, and what is worth telling.

    Attributes:
        train: what the model learned from; ``train_rows`` are their places among all images.
        held_out: the images that chose the epoch; None where there were too few.
    """

    adapter: ImageAdapter
    model: Autoencoder
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    train: ImageSource
    train_rows: Tensor
    held_out: ImageSource | None


def fit(images: Images, model: str, validation: float, run: Run, settings: Mapping[str, Any]) -> Fitted:
    """Build and train. Raises what ``ImageAutoencoder.fit`` raises."""
    _, builder = plugins.find_builder(model, PLUGIN)
    wanted = plugins.python_name(model)
    whole = checked(model, builder, settings)
    adapter = ImageAdapter.fit(images)
    source = adapter.prepare(images)
    train_rows, held_rows = hold_out(len(images), validation, run.seed, most=MOST_HELD_OUT, of="images")
    train = ImageSource(source.pixels[train_rows])
    held = ImageSource(source.pixels[held_rows]) if len(held_rows) else None
    recipe = built(model, builder, adapter.signal, run, whole)
    network = recipe.model
    assert isinstance(network, Autoencoder)
    history = recipe.fit(train, run, None if held is None else _validation(held, run, takes_any_size(wanted)))
    facts = {
        "images": len(images),
        "skipped": list(images.skipped),
        "validation_images": len(held_rows),
        "seed": run.seed,
        "training": history.to_json(),
    }
    return Fitted(adapter, network.eval(), wanted, whole, facts, train, train_rows, held)


def records(
    images: Any, size: int | Sequence[int] | None, colour: str | None, broken: str, crops: int, seed: int
) -> Images:
    """What is trained on. Raises what ``Images.read`` and ``Images.crops`` raise."""
    if crops:
        return Images.crops(images, crops, size=size, colour=colour, broken=broken, seed=seed)
    return images if isinstance(images, Images) else Images.read(images, size=size, colour=colour, broken=broken)


def mixed(codes: Float[Tensor, "n code"], run: Run) -> FittedMixture | None:
    """A Gaussian mixture over at most ``MOST_FITTED`` codes; None where there are too few, or scikit-learn is not
    installed."""
    if len(codes) < FEWEST:
        return None
    some = codes[even_rows(len(codes), MOST_FITTED)]
    try:
        return FittedMixture.fit(some, MIXTURE, generator=run.generator(stream=3))
    except MissingLibraryError as error:
        logger.info("no fitted prior to sample from: %s", error)
        return None


def completed(plain: ImageAutoencoder, made: Fitted, images: Images, run: Run) -> ImageAutoencoder:
    """With the fitted prior, the gallery and what is usual."""
    whole = with_gallery(plain, images)
    assert whole.gallery is not None
    known = whole.gallery.codes[made.train_rows]
    strangeness = Strangeness.fit(plain.model, known, made.train, made.held_out) if len(known) > 1 else None
    return replace(whole, mixture=mixed(known, run), strangeness=strangeness)


def with_gallery(model: ImageAutoencoder, images: Images) -> ImageAutoencoder:
    """The same model with the codes of these images to search in."""
    codes = codes_of(model.model, model.adapter.prepare(images))
    return replace(model, gallery=Gallery(images.names, images.labels, codes))


def history_of(facts: Mapping[str, Any]) -> History:
    """The course of the training as it was saved."""
    return History.from_json(dict(facts["training"]))


def _validation(source: ImageSource, run: Run, corrupt: bool) -> Validation:
    latest: dict[str, float] = {}

    def score(model: nn.Module) -> float:
        assert isinstance(model, Autoencoder)
        found = held_out(model, source, run, corrupt=corrupt)
        latest.update(held_out_nll=found.nll, held_out_rate=found.rate)
        return -found.loss

    return Validation(METRIC, score, watch=lambda model: dict(latest))
