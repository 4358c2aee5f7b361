"""Models based on a pretrained encoder of ``transformers``: one fine-tunes it, one decodes its embeddings."""

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
from isthmus.protocols import Phase, Source
from isthmus.training.batching import TokenBudget
from isthmus.training.plan import Plan
from isthmus_text.pretrained.anchor import AnchorPenalty
from isthmus_text.pretrained.checkpoints import MINILM, CheckpointLike, pretrained_encoder
from isthmus_text.pretrained.linear_start import start_linear


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
    """TSDAE: a pretrained encoder adapts to a domain by reconstructing texts with deleted words (Wang, Reimers &
    Gurevych, EMNLP Findings 2021).

    Advice: for an encoder before it is trained on similarity; one that already was, such as MiniLM, gets worse at
    similarity unless ``anchor`` or ``contrastive`` are used. Rows are those of the checkpoint's tokenizer.

    The decoder only receives the pooled embedding. It is small, and shares only the word embeddings
    with the encoder, while the paper's decoder starts as a copy of the encoder. The encoder's own dropout is disabled:
    deletion is the noise.

    Args:
        signal: sizes of the rows that are read and written.
        generator: random generator for the initial weights of the decoder.
        checkpoint: a directory of ``transformers`` with safetensors, ``minilm``, or its description in a bundle.
        deletion: share of the tokens deleted from the encoder's input. Published: 0.6.
        tied: whether encoder, decoder and readout share the word embeddings.
        hidden: width of the decoder; None for that of the encoder's word embeddings, which is required if ``tied``.
        layers: blocks of the decoder.
        heads: attention heads of the decoder; the number must divide its width.
        slots: number of vectors into which an embedding is expanded for cross-attention, see ``MemoryDecoder``.
        dropout: share of the units that are set to 0 in the decoder during training.
        anchor: weight of the penalty that keeps embeddings close to the original ones, in nats per unit of cosine
            distance. The loss of a text is tens of nats, so values of 10 to 100 have an effect.
        contrastive: weight of the contrastive loss between noisy and clean texts of a batch, see ``AnchorPenalty``.
        temperature: temperature of the contrastive loss: smaller values emphasise the nearest texts.
        epochs: passes over the texts.
        tokens: tokens per batch, including padding.
        learning_rate: initial step size of Adam.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        clip: maximum norm of the gradient; None for no limit.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Returns:
        A recipe to fit.

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
                remedy="omit hidden, or set tied=False",
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
    linear_start: bool = False,
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
    """A decoder for the embeddings of a frozen pretrained encoder, which are unchanged and can be decoded to text.

    Advice: to inspect an index of sentence embeddings; for short texts from a domain like that of the training data.

    The encoder is frozen, so embeddings are computed once, before the training. The decoder may have another tokenizer
    than the encoder: a small vocabulary trained on the texts trains faster, and distinguishes capitals, which the
    encoder's may not.

    Args:
        signal: sizes of the rows that are written.
        generator: random generator for the initial weights of the decoder.
        checkpoint: a directory of ``transformers`` with safetensors, ``minilm``, or its description in a bundle.
        hidden: width of the decoder.
        layers: blocks of the decoder.
        heads: attention heads of the decoder; the number must divide its width.
        slots: number of vectors into which an embedding is expanded for cross-attention, see ``MemoryDecoder``.
        dropout: share of the units that are set to 0 in the decoder during training.
        noise: standard deviation of the noise on embeddings in training; each number of a normalised embedding has a
            standard deviation of about 1/√width.
        linear_start: whether the decoder starts with a linear regression of a text's tokens on its vector, see
            ``start_linear``; for short trainings.
        trains_encoder: whether the encoder is trained, too; texts are then rows of the checkpoint's tokenizer.
        anchor: weight of the penalty that keeps the embeddings of a trained encoder close to the original ones, in nats
            per unit of cosine distance.
        epochs: passes over the texts.
        tokens: tokens per batch, including padding.
        learning_rate: initial step size of Adam.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        clip: maximum norm of the gradient; None for no limit.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Returns:
        A recipe to fit.

    Raises:
        SettingError: a setting outside its range, noise or a linear start for an encoder that is trained, or an anchor
            for one that is not.
        SourceError: a directory that is not a checkpoint.
        MissingLibraryError: without ``transformers``, or ``minilm`` without its extra.
    """
    check_settings(hidden=hidden, layers=layers, heads=heads, slots=slots, epochs=epochs)
    if noise and trains_encoder:
        raise SettingError(f"noise={noise} with trains_encoder", expected="noise on the vectors of a frozen encoder")
    if linear_start and trains_encoder:
        raise SettingError("linear_start with trains_encoder", expected="the vectors of a frozen encoder")
    if anchor and not trains_encoder:
        raise SettingError(f"anchor={anchor} of a frozen encoder", expected="trains_encoder=True, or no anchor")
    encoder = pretrained_encoder(checkpoint, frozen=not trains_encoder)
    penalty = AnchorPenalty(anchor, 0.0)
    decoder = _decoder(signal, hidden, layers, heads, encoder.width, slots, dropout, generator)
    readout = LinearReadout(hidden, signal.vocabulary, generator=generator)
    model = Autoencoder(
        encoder=KnownVectors(encoder),
        bottleneck=Deterministic(),
        decoder=decoder,
        readout=readout,
        likelihood=Categorical(),
        corruption=GaussianNoise(noise) if noise else None,
        penalties=[penalty],
    )
    plan = Plan((Phase(epochs),), TokenBudget(tokens), learning_rate, decay, (0.9, 0.999), weight_decay, clip, patience)

    def before_training(source: Source) -> None:
        penalty.before_training(encoder, source)
        if linear_start:
            start_linear(decoder, readout, source)

    return GradientRecipe(model, plan, before_training)


def _decoder(
    signal: Tokens, hidden: int, layers: int, heads: int, code: int, slots: int, dropout: float, generator: Generator
) -> MemoryDecoder:
    return MemoryDecoder(
        signal.vocabulary, hidden, layers, heads, signal.length, code, generator=generator, slots=slots, dropout=dropout
    )
