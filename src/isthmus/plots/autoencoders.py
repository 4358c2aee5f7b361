"""Panels of an autoencoder of any domain: training curves, codes, anomaly scores and images."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from isthmus.batch import Grid
from isthmus.errors import IsthmusError
from isthmus.fitted.face import AutoencoderFace
from isthmus.fitted.gallery import Gallery
from isthmus.plots.codes import draw_code_use
from isthmus.plots.maps import draw_map
from isthmus.plots.overview import Missing, Panel
from isthmus.plots.scores import draw_scores
from isthmus.plots.sheets import draw_grid
from isthmus.plots.training import training_panels
from isthmus.sources import even_rows
from isthmus.tasks.coding import between

SAMPLES, COLUMNS = 40, 8
"""Number of images, and number of images per line."""

SEED = 0
"""Seed of the samples."""

LINES = 5
"""Number of interpolations."""

MOST = 20_000
"""Maximum number of codes whose use is measured; of more codes, evenly spaced ones."""


def autoencoder_panels(face: AutoencoderFace[Any, Any, Any]) -> list[Panel | Missing]:
    """Training curves, a map and the use of the codes in the gallery, the scores of normal records with the threshold,
    and for images samples and interpolations.

    Args:
        face: a fitted autoencoder.

    Returns:
        Panels, and in place of those that cannot be drawn the reasons.
    """
    panels = training_panels(face.history)
    if not face.fitted.has_codes:
        return [*panels, Missing("codes", f"{face.builder} has no codes")]
    gallery = face.fitted.gallery
    if isinstance(face.adapter.signal, Grid):
        panels += _image_panels(face, gallery)
    return [*panels, *_code_panels(gallery), _score_panel(face)]


def _code_panels(gallery: Gallery | None) -> list[Panel | Missing]:
    if gallery is None:
        return [Missing("codes", "the bundle contains no codes of records")]
    if len(gallery) < 2:
        return [Missing("codes", "the bundle contains the code of a single record")]
    codes: Float[np.ndarray, "rows code"] = gallery.codes.numpy()
    some = codes[even_rows(len(codes), MOST).numpy()]
    title = f"Map of the codes of {len(codes):,} records"
    return [
        Panel("codes", lambda axes: draw_map(axes, codes, gallery.labels, title)),
        Panel("use of the code", lambda axes: draw_code_use(axes, some)),
    ]


def _score_panel(face: AutoencoderFace[Any, Any, Any]) -> Panel | Missing:
    scorer = face.fitted.anomaly_scorer
    if scorer is None:
        return Missing("anomaly scores", "the model has no anomaly scorer")
    scores = scorer.normal.quantiles
    if not scores:
        return Missing("anomaly scores", "the bundle was saved by a version that did not store them; fit it again")
    threshold = scorer.threshold
    return Panel(
        "anomaly scores",
        lambda axes: draw_scores(axes, scores, threshold.value, threshold.contamination, "normal records"),
    )


def _image_panels(face: AutoencoderFace[Any, Any, Any], gallery: Gallery | None) -> list[Panel | Missing]:
    panels: list[Panel | Missing] = []
    try:
        samples = _channels_first(face.sample(SAMPLES, seed=SEED))
    except IsthmusError as error:
        panels.append(Missing("samples", str(error)))
    else:
        panels.append(Panel("samples", partial(draw_grid, images=samples, columns=COLUMNS, title="New images")))
    if gallery is None or len(gallery) < 2 * LINES:
        return [*panels, Missing("between images", "the bundle contains too few codes of images")]
    ends = gallery.codes[even_rows(len(gallery), 2 * LINES)]
    steps = [between(ends[2 * line], ends[2 * line + 1], COLUMNS) for line in range(LINES)]
    images = np.concatenate([_channels_first(face.decode(some.numpy())) for some in steps])
    title = "Interpolation between two images (all decoded)"
    return [*panels, Panel("between images", partial(draw_grid, images=images, columns=COLUMNS, title=title))]


def _channels_first(shown: Any) -> Float[np.ndarray, "rows channels height width"]:
    images = np.asarray(shown)
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
