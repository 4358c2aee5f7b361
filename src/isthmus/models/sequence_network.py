"""The parts of a sequence VAE in its forms: a Transformer, or an LSTM on either side; or a sum of token vectors and a
Transformer that takes it apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from isthmus.batch import Tokens
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, Deterministic, Gaussian, Projected
from isthmus.core.decoders.lstm import LstmDecoder
from isthmus.core.decoders.superposed import SuperposedDecoder
from isthmus.core.decoders.transformer import TransformerDecoder
from isthmus.core.encoders.lstm import LstmEncoder
from isthmus.core.encoders.superposed import SuperposedEncoder
from isthmus.core.encoders.transformer import TransformerEncoder
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError

TokenEncoder = LstmEncoder | TransformerEncoder | SuperposedEncoder
TokenDecoder = LstmDecoder | TransformerDecoder | SuperposedDecoder

SHARED = 4
"""Of the dimensions of a superposed code one in so many begins alike for all positions."""


@dataclass(frozen=True)
class Network:
    """Settings of ``sequence_vae`` by their names there; ``drops`` are the dropouts of encoder and decoder."""

    signal: Tokens
    form: str
    code: int
    hidden: int
    embedding: int
    layers: int
    heads: int
    pooling: str
    drops: tuple[float, float]
    tied: bool

    def __post_init__(self) -> None:
        if self.tied and self.form == "lstm" and self.embedding != self.hidden:
            raise SettingError(f"tied=True with embedding={self.embedding}", expected=f"hidden, {self.hidden}")

    def encoder(self, generator: Generator) -> TokenEncoder:
        """From tokens to the state that the bottleneck reads."""
        words, drop = self.signal.vocabulary, self.drops[0]
        if self.form == "superposed":
            length, shared = self.signal.length, self.code // SHARED
            return SuperposedEncoder(words, self.hidden, length, self.code, generator=generator, shared=shared)
        if self.form == "lstm":
            pooling = "last" if self.pooling == "last" else "mean_max"
            return LstmEncoder(words, self.embedding, self.hidden, generator=generator, dropout=drop, pooling=pooling)
        sizes = (self.hidden, self.layers, self.heads, self.signal.length)
        return TransformerEncoder(words, *sizes, generator=generator, dropout=drop)

    def decoder(self, generator: Generator) -> tuple[TokenDecoder, LinearReadout]:
        """And its readout, with which it is drawn anew; ``tied``, the readout's rows are the token vectors."""
        words, drop = self.signal.vocabulary, self.drops[1]
        decoder: TokenDecoder
        if self.form == "lstm":
            decoder = LstmDecoder(words, self.embedding, self.hidden, self.code, generator=generator, dropout=drop)
        else:
            sizes = (self.hidden, self.layers, self.heads, self.signal.length, self.code)
            kind = SuperposedDecoder if self.form == "superposed" else TransformerDecoder
            decoder = kind(words, *sizes, generator=generator, dropout=drop)
        readout = LinearReadout(self.hidden, words, generator=generator)
        if self.tied:
            readout.weight = decoder.shown.table
        return decoder, readout


def point(encoder: TokenEncoder, code: int, generator: Generator) -> Projected | Deterministic:
    """The bottleneck of a model without a posterior; a sum of token vectors is a code as it is."""
    if isinstance(encoder, SuperposedEncoder):
        return Deterministic()
    return Projected(encoder.width, code, generator=generator)


def join(encoder: TokenEncoder, decoder: TokenDecoder, readout: LinearReadout) -> None:
    """A superposed encoder and its decoder share the matrices of positions and the token vectors, which are the rows of
    the readout too, so that decoding begins as the transpose of encoding (tied weights, Vincent et al. 2010, section
    3.2). Other forms share nothing."""
    if isinstance(encoder, SuperposedEncoder) and isinstance(decoder, SuperposedDecoder):
        decoder.places = encoder.places
        decoder.shown.table = readout.weight = encoder.table


def posterior(width: int, code: int, scale: float | None, generator: Generator) -> BatchNormGaussian | Gaussian:
    """Posteriors start near unit variance: a Transformer's pooled states are large numbers, from which first weights of
    the usual size make first rates of hundreds of nats."""
    made: BatchNormGaussian | Gaussian
    if scale is None:
        made = Gaussian(width, code, generator=generator)
    else:
        made = BatchNormGaussian(width, code, generator=generator, scale=scale)
    with torch.no_grad():
        made.log_scale.weight.mul_(0.1)
    return made
