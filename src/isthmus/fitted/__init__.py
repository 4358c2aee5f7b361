"""What the face of every domain is made of: a trained autoencoder, what was learned from its codes, and the
verbs over both.

A domain writes its records, its adapter and a class that derives from ``AutoencoderFace``; see ``adapters/README.md``.
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
    "as_codes",
    "complete",
    "draw_codes",
    "evaluate_codes",
    "fit_latent_prior",
    "training_facts",
    "validation_on",
]
