"""Sequence autoencoders: Dai & Le, "Semi-supervised Sequence Learning", NeurIPS 2015."""

from __future__ import annotations

from torch import Generator

from isthmus.batch import Tokens
from isthmus.core.bottlenecks.noisy import Noisy
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.sequence_vae import sequence_vae

RATE = 3e-3
"""Default learning rate of a superposed code: that of ``sequence_vae`` is for wider ones."""


def sequence_autoencoder(
    signal: Tokens,
    *,
    generator: Generator,
    form: str = "superposed",
    code: int = 256,
    noise: float = 0.7,
    hidden: int = 128,
    embedding: int | None = None,
    layers: int = 2,
    heads: int = 4,
    pooling: str = "mean_max",
    dropout: float = 0.1,
    tied: bool = False,
    word_dropout: float = 0.0,
    word_dropout_epochs: int = 10,
    deletion: float = 0.0,
    epochs: int = 8,
    tokens: int = 1024,
    learning_rate: float | None = None,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    clip: float | None = 5.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A sequence autoencoder: codes from which rows of tokens are written back (Dai & Le, NeurIPS 2015).

    Advice: the first one for texts: to write them back, to search them and to interpolate. To draw new texts take
    ``sequence_vae``, whose codes are regularised.

    It is ``sequence_vae`` with ``variational=False``, noise on the codes, and settings for some minutes of training.

    Args:
        form: ``superposed``, a sum of token vectors bound to their positions, which can copy before it is trained;
            ``lstm``, with the code at every step; or ``transformer``, with the code in every layer. See
            ``sequence_vae``.
        code: dimensions of the code. Texts of up to about 20 tokens need 256; longer ones need more.
        noise: standard deviation of the noise on codes in training, relative to the code. Without noise more texts are
            written back exactly, but points between two codes become sentences less often.
        hidden: width of every state.
        embedding: width of the token vectors of the LSTM; None for ``hidden``, which a Transformer always uses.
        layers: blocks of the Transformer's encoder and of its decoder.
        heads: attention heads of the Transformer; the number must divide ``hidden``.
        pooling: output of the LSTM's encoder: ``mean_max`` of all states (Long et al. 2019), or the ``last`` one.
        dropout: share of the units that are set to 0 in encoder and decoder during training.
        tied: whether the decoder's token vectors are the rows of the readout (Press & Wolf, EACL 2017).
        word_dropout: share of the tokens hidden from the decoder in the first epoch (Bowman et al. 2016).
        word_dropout_epochs: epochs over which that share decreases to 0.
        deletion: share of the tokens deleted from the encoder's input in training; not with ``word_dropout``.
        epochs: passes over the rows.
        tokens: tokens per batch, including padding.
        learning_rate: initial step size of Adam; None is 0.003, and 0.001 for
            ``transformer``.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        clip: maximum norm of the gradient; None for no limit.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Raises:
        SettingError: a setting outside its range, or two that exclude each other.
    """
    recipe = sequence_vae(
        signal,
        generator=generator,
        form=form,
        code=code,
        hidden=hidden,
        embedding=embedding,
        layers=layers,
        heads=heads,
        pooling=pooling,
        dropout=dropout,
        tied=tied,
        variational=False,
        word_dropout=word_dropout,
        word_dropout_epochs=word_dropout_epochs,
        deletion=deletion,
        epochs=epochs,
        tokens=tokens,
        learning_rate=RATE if learning_rate is None and form == "superposed" else learning_rate,
        decay=decay,
        weight_decay=weight_decay,
        clip=clip,
        patience=patience,
    )
    recipe.model.bottleneck = Noisy(recipe.model.bottleneck, noise)
    return recipe
