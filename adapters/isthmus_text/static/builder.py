"""The model ``static-embeddings``: a bag of token vectors distilled from a pretrained encoder."""

from __future__ import annotations

import math
import re

import torch
from torch import Generator

from isthmus.batch import Tokens, require_values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.corruptions.tokens import TokenDeletion
from isthmus.core.decoders.dense import DenseDecoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.readouts import LinearReadout
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase, Source
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus_text.pretrained.checkpoints import MINILM, CheckpointLike, describe, directory_of, pretrained_encoder
from isthmus_text.static.encoder import PackedEncoder, StaticEncoder
from isthmus_text.static.teacher import Teacher, basis_of, frequency_weights
from isthmus_text.tokens.tokenizer import Tokenizer

SPREAD = 0.6
"""Distance of a vector from the teacher's that the likelihood expects. It only scales the loss."""

UNUSED = re.compile(r"[\[<]unused_?\d+[\]>]")
"""Tokens without a use, whose vectors mean nothing."""

ROWS = 65_536
"""Maximum number of vectors from which the basis is computed."""


def static_embeddings(
    signal: Tokens,
    *,
    generator: Generator,
    checkpoint: CheckpointLike = MINILM,
    code: int = 256,
    sif: float = 1e-4,
    deletion: float = 0.0,
    epochs: int = 3,
    batch_size: int = 512,
    learning_rate: float = 3e-3,
    decay: str = "cosine",
    patience: int | None = None,
) -> GradientRecipe:
    """Static embeddings: the vector of a text is the normalised sum of one vector for each token, distilled from a
    pretrained encoder (Tulkens & van Dongen, model2vec, Minish Lab, 2024).

    Advice: for search and similarity where the encoder is too slow: over a hundred times faster, without word order.

    The token vectors start as the encoder's vectors of single tokens, without their mean, along the principal
    components of its vectors of texts, times a weight by frequency (Arora, Liang & Ma, ICLR 2017). They are then
    trained towards its vectors of the texts, so that the cosine of two codes is near that of the encoder's vectors. A
    finished model keeps 1 byte for each number and no encoder. It writes no texts.

    Args:
        signal: sizes of the rows of the checkpoint's tokenizer.
        generator: random generator for numbers that the start replaces.
        checkpoint: a directory of ``transformers`` with safetensors, ``minilm``, or its description in a bundle.
        code: width of the vectors; at most that of the encoder.
        sif: smoothing of the frequency weights at the start: the smaller, the less frequent tokens count; 0 weights all
            equally. model2vec: 1e-4.
        deletion: share of the tokens that are deleted from a text in training.
        epochs: passes over the texts.
        batch_size: texts per batch.
        learning_rate: initial step size of Adam.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Returns:
        A recipe to fit.

    Raises:
        SettingError: a setting outside its range, or a code wider than the vectors of the encoder.
        SourceError: a directory that is not a checkpoint.
        MissingLibraryError: without ``transformers``, or ``minilm`` without its extra.
    """
    check_settings(code=code, epochs=epochs, batch_size=batch_size)
    if not sif >= 0:
        raise SettingError(f"sif={sif}", expected="a number of 0 or more")
    known = describe(checkpoint)
    if code > known.width:
        raise SettingError(f"code={code} for an encoder of {known.width} numbers", expected=f"at most {known.width}")
    readout = LinearReadout(code, known.width, generator=generator).requires_grad_(False)
    learns = isinstance(checkpoint, str)
    model = Autoencoder(
        encoder=StaticEncoder(
            signal.vocabulary, code, generator=generator, end=known.end, teacher=_teacher(str(checkpoint), known.end)
        )
        if learns
        else PackedEncoder(signal.vocabulary, code, end=known.end),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(code, generator=generator),
        readout=readout,
        likelihood=Gaussian(SPREAD / math.sqrt(known.width)),
        corruption=TokenDeletion(deletion) if deletion else None,
    )
    plan = Plan((Phase(epochs),), Shuffled(batch_size), learning_rate, decay, patience=patience, rowwise=True)
    return GradientRecipe(model, plan, lambda source: _start(model, source, sif))


def _teacher(checkpoint: str, end: int) -> Teacher | None:
    """The encoder with the ids of its tokens that are no text; None where only the sizes of a model are wanted."""
    if torch.get_default_device().type == "meta":
        return None
    tokenizer = Tokenizer.pretrained(directory_of(checkpoint))
    words = tokenizer.inner.get_vocab(with_added_tokens=True)
    unused = {id_ for word, id_ in words.items() if UNUSED.fullmatch(word)}
    special = {*tokenizer.non_text_ids, *unused, end}
    return Teacher(pretrained_encoder(checkpoint, frozen=True), end, tuple(sorted(special)))


@torch.no_grad()
def _start(model: Autoencoder, source: Source, sif: float) -> None:
    """Set the readout to the main directions of the teacher's vectors, and the token vectors along them."""
    encoder, readout = model.encoder, model.readout
    assert isinstance(encoder, StaticEncoder)
    assert isinstance(readout, LinearReadout)
    teacher, device = encoder.teacher, readout.weight.device
    assert teacher is not None, "a model that learns has a teacher"
    vocabulary, code = encoder.bags.table.shape
    if vocabulary > teacher.vocabulary:
        raise InputError(
            f"texts of {vocabulary:,} tokens for an encoder of {teacher.vocabulary:,}", expected="its own tokenizer"
        )
    rows = torch.linspace(0, len(source) - 1, min(len(source), ROWS)).round().long()
    wanted = require_values(source.batch(rows).targets, "static embeddings").values.cpu()
    basis = basis_of(wanted, code)
    readout.weight.copy_(basis)
    readout.bias.zero_()
    vectors = teacher.token_vectors(vocabulary, device) @ basis * frequency_weights(vocabulary, sif)[:, None]
    lengths = vectors.norm(dim=1)
    encoder.start_from(vectors / lengths[lengths > 0].mean())
