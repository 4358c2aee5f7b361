"""The face: what every domain has from ``isthmus.fitted``, and what only audio has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from isthmus.fitted import (
    AutoencoderFace,
    BundleLayout,
    CodeEvaluation,
    FitRequest,
    FittedAutoencoder,
    Gallery,
    complete,
    evaluate_codes,
    training_facts,
    validation_on,
)
from isthmus.sources import VectorSource
from isthmus.tasks.coding import codes_of, decoded
from isthmus.training.holdout import hold_out
from isthmus.training.interrupts import interruptible
from isthmus.training.run import Run
from isthmus_audio.frames import FrameAdapter, Frames

PLUGIN = "audio"


def fit(frames: Frames, request: FitRequest, run: Run) -> FittedAutoencoder[FrameAdapter]:
    """Build and train."""
    spec, adapter = request.resolve(), FrameAdapter.fit(frames)
    source = adapter.prepare(frames)
    rows, held_rows = hold_out(len(frames), request.validation, run.seed, most=2_000, of="frames")
    train = VectorSource(source.values[rows])
    held_out = VectorSource(source.values[held_rows]) if len(held_rows) else None
    recipe, model = spec.build(adapter.signal, run)
    with interruptible() as stop:
        history = recipe.fit(train, run, None if held_out is None else validation_on(held_out, run))
        facts = training_facts("frames", len(frames), len(held_rows), run, history)
        fitted = FittedAutoencoder(adapter, model.eval(), spec.name, spec.settings, facts)
        things = (lambda: Gallery(codes_of(model, source), frames.names), rows, train, held_out)
        return complete(fitted, *things, request=request, run=run, stop=stop)


@dataclass(frozen=True, eq=False)
class FrameAutoencoder(AutoencoderFace[FrameAdapter, Frames, np.ndarray]):
    """A model of audio frames. Frames are given as float32, [frames, length]."""

    @classmethod
    def fit(
        cls,
        frames: Any,
        model: str = "vanilla",
        *,
        validation: float = 0.1,
        contamination: float = 0.05,
        gallery: bool = True,
        run: Run | None = None,
        **settings: Any,
    ) -> FrameAutoencoder:
        """Train a model; see ``AutoencoderFace.fit``."""
        request = FitRequest(PLUGIN, model, settings, validation, contamination, gallery)
        return cls(fit(Frames.read(frames), request, run or Run()))

    def encode(self, frames: Any) -> np.ndarray:
        """One code a frame."""
        return self._codes(self._read(frames)).numpy()

    def evaluate(self, frames: Any, *, samples: int = 0, seed: int = 0) -> CodeEvaluation:
        """How well frames are coded."""
        return evaluate_codes(self.model, self.adapter.prepare(frames), samples=samples, seed=seed)

    def spectra(self, frames: Any) -> np.ndarray:
        """What only audio has: power by frequency of each frame after its code, in dB."""
        power: np.ndarray = np.abs(np.fft.rfft(self.reconstruct(frames))) ** 2
        return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))

    @classmethod
    def _layout(cls) -> BundleLayout[FrameAdapter]:
        return BundleLayout(PLUGIN, FrameAdapter.restore)

    def _read(self, source: Any) -> Frames:
        return Frames.read(source, length=self.adapter.length)

    def _codes(self, records: Frames) -> Tensor:
        return codes_of(self.model, self.adapter.prepare(records))

    def _write(self, codes: Tensor, seed: int, **options: Any) -> np.ndarray:
        return decoded(self.model, codes).numpy() * np.float32(self.adapter.scale)

    def _names(self, records: Frames) -> tuple[Sequence[str], None]:
        return records.names, None

    def _anomaly_scores(self, records: Frames) -> Tensor:
        return self.anomaly_scorer.scores(self.model, self.adapter.prepare(records))
