"""Building blocks of the user-facing classes of all domains: a trained autoencoder, objects that are fitted to its
codes, and their methods.

A domain defines its records, its adapter and a subclass of ``AutoencoderFace``; see ``adapters/README.md``.
"""

from isthmus.fitted.anomaly import AnomalyScorer, CalibratedScorer, LikelihoodScorer
from isthmus.fitted.codes import as_codes
from isthmus.fitted.evaluate import CodeEvaluation, Evaluation, evaluate_codes
from isthmus.fitted.face import AutoencoderFace
from isthmus.fitted.fit import AfterTraining, FitRequest, ModelSpec, complete, training_facts, validation_on
from isthmus.fitted.gallery import FoundRecords, Gallery, GalleryFormat, SearchHit
from isthmus.fitted.latent_prior import draw_codes, fit_latent_prior
from isthmus.fitted.model import FittedAutoencoder
from isthmus.fitted.storage import BundleLayout
from isthmus.fitted.whitening import Whitening

__all__ = [
    "AfterTraining",
    "AnomalyScorer",
    "AutoencoderFace",
    "BundleLayout",
    "CalibratedScorer",
    "CodeEvaluation",
    "Evaluation",
    "FitRequest",
    "FittedAutoencoder",
    "FoundRecords",
    "Gallery",
    "GalleryFormat",
    "LikelihoodScorer",
    "ModelSpec",
    "SearchHit",
    "Whitening",
    "as_codes",
    "complete",
    "draw_codes",
    "evaluate_codes",
    "fit_latent_prior",
    "training_facts",
    "validation_on",
]
