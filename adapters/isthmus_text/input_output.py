"""Which tokens a model reads and which it writes, and vectors as a pretrained encoder gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.encoders.pretrained import KnownVectors
from isthmus.errors import InputError, SettingError
from isthmus.protocols import Source
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter
from isthmus_text.encode import Codes
from isthmus_text.pretrained.cached_vectors import Paired, vectors_of
from isthmus_text.pretrained.checkpoints import MINILM, described, directory_of, pretrained_encoder
from isthmus_text.texts import Texts
from isthmus_text.tokens.tokenizer import Tokenizer

READS = "reads-"
"""Documents of the tokenizer that is read with, where another one is written with, which has the usual names."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Two adapters, or twice the same one: a frozen pretrained encoder reads its own tokens, while its decoder writes
    those of the texts, which are fewer and know capitals.

    Attributes:
        reads: what the encoder is given.
        writes: what the decoder writes.
    """

    reads: TextAdapter
    writes: TextAdapter

    def source(self, model: Autoencoder, texts: Texts, vectors: Codes | None = None) -> Source:
        """What the model trains on and is measured by; where its encoder is frozen, the vectors of the texts, computed
        once, with what is to be written.

        Args:
            vectors: of these texts, where they are known.

        Raises:
            InputError: vectors of another shape.
        """
        written = self.writes.prepare(texts)
        if self.reads is self.writes:
            return written
        assert isinstance(model.encoder, KnownVectors)
        encoder = model.encoder.encoder
        if vectors is None:
            return Paired(VectorSource(vectors_of(encoder, self.reads.prepare(texts))), written)
        if vectors.shape != (len(texts), encoder.width):
            raise InputError(f"vectors of shape {vectors.shape}", expected=f"({len(texts)}, {encoder.width})")
        return Paired(VectorSource(torch.from_numpy(np.ascontiguousarray(vectors))), written)

    def documents(self) -> dict[str, str]:
        """What a bundle keeps."""
        if self.reads is self.writes:
            return dict(self.writes.state())
        return {READS + name: text for name, text in self.reads.state().items()} | self.writes.state()

    @classmethod
    def restored(cls, documents: Mapping[str, str]) -> Tokens:
        """The inverse of ``documents``. Raises what ``TextAdapter.restore`` raises."""
        writes = TextAdapter.restore(documents)
        own = {name.removeprefix(READS): text for name, text in documents.items() if name.startswith(READS)}
        return cls(TextAdapter.restore(own) if own else writes, writes)

    @staticmethod
    def portable(settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with what stands for the checkpoint in place of its directory, which others do not have."""
        if "checkpoint" not in settings:
            return dict(settings)
        return {**settings, "checkpoint": described(settings["checkpoint"]).to_json()}


def tokens_for(
    data: Texts, settings: Mapping[str, Any], tokenizer: str | Path, vocabulary: int, longest: int | None
) -> Tokens:
    """The tokens of a model with these settings; see ``TextAutoencoder.fit``.

    Raises:
        SettingError: a tokenizer for a model whose checkpoint brings one, or a length with no room.
    """
    checkpoint = settings.get("checkpoint")
    if checkpoint is None:
        own = _adapter(data, tokenizer, vocabulary, longest)
        return Tokens(own, own)
    reads = reading_adapter(checkpoint)
    if settings.get("trains_encoder") is False:
        return Tokens(reads, _adapter(data, tokenizer, vocabulary, longest))
    if tokenizer != "bpe":
        raise SettingError(f"tokenizer {str(tokenizer)!r}", expected="none: the checkpoint brings its own")
    both = TextAdapter.fit(data, tokenizer=reads.tokenizer, longest=longest)
    return Tokens(both, both)


def reading_adapter(checkpoint: str) -> TextAdapter:
    """Texts as rows for a pretrained encoder: its own tokenizer, and as many tokens as it reads.

    Raises:
        SourceError: a directory that is no checkpoint.
    """
    known = described(checkpoint)
    return TextAdapter(Tokenizer.pretrained(directory_of(checkpoint)), known.longest - (known.start is not None))


def pretrained_vectors(texts: Texts | Iterable[str], checkpoint: str = MINILM, run: Run | None = None) -> Codes:
    """Vectors of texts as a pretrained encoder gives them, one a row in their order.

    Args:
        checkpoint: a directory, or ``minilm``.
        run: the precision of products, fp32 by default.

    Raises:
        SourceError: a directory that is no checkpoint.
    """
    with (run or Run(precision="fp32")).products():
        source = reading_adapter(checkpoint).prepare(texts)
        return vectors_of(pretrained_encoder(checkpoint, frozen=True), source).numpy()


def _adapter(data: Texts, tokenizer: str | Path, vocabulary: int, longest: int | None) -> TextAdapter:
    if tokenizer == "bpe":
        return TextAdapter.fit(data, kind="bpe", size=vocabulary, longest=longest)
    if tokenizer == "word":
        return TextAdapter.fit(data, kind="word", size=vocabulary, longest=longest)
    return TextAdapter.fit(data, tokenizer=Tokenizer.pretrained(tokenizer), longest=longest)
