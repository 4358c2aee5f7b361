"""One-channel audio as frames: short rows of samples, one after the other."""

from isthmus_audio.autoencoder import FrameAutoencoder
from isthmus_audio.frames import FrameAdapter, Frames

__all__ = ["FrameAdapter", "FrameAutoencoder", "Frames"]
