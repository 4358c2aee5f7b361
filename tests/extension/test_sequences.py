"""Sequences from outside: a teacher-forced decoder with cached generation, and a pretrained encoder in front of it."""

from __future__ import annotations

import pytest
import torch
from extending import CODE, HIDDEN, generator
from torch import nn

from isthmus.batch import Batch, TokenRows
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.protocols import SequenceDecoder


class TokenEncoder(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, HIDDEN, generator=generator(1)))

    def enter(self, inputs):
        return self.table[inputs.ids]

    def trunk(self, entered, inputs):
        mask = inputs.mask[..., None]
        return (entered * mask).sum(1) / mask.sum(1)


class RecurrentDecoder(nn.Module):
    """h_t = tanh(U h_{t−1} + E[x_{t−1}] + V z); position t predicts x_t."""

    def __init__(self, vocabulary):
        super().__init__()
        g = generator(2)
        self.first = nn.Parameter(torch.randn(HIDDEN, generator=g))
        self.table = nn.Parameter(torch.randn(vocabulary, HIDDEN, generator=g))
        self.inner = nn.Parameter(torch.randn(HIDDEN, HIDDEN, generator=g) / 3)
        self.code = nn.Parameter(torch.randn(CODE, HIDDEN, generator=g))

    def forward(self, sample, given):
        hidden, state = self.start(sample)
        decoded = [hidden]
        for ids in given.targets.ids[:, :-1].T:
            hidden, state = self.advance(state, ids)
            decoded.append(hidden)
        return torch.stack(decoded, 1)

    def start(self, sample):
        bias = sample @ self.code
        hidden = torch.tanh(self.first + bias)
        return hidden, (hidden, bias)

    def advance(self, state, ids):
        hidden = torch.tanh(state[0] @ self.inner + self.table[ids] + state[1])
        return hidden, (hidden, state[1])

    def reorder(self, state, rows):
        return tuple(part[rows] for part in state)


class NextToken:
    """Σ_t log softmax(logits_t)[x_t] over the tokens that are no padding."""

    def __call__(self, readout, decoded, targets, *, generator=None):
        log_p = readout.logits(decoded.flatten(0, 1)).log_softmax(1).view(*targets.ids.shape, -1)
        return (log_p.gather(2, targets.ids[..., None])[..., 0] * targets.mask).sum(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded).softmax(-1)

    def sample(self, readout, decoded, generator):
        return torch.multinomial(self.mean(readout, decoded), 1, generator=generator)


def test_teacher_forced_decoder_and_cached_generation_agree():
    vocabulary, g = 11, generator()
    model = Autoencoder(
        encoder=TokenEncoder(vocabulary),
        bottleneck=Gaussian(HIDDEN, CODE, generator=g),
        prior=StandardNormal(CODE),
        decoder=RecurrentDecoder(vocabulary),
        readout=LinearReadout(HIDDEN, vocabulary, generator=g),
        likelihood=NextToken(),
    )
    decoder = model.decoder
    assert isinstance(decoder, SequenceDecoder)
    ids = torch.randint(0, vocabulary, (3, 5), generator=g)
    tokens = TokenRows(ids, torch.ones(3, 5, dtype=torch.bool))
    batch = Batch(torch.arange(3), tokens, tokens)
    step = model.step(batch, generator=generator(), samples=2)
    assert step.log_likelihood.shape == (3, 2)
    model.loss(step).total.backward()
    assert all(p.grad is not None for p in model.parameters())
    clean = model.step(batch)
    hidden, state = decoder.start(clean.code.sample)
    for position in range(5):
        torch.testing.assert_close(hidden, clean.decoded[:, position])
        hidden, state = decoder.advance(state, ids[:, position])
    swapped = decoder.reorder(state, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(swapped[0], state[0][[2, 0, 1]])


class PretrainedEncoder(nn.Module):
    """Any ``transformers`` encoder: ``enter`` is its word embedding, ``trunk`` all the rest and a mean over tokens."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def enter(self, inputs):
        return self.backbone.get_input_embeddings()(inputs.ids)

    def trunk(self, entered, inputs):
        out = self.backbone(inputs_embeds=entered, attention_mask=inputs.mask.long()).last_hidden_state
        mask = inputs.mask[..., None]
        return (out * mask).sum(1) / mask.sum(1)


def test_pretrained_transformers_encoder():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.BertConfig(
        vocab_size=11, hidden_size=HIDDEN, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    with torch.random.fork_rng():
        backbone = transformers.BertModel(config).eval()
    ids = torch.randint(0, 11, (3, 5), generator=generator())
    tokens = TokenRows(ids, torch.ones(3, 5, dtype=torch.bool))
    g = generator()
    model = Autoencoder(
        encoder=PretrainedEncoder(backbone),
        bottleneck=Deterministic(),
        decoder=RecurrentDecoderOfWidth(HIDDEN),
        readout=LinearReadout(HIDDEN, 11, generator=g),
        likelihood=NextToken(),
    )
    expected = backbone(input_ids=ids).last_hidden_state.mean(1)
    torch.testing.assert_close(model.encode(tokens).point, expected)
    model.loss(model.step(Batch(torch.arange(3), tokens, tokens))).total.backward()
    assert backbone.get_input_embeddings().weight.grad.abs().sum() > 0


class RecurrentDecoderOfWidth(RecurrentDecoder):
    def __init__(self, width):
        super().__init__(11)
        self.code = nn.Parameter(torch.randn(width, HIDDEN, generator=generator(6)))
