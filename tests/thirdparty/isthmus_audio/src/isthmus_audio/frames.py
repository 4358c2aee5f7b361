"""The records of the domain, and the adapter that turns them into batches."""

from __future__ import annotations

import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.batch import Vector
from isthmus.errors import BundleError, InputError, SourceError
from isthmus.sources import VectorSource

FRAME = 64
"""Samples of a frame, where a file is cut into frames."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one length.

    Attributes:
        samples: float32, [frames, length], from -1 to 1.
        names: one a frame.
    """

    samples: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def read(cls, source: Any, *, length: int = FRAME) -> Frames:
        """Frames from an array [frames, length], or from a WAV file (16 bits, one channel), which is cut into frames
        of ``length`` samples.

        Raises:
            SourceError: a file that is not such a WAV file, or shorter than a frame.
            InputError: an array of another shape, or with NaN.
        """
        if isinstance(source, Frames):
            return source
        if isinstance(source, str | Path):
            return cls.read(_cut(Path(source), length))
        try:
            samples = np.array(source, dtype=np.float32)
        except (TypeError, ValueError):
            raise InputError(f"frames of type {type(source).__name__}", expected="numbers") from None
        if samples.ndim != 2 or not samples.size or not np.isfinite(samples).all():
            raise InputError(f"frames of shape {samples.shape}", expected="finite numbers, (frames, length)")
        return cls(samples, tuple(f"frame {row}" for row in range(len(samples))))

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class FrameAdapter:
    """Knows how long a frame is and how loud frames are.

    Attributes:
        length: samples of a frame.
        scale: the standard deviation of the samples, by which they are divided.
    """

    length: int
    scale: float

    @property
    def signal(self) -> Vector:
        """One number a sample."""
        return Vector(self.length)

    @classmethod
    def read(cls, source: Any, **options: Any) -> Frames:
        """See ``Frames.read``."""
        return Frames.read(source, **options)

    @classmethod
    def fit(cls, records: Any) -> FrameAdapter:
        """Learn length and scale."""
        samples = Frames.read(records).samples
        return cls(samples.shape[1], float(samples.std()) or 1.0)

    def prepare(self, records: Any) -> VectorSource:
        """Scaled frames.

        Raises:
            InputError: frames of another length.
        """
        samples = Frames.read(records, length=self.length).samples
        if samples.shape[1] != self.length:
            raise InputError(f"frames of {samples.shape[1]} samples", expected=f"{self.length}")
        return VectorSource(torch.from_numpy(samples / np.float32(self.scale)))

    def state(self) -> dict[str, str]:
        """Length and scale, as JSON."""
        return {"frames.json": json.dumps({"length": self.length, "scale": self.scale})}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> FrameAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: no such document.
        """
        try:
            found = json.loads(state["frames.json"])
            return cls(int(found["length"]), float(found["scale"]))
        except (KeyError, TypeError, ValueError):
            raise BundleError("no frames.json of use", expected="length and scale") from None


def _cut(path: Path, length: int) -> np.ndarray:
    try:
        with wave.open(str(path)) as file:
            form, data = (file.getnchannels(), file.getsampwidth()), file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise SourceError(f"{path} is not a WAV file ({error})", expected="16 bits, one channel") from None
    frames = len(data) // (2 * length)
    if form != (1, 2) or not frames:
        raise SourceError(f"{path} of {form[0]} channels", expected=f"one, of 16 bits, {length} samples or more")
    return np.frombuffer(data, "<i2")[: frames * length].reshape(frames, length) / 32768
