"""Models that start from a pretrained encoder of ``transformers``: one that fine-tunes it, one that decodes its
embeddings."""

from __future__ import annotations

from torch import Generator

from isthmus.batch import Tokens
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.corruptions.numbers import GaussianNoise
from isthmus.core.corruptions.tokens import TokenDeletion
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.encoders.pretrained import KnownVectors
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.batching import TokenBudget
from isthmus.training.plan import Plan
from isthmus_text.pretrained.anchor import AnchorPenalty
from isthmus_text.pretrained.checkpoints import MINILM, CheckpointLike, pretrained_encoder


def denoising_text(
    signal: Tokens,
    *,
    generator: Generator,
    checkpoint: CheckpointLike = MINILM,
    deletion: float = 0.6,
    tied: bool = True,
    hidden: int | None = None,
    layers: int = 2,
    heads: int = 6,
    slots: int = 1,
    dropout: float = 0.0,
    anchor: float = 0.0,
    contrastive: float = 0.0,
    temperature: float = 0.05,
    epochs: int = 1,
    tokens: int = 4096,
    learning_rate: float = 3e-5,
    decay: str = "constant",
    weight_decay: float = 0.0,
    clip: float | None = 1.0,
    patience: int | None = None,
) -> GradientRecipe:
    """TSDAE: a pretrained encoder adapts to the words of a domain by reconstructing texts of which most words were
    deleted (Wang, Reimers & Gurevych, EMNLP Findings 2021).

    Advice: for an encoder that never learned similarity, or before it learns it; one that has, such as MiniLM, gets
    worse at it unless ``anchor`` or ``contrastive`` work against that. Rows are of the checkpoint's own tokenizer.

    The decoder is given the pooled embedding alone. It is small, and shares only the word embeddings with the encoder,
    where the paper's starts as a copy of all of it. The encoder's own dropout is off: deletion is the noise.

    Args:
        signal: of the rows that are read and written.
        generator: of the initial weights of the decoder.
        checkpoint: a directory of ``transformers`` with safetensors, ``minilm``, or its description in a bundle.
        deletion: share of the tokens deleted from what the encoder reads. Published: 0.6.
        tied: whether the encoder's word embeddings are those of the decoder, and the rows of the readout.
        hidden: width of the decoder; None for that of the encoder's word embeddings, which it must be if ``tied``.
        layers: blocks of the decoder.
        heads: attention heads of the decoder; the number must divide its width.
        slots: vectors that an embedding is unfolded into, for the decoder to attend to, see ``MemoryDecoder``.
        dropout: share of the units that are set to 0 inside the decoder, in training.
        anchor: weight of what holds embeddings to those before training: nats for each unit of cosine distance. A text
            costs tens of nats, so that 10 to 100 have an effect.
        contrastive: weight of the contrast of noisy and clean texts within a batch, see ``AnchorPenalty``.
        temperature: temperature of that contrast: smaller values count the nearest texts more.
        epochs: passes over the texts.
        tokens: tokens in a batch, padding counted.
        learning_rate: step size of Adam at the start of training.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        clip: largest norm of the gradient; None leaves it as it is.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Raises:
        SettingError: a setting outside its range.
        SourceError: a directory that is not a checkpoint.
        MissingLibraryError: without ``transformers``, or ``minilm`` without its extra.
    """
    check_settings(layers=layers, heads=heads, slots=slots, epochs=epochs)
    if hidden is not None:
        check_settings(hidden=hidden)
    encoder = pretrained_encoder(checkpoint, frozen=False)
    words = encoder.words()
    width = words.shape[1] if hidden is None else hidden
    penalty = AnchorPenalty(anchor, contrastive, temperature)
    decoder = _decoder(signal, width, layers, heads, encoder.width, slots, dropout, generator)
    readout = LinearReadout(width, signal.vocabulary, generator=generator)
    if tied:
        if words.shape != readout.weight.shape:
            raise SettingError(
                f"tied=True with word vectors {list(words.shape)} and a readout {list(readout.weight.shape)}",
                expected="the same shape",
                remedy="leave hidden out, or set tied=False",
            )
        decoder.shown.table = readout.weight = words
    model = Autoencoder(
        encoder=encoder,
        bottleneck=Deterministic(),
        decoder=decoder,
        readout=readout,
        likelihood=Categorical(),
        corruption=TokenDeletion(deletion) if deletion else None,
        penalties=[penalty],
    )
    plan = Plan((Phase(epochs),), TokenBudget(tokens), learning_rate, decay, (0.9, 0.999), weight_decay, clip, patience)
    return GradientRecipe(model, plan, lambda source: penalty.before_training(encoder, source))


