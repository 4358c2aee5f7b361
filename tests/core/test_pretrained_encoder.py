from __future__ import annotations

import pytest
import tiny_bert
import torch

from isthmus.batch import TokenRows, Values
from isthmus.core.encoders.pretrained import KnownVectors, PretrainedEncoder
from isthmus.errors import SettingError

START, END = (tiny_bert.WORDS.index(name) for name in ("[CLS]", "[SEP]"))


def rows(*contents: list[int], padding: int = 0) -> TokenRows:
    whole = [[*content, END] for content in contents]
    steps = max(map(len, whole)) + padding
    ids = torch.tensor([row + [7] * (steps - len(row)) for row in whole])
    return TokenRows(ids, torch.arange(steps) < torch.tensor([len(row) for row in whole])[:, None])


def encoder(**settings) -> PretrainedEncoder:
    return PretrainedEncoder(tiny_bert.bert(), 16, **({"start": START, "max_length": 12} | settings))


def vectors(part: PretrainedEncoder | KnownVectors, inputs) -> torch.Tensor:
    return part.trunk(part.enter(inputs), inputs)


def naive(ids: list[int], pooling: str = "mean") -> torch.Tensor:
    """One text alone, without padding, through the whole network."""
    state = tiny_bert.bert().eval()(input_ids=torch.tensor([ids])).last_hidden_state[0]
    return state.mean(0) if pooling == "mean" else state[0]


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_vectors_are_those_of_each_text_alone(pooling):
    found = vectors(encoder(pooling=pooling, normalise=False), rows([4, 5, 6, 7], [8]))
    expected = [naive([START, *content, END], pooling) for content in ([4, 5, 6, 7], [8])]
    torch.testing.assert_close(found, torch.stack(expected))


def test_padding_changes_nothing():
    part = encoder()
    torch.testing.assert_close(vectors(part, rows([4, 5], [8], padding=5)), vectors(part, rows([4, 5], [8])))


def test_normalised_vectors_have_length_1():
    plain, unit = (vectors(encoder(normalise=on), rows([4, 5], [8])) for on in (False, True))
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))


def test_a_long_row_is_cut_and_keeps_its_end():
    found = vectors(encoder(max_length=5, normalise=False), rows([4, 5, 6, 7, 8, 9], [8], [4, 5, 6]))
    expected = [naive([START, *content, END]) for content in ([4, 5, 6], [8], [4, 5, 6])]
    torch.testing.assert_close(found, torch.stack(expected))


def test_without_a_start_token():
    torch.testing.assert_close(vectors(encoder(start=None, normalise=False), rows([4, 5])), naive([4, 5, END])[None])


def test_training_mode_has_no_dropout_and_leaves_the_global_state():
    part, before = encoder(frozen=False), torch.random.get_rng_state()
    calm = vectors(part, rows([4, 5]))
    torch.testing.assert_close(vectors(part.train(), rows([4, 5])), calm)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_frozen_or_not():
    frozen, free = encoder(), encoder(frozen=False)
    assert not vectors(frozen, rows([4, 5])).requires_grad
    vectors(free, rows([4, 5])).sum().backward()
    assert free.backbone.get_input_embeddings().weight.grad.abs().sum() > 0


def test_known_vectors_pass_and_tokens_are_encoded():
    inner = encoder()
    part, numbers = KnownVectors(inner), torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(vectors(part, Values(numbers)), numbers)
    torch.testing.assert_close(vectors(part, rows([4, 5])), vectors(inner, rows([4, 5])))
    assert part.width == 16


@pytest.mark.parametrize("wrong", [{"pooling": "max"}, {"max_length": 1}])
def test_settings_outside_their_range(wrong):
    with pytest.raises(SettingError):
        encoder(**wrong)
