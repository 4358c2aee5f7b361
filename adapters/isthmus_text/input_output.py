"""The token adapters of the encoder and the decoder, and embeddings of a pretrained encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.batch import Tokens
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.encoders.pretrained import KnownVectors
from isthmus.errors import InputError, SettingError
from isthmus.protocols import Source
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter, check_not_empty
from isthmus_text.encode import Codes
from isthmus_text.pretrained.cached_vectors import PairedSource, vectors_of
from isthmus_text.pretrained.checkpoints import MINILM, describe, directory_of, pretrained_encoder
from isthmus_text.static.teacher import Teacher, teacher_of
from isthmus_text.texts import Texts
from isthmus_text.tokens.source import TokenSource
from isthmus_text.tokens.tokenizer import Tokenizer

INPUT = "reads-"
"""Prefix of the input adapter's documents in a bundle, if it differs from the output adapter."""


@dataclass(frozen=True, eq=False)
class InputOutput:
    """Two adapters, or the same one twice.

    A frozen pretrained encoder reads the tokens of its own tokenizer, while the decoder writes those of a tokenizer
    trained on the texts, which are fewer and distinguish capitals.

    Attributes:
        input: prepares texts for the encoder.
        output: prepares texts for the decoder.
    """

    input: TextAdapter
    output: TextAdapter

    @property
    def signal(self) -> Tokens:
        """Sizes of the rows of the decoder."""
        return self.output.signal

    def source(self, model: Autoencoder, texts: Texts, vectors: Codes | None = None) -> Source:
        """Batches for training and evaluation. With a frozen encoder, the inputs are its embeddings, computed once, and
        the targets are tokens. With a teacher, the inputs are tokens, and the targets are its embeddings.

        Args:
            model: the model, which contains the encoder, or has a teacher.
            texts: the records.
            vectors: embeddings of these texts by the frozen encoder or the teacher, if they are known.

        Returns:
            The source of batches.

        Raises:
            InputError: vectors of another shape.
        """
        written, teacher = self.output.prepare(texts), teacher_of(model)
        if teacher is not None:
            return _taught(written, teacher, model, vectors)
        if self.input is self.output:
            return written
        assert isinstance(model.encoder, KnownVectors)
        encoder = model.encoder.encoder
        if vectors is None:
            return PairedSource(VectorSource(vectors_of(encoder, self.input.prepare(texts))), written)
        return PairedSource(VectorSource(_known(vectors, len(texts), encoder.width)), written)

    def state(self) -> dict[str, str]:
        """The documents for a bundle."""
        own = dict(self.output.state())
        if self.input is self.output:
            return own
        return {INPUT + name: text for name, text in self.input.state().items()} | own

    @classmethod
    def restore(cls, documents: Mapping[str, str]) -> InputOutput:
        """The inverse of ``state``. Raises the errors of ``TextAdapter.restore``."""
        output = TextAdapter.restore(documents)
        own = {name.removeprefix(INPUT): text for name, text in documents.items() if name.startswith(INPUT)}
        return cls(TextAdapter.restore(own) if own else output, output)


def _taught(written: TokenSource, teacher: Teacher, model: Autoencoder, vectors: Codes | None) -> PairedSource:
    """Tokens, and the teacher's vectors of them, of length 1."""
    if vectors is None:
        taught = teacher.vectors(written, next(model.parameters()).device)
    else:
        taught = torch.nn.functional.normalize(_known(vectors, len(written), teacher.encoder.width), dim=1)
    return PairedSource(written, VectorSource(taught), sized="read")


def _known(vectors: Codes, rows: int, width: int) -> Tensor:
    if vectors.shape != (rows, width):
        raise InputError(f"vectors of shape {vectors.shape}", expected=f"({rows}, {width})")
    return torch.from_numpy(np.ascontiguousarray(vectors))


def portable_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with a description of the checkpoint instead of its directory, which other machines do not have."""
    if "checkpoint" not in settings:
        return dict(settings)
    return {**settings, "checkpoint": describe(settings["checkpoint"]).to_json()}


def fit_input_output(
    data: Texts, settings: Mapping[str, Any], tokenizer: str | Path, vocabulary: int, max_length: int | None
) -> InputOutput:
    """Create the adapters of a model.

    Args:
        data: the training texts.
        settings: settings of the builder; ``checkpoint``, ``trains_encoder`` and ``sif`` determine what the model
            reads.
        tokenizer: ``bpe``, ``word``, or the path of a pretrained tokenizer.
        vocabulary: maximum vocabulary size of a trained tokenizer.
        max_length: maximum number of tokens in a text; None determines it from the texts.

    Returns:
        The adapters.

    Raises:
        SettingError: a tokenizer for a model whose checkpoint has one, or a length below 2.
    """
    checkpoint = settings.get("checkpoint")
    if checkpoint is None:
        own = _adapter(data, tokenizer, vocabulary, max_length)
        return InputOutput(own, own)
    reads = checkpoint_adapter(checkpoint)
    if settings.get("trains_encoder") is False:
        return InputOutput(reads, _adapter(data, tokenizer, vocabulary, max_length))
    if tokenizer != "bpe":
        raise SettingError(f"tokenizer {str(tokenizer)!r}", expected="none: the checkpoint has its own")
    if "sif" in settings:
        # It has no positions, and reads texts longer than those of the training; it writes none, so that what the
        # tokenizer loses does not matter.
        check_not_empty(data)
        both = TextAdapter(reads.tokenizer, reads.max_length if max_length is None else max_length)
    else:
        both = TextAdapter.fit(data, tokenizer=reads.tokenizer, max_length=max_length)
    return InputOutput(both, both)


def checkpoint_adapter(checkpoint: str) -> TextAdapter:
    """An adapter for a pretrained encoder, with its tokenizer and maximum length.

    Raises:
        SourceError: a directory that is not a checkpoint.
    """
    known = describe(checkpoint)
    return TextAdapter(Tokenizer.pretrained(directory_of(checkpoint)), known.max_length - (known.start is not None))


def pretrained_vectors(texts: Texts | Iterable[str], checkpoint: str = MINILM, run: Run | None = None) -> Codes:
    """Embeddings of texts by a pretrained encoder.

    Args:
        texts: any number of texts.
        checkpoint: a directory, or ``minilm``.
        run: precision of matrix products, fp32 by default.

    Returns:
        One row per text, in order, float32.

    Raises:
        SourceError: a directory that is not a checkpoint.
    """
    with (run or Run(precision="fp32")).products():
        source = checkpoint_adapter(checkpoint).prepare(texts)
        return vectors_of(pretrained_encoder(checkpoint, frozen=True), source).numpy()


def _adapter(data: Texts, tokenizer: str | Path, vocabulary: int, max_length: int | None) -> TextAdapter:
    if tokenizer == "bpe":
        return TextAdapter.fit(data, kind="bpe", size=vocabulary, max_length=max_length)
    if tokenizer == "word":
        return TextAdapter.fit(data, kind="word", size=vocabulary, max_length=max_length)
    return TextAdapter.fit(data, tokenizer=Tokenizer.pretrained(tokenizer), max_length=max_length)
