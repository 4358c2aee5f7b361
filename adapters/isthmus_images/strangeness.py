"""How strange an image is to a trained model: what writing it back costs, and how far its code is from known ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import BundleError
from isthmus.protocols import Source
from isthmus.sources import even_rows
from isthmus.tasks.anomaly import Nearest, Ranks, surprise
from isthmus.tasks.coding import BATCH, codes_of
from isthmus.tasks.threshold import Threshold

PREFIX = "strangeness."
DOCUMENT = "strangeness.json"
NEIGHBOURS = 5
MOST_KNOWN = 20_000
"""Codes of training images that distances are measured to; more would tell little and take room in the bundle."""

SHARE = 0.05
"""Of normal images that are expected above the threshold."""


@dataclass(frozen=True, eq=False)
class Strangeness:
    """A scale of what is usual, and where it ends.

    Attributes:
        codes: of training images.
        ranks: what images that are taken as normal scored.
        threshold: scores above it are anomalies.
    """

    codes: Float[Tensor, "known code"]
    ranks: Ranks
    threshold: Threshold

    @classmethod
    def fit(
        cls, model: Autoencoder, known: Float[Tensor, "rows code"], train: Source, held_out: Source | None
    ) -> Strangeness:
        """Calibrate on images that were held out; where there are none, on training images, whose codes are compared
        with the other ones.

        Args:
            known: codes of ``train``.
        """
        rows = even_rows(len(known), MOST_KNOWN)
        codes = known[rows].contiguous()
        nearest = Nearest.build(codes, NEIGHBOURS)
        if held_out is not None:
            own = _scores(model, nearest, held_out)
        else:
            own = torch.stack([surprise(model, train, batch=BATCH)[rows], nearest.own()])
        ranks = Ranks.fit(own)
        return cls(codes, ranks, Threshold.fit(ranks.average(own), share=SHARE))

    @cached_property
    def nearest(self) -> Nearest:
        """The index over the known codes; built on first use."""
        return Nearest.build(self.codes, NEIGHBOURS)

    def scores(self, model: Autoencoder, source: Source) -> Float64[Tensor, " rows"]:
        """Mean over both of −log of the share of normal images that score as high, nats; higher is stranger."""
        return self.ranks.average(_scores(model, self.nearest, source))

    def documents(self) -> dict[str, str]:
        """What a bundle keeps as text."""
        return {DOCUMENT: json.dumps(self.threshold.to_json())}

    def tensors(self) -> dict[str, Tensor]:
        """What a bundle keeps as tensors."""
        return {f"{PREFIX}codes": self.codes, f"{PREFIX}known": self.ranks.known.contiguous()}

    @classmethod
    def restored(cls, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Strangeness | None:
        """The inverse of ``documents`` and ``tensors``; None where there was none.

        Raises:
            BundleError: something else.
        """
        if DOCUMENT not in documents:
            return None
        codes, known = tensors.get(f"{PREFIX}codes"), tensors.get(f"{PREFIX}known")
        if codes is None or known is None or codes.ndim != 2 or codes.dtype != torch.float32:
            raise BundleError("a threshold without the codes it belongs to", expected="both, as saved")
        return cls(codes, Ranks.from_tensors({"known": known}), Threshold.from_json(json.loads(documents[DOCUMENT])))


def _scores(model: Autoencoder, nearest: Nearest, source: Source) -> Float64[Tensor, "scorers rows"]:
    return torch.stack([surprise(model, source, batch=BATCH), nearest.scores(codes_of(model, source))])
