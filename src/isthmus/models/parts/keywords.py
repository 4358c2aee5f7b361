"""The keywords that the five kinds of autoencoders share, with their types and defaults.

A builder accepts them as ``**shared: Unpack[SharedKeywords]``. Each one is ``Annotated`` with its default, so that the
list of a builder's settings (``isthmus.models.recipes.settings.keywords_of``) can be read from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, cast, get_args, get_type_hints

from isthmus.errors import SettingError


class SharedKeywords(TypedDict, total=False):
    """Keywords of ``vanilla``, ``denoising``, ``variational``, ``sparse`` and ``contractive``.

    Attributes:
        hidden: width of the layers of an MLP and of the states of a Transformer; after convolutions, of the last layer.
        layers: number of layers of the encoder and of the decoder: layers of an MLP, blocks of a Transformer, or
            halvings of an image. None is 1 for bags and 2 otherwise. 0 (vectors only) makes encoder and decoder single
            linear layers.
        filters: channels after the first halving of an image; each further halving doubles them.
        heads: attention heads of a Transformer; the number must divide ``hidden``.
        dropout: share of the units that are set to 0 in a Transformer during training.
        likelihood: likelihood of the reconstruction. Vectors and images: "gaussian" (None), "learned-scale",
            "per-dimension-scale", "optimal-scale", "laplace", "bernoulli", "continuous-bernoulli" or
            "discretized-logistic", see ``isthmus.models.parts.likelihoods``. Bags: "multinomial" (None), or "gaussian"
            for numbers of any sign. Tokens always use a categorical likelihood.
        epochs: passes over the data.
        batch_size: rows per batch.
        tokens: tokens per batch of token rows, including padding; used instead of ``batch_size``.
        learning_rate: initial step size of Adam.
        decay: how the learning rate changes: "constant", or "cosine", which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        patience: epochs without a better validation score before training stops; None trains all epochs.
    """

    hidden: Annotated[int, 256]
    layers: Annotated[int | None, None]
    filters: Annotated[int, 32]
    heads: Annotated[int, 4]
    dropout: Annotated[float, 0.0]
    likelihood: Annotated[str | None, None]
    epochs: Annotated[int, 30]
    batch_size: Annotated[int, 256]
    tokens: Annotated[int, 4096]
    learning_rate: Annotated[float, 1e-3]
    decay: Annotated[str, "cosine"]
    weight_decay: Annotated[float, 0.0]
    patience: Annotated[int | None, None]


@dataclass(frozen=True)
class Keyword:
    """A keyword of a builder: its default and its type."""

    default: Any
    type: Any


def keywords_in(shared: type) -> dict[str, Keyword]:
    """The keywords of a ``TypedDict`` whose fields are ``Annotated`` with their defaults, in order."""
    return {
        name: Keyword(default=hint.__metadata__[0], type=get_args(hint)[0])
        for name, hint in get_type_hints(shared, include_extras=True).items()
    }


def complete(given: SharedKeywords) -> SharedKeywords:
    """Complete the given keywords with the defaults of the others.

    Raises:
        SettingError: an unknown keyword.
    """
    known = keywords_in(SharedKeywords)
    for name in cast(Mapping[str, Any], given):
        if name not in known:
            raise SettingError(f"a keyword {name!r}", expected=f"one of: {', '.join(known)}")
    return cast(SharedKeywords, {name: keyword.default for name, keyword in known.items()} | {**given})