def readable_embeddings(
    signal: Tokens,
    *,
    generator: Generator,
    checkpoint: CheckpointLike = MINILM,
    hidden: int = 256,
    layers: int = 4,
    heads: int = 4,
    slots: int = 8,
    dropout: float = 0.0,
    noise: float = 0.0,
    trains_encoder: bool = False,
    anchor: float = 0.0,
    epochs: int = 10,
    tokens: int = 4096,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    clip: float | None = 1.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A decoder for the embeddings of a pretrained encoder: they stay as good at similarity, and can be decoded to
    text.

    Advice: to look into an index of sentence embeddings; short texts, of a domain like that of the training.

    The encoder is frozen, so that embeddings are computed once, before the training. The output may have another
    tokenizer than the input of the encoder: a small vocabulary of the texts themselves trains faster, and distinguishes
    capitals, which the encoder's may not.

    Args:
        signal: of the rows that are written.
        generator: of the initial weights of the decoder.
        checkpoint: a directory of ``transformers`` with safetensors, ``minilm``, or its description in a bundle.
        hidden: width of the decoder.
        layers: blocks of the decoder.
        heads: attention heads of the decoder; the number must divide its width.
        slots: vectors that an embedding is unfolded into, for the decoder to attend to, see ``MemoryDecoder``.
        dropout: share of the units that are set to 0 inside the decoder, in training.
        noise: standard deviation of the noise on embeddings in training; that of an embedding of length 1 is 1/√width.
        trains_encoder: whether the encoder trains as well; texts are then rows of the checkpoint's own tokenizer.
        anchor: weight of what holds the embeddings of an encoder that trains to those before training: nats for each
            unit of cosine distance.
        epochs: passes over the texts.
        tokens: tokens in a batch, padding counted.
        learning_rate: step size of Adam at the start of training.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        clip: largest norm of the gradient; None leaves it as it is.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Raises:
        SettingError: a setting outside its range, noise for an encoder that trains, or an anchor for one that does not.
        SourceError: a directory that is not a checkpoint.
        MissingLibraryError: without ``transformers``, or ``minilm`` without its extra.
    """
    check_settings(hidden=hidden, layers=layers, heads=heads, slots=slots, epochs=epochs)
    if noise and trains_encoder:
        raise SettingError(f"noise={noise} with trains_encoder", expected="noise on the vectors of a frozen encoder")
    if anchor and not trains_encoder:
        raise SettingError(f"anchor={anchor} of a frozen encoder", expected="trains_encoder=True, or no anchor")
    encoder = pretrained_encoder(checkpoint, frozen=not trains_encoder)
    penalty = AnchorPenalty(anchor, 0.0)
    model = Autoencoder(
        encoder=KnownVectors(encoder),
        bottleneck=Deterministic(),
        decoder=_decoder(signal, hidden, layers, heads, encoder.width, slots, dropout, generator),
        readout=LinearReadout(hidden, signal.vocabulary, generator=generator),
        likelihood=Categorical(),
        corruption=GaussianNoise(noise) if noise else None,
        penalties=[penalty],
    )
    plan = Plan((Phase(epochs),), TokenBudget(tokens), learning_rate, decay, (0.9, 0.999), weight_decay, clip, patience)
    return GradientRecipe(model, plan, lambda source: penalty.before_training(encoder, source))


def _decoder(
    signal: Tokens, hidden: int, layers: int, heads: int, code: int, slots: int, dropout: float, generator: Generator
) -> MemoryDecoder:
    return MemoryDecoder(
        signal.vocabulary, hidden, layers, heads, signal.length, code, generator=generator, slots=slots, dropout=dropout
    )
