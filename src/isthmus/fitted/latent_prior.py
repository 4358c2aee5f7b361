"""Priors for new codes: a mixture fitted to the codes of the training records, or the model's own prior."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.checked.arguments import checked_seed, choice, whole
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import MissingLibraryError, SettingError
from isthmus.plugins import closest
from isthmus.sources import even_rows
from isthmus.tasks.coding import drawn
from isthmus.training.run import Run

FEWEST = 50
"""Minimum number of codes to fit a mixture."""

MOST = 20_000
COMPONENTS = 10
PRIORS = ("fitted", "standard")

logger = logging.getLogger(__name__)


def fit_latent_prior(
    codes: Float[Tensor, "n code"], run: Run, *, fewest: int = FEWEST, most: int = MOST, components: int = COMPONENTS
) -> FittedMixture | None:
    """Fit a Gaussian mixture to codes (Ghosh et al. 2020, section 4).

    Args:
        codes: codes of the training records.
        run: its seed determines the start of the fit.
        fewest: minimum number of codes.
        most: maximum number of codes that are used, evenly spaced.
        components: number of mixture components.

    Returns:
        The mixture; None (with a log message) if there are too few codes or scikit-learn is not installed.
    """
    if len(codes) < fewest:
        return None
    try:
        return FittedMixture.fit(codes[even_rows(len(codes), most)], components, generator=run.generator(stream=3))
    except MissingLibraryError as error:
        logger.info("no prior was fitted to the codes: %s", error)
        return None


def draw_codes(
    model: Autoencoder, latent_prior: FittedMixture | None, n: int, *, seed: int = 0, prior: str = "fitted"
) -> Float[Tensor, "n *cells code"]:
    """Draw random codes.

    Args:
        model: its own prior is ``standard``.
        latent_prior: the ``fitted`` mixture, if there is one.
        n: number of codes.
        seed: the same seed draws the same codes.
        prior: ``fitted`` or ``standard``.

    Returns:
        The codes.

    Raises:
        SettingError: fewer than one code, or a prior that this model does not have.
    """
    n, seed = whole("n", n, least=1), checked_seed(seed)
    choice("prior", prior, PRIORS, closest)
    if prior == "fitted" and latent_prior is None:
        raise SettingError(
            "prior='fitted' of a model without one",
            expected="enough training records, and scikit-learn",
            remedy="use prior='standard' for a variational model",
            option="use --prior standard for a variational model",
        )
    if prior == "fitted":
        return drawn(model, n, torch.Generator().manual_seed(seed), latent_prior)
    # A learned prior is on the device of the model.
    device = next(model.parameters()).device
    return drawn(model, n, torch.Generator(device).manual_seed(seed)).cpu()
