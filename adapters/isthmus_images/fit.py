"""Fits a model, given by name, to images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isthmus.fitted import (
    AfterTraining,
    FitRequest,
    FittedAutoencoder,
    Gallery,
    complete,
    training_facts,
    validation_on,
)
from isthmus.tasks.coding import codes_of
from isthmus.training.holdout import hold_out
from isthmus.training.interrupts import interruptible
from isthmus.training.run import Run
from isthmus_images.adapter import ImageAdapter, ImageSource
from isthmus_images.denoising import takes_any_size
from isthmus_images.images import Images
from isthmus_images.quality import findings

PLUGIN = "images"
MOST_HELD_OUT = 2_000


def fit(images: Images, request: FitRequest, run: Run) -> FittedAutoencoder[ImageAdapter]:
    """Build and train a model.

    Args:
        images: training images.
        request: model, settings and shares.
        run: device, seed and precision.

    Returns:
        The fitted model.

    Raises:
        SettingError: no such model, or a setting that it does not have or accept.
        InputError: images that cannot be trained on.
    """
    spec = request.resolve()
    adapter = ImageAdapter.fit(images)
    source = adapter.prepare(images)
    rows, held_rows = hold_out(len(images), request.validation, run.seed, most=MOST_HELD_OUT, of="images")
    train = ImageSource(source.pixels[rows])
    held_out = ImageSource(source.pixels[held_rows]) if len(held_rows) else None
    recipe, model = spec.build(adapter.signal, run)
    only_denoises = takes_any_size(spec.name)
    validation = None if held_out is None else validation_on(held_out, run, corrupt=only_denoises)
    with interruptible() as stop:
        history = recipe.fit(train, run, validation)
        facts = training_facts("images", len(images), len(held_rows), run, history, skipped=list(images.skipped))
        fitted = FittedAutoencoder(adapter, model.eval(), spec.name, spec.settings, facts)
        if only_denoises:
            after = AfterTraining(stop, run.progress, history)
            return replace(fitted, facts=after.closed(facts))

        def gallery() -> Gallery:
            return Gallery(codes_of(model, source), images.names, images.labels)

        whole = complete(fitted, gallery, rows, train, held_out, request=request, run=run, stop=stop)
        after = AfterTraining(stop, run.progress, history)
        found = [] if held_out is None else after.judged(lambda: findings(whole, held_out))
        return replace(whole, facts={**whole.facts, "warnings": found})


def training_images(
    images: Any, size: int | Sequence[int] | None, colour: str | None, on_error: str, crops: int, seed: int
) -> Images:
    """The training images: whole images, or random crops of them.

    Args:
        images: ``Images``, or anything that ``Images.read`` accepts.
        size: size of an image or crop: a side, or height and width.
        colour: ``grey`` or ``colour``.
        on_error: "raise" an error for a file that cannot be read, or "skip" it.
        crops: number of crops per picture; 0 uses whole pictures.
        seed: seed of the crops.

    Raises:
        SettingError: crops without a size.
        InputError: the errors of ``Images.read`` and ``Images.crops``.
    """
    if crops:
        return Images.crops(images, crops, size=size, colour=colour, on_error=on_error, seed=seed)
    return images if isinstance(images, Images) else Images.read(images, size=size, colour=colour, on_error=on_error)
