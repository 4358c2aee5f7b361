"""Sums of words: against exhaustive search, against planted words, and as prefixes."""

from __future__ import annotations

import itertools

import pytest
import torch

from isthmus.core.bottlenecks.residual_quantised import (
    ResidualQuantizer,
    learned_codebooks,
    nearest_codewords,
    sum_codewords,
)
from isthmus.errors import SettingError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def books(stages: int = 3, words: int = 4, code: int = 5) -> torch.Tensor:
    scale = 0.6 ** torch.arange(stages)[:, None, None]
    return scale * torch.randn(stages, words, code, generator=generator())


def test_all_beams_find_what_trying_all_sums_finds() -> None:
    codebooks, vectors = books(), torch.randn(40, 5, generator=generator(1))
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))
    distances = torch.cdist(vectors, sum_codewords(every, codebooks))
    assert torch.equal(nearest_codewords(vectors, codebooks, beams=64), every[distances.argmin(1)])


def test_one_beam_takes_the_nearest_word_of_each_codebook_in_turn() -> None:
    codebooks, vectors = books(), torch.randn(40, 5, generator=generator(1))
    rest, chosen = vectors, []
    for book in codebooks:
        word = torch.cdist(rest, book).argmin(1)
        rest = rest - book[word]
        chosen.append(word)
    assert torch.equal(nearest_codewords(vectors, codebooks, beams=1), torch.stack(chosen, 1))


def test_more_beams_are_nearer() -> None:
    codebooks, vectors = books(6, 16, 8), torch.randn(300, 8, generator=generator(1))

    def error(beams: int) -> float:
        found = sum_codewords(nearest_codewords(vectors, codebooks, beams), codebooks)
        return float((vectors - found).square().sum(1).mean())

    assert error(1) > error(4) > error(16)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codebooks, vectors = books(), torch.randn(40, 5, generator=generator(1))
    whole = nearest_codewords(vectors, codebooks, 2)
    monkeypatch.setattr("isthmus.core.bottlenecks.residual_quantised.SCORES", 8 * 7)
    assert torch.equal(nearest_codewords(vectors, codebooks, 2), whole)
    assert nearest_codewords(vectors[:0], codebooks, 2).shape == (0, 3)


def test_sums_are_sums_and_prefixes_are_sums_of_the_first_words() -> None:
    codebooks = books()
    words = torch.tensor([[0, 3, 1], [2, 2, 2]])
    expected = torch.stack([codebooks[[0, 1, 2], row].sum(0) for row in words])
    torch.testing.assert_close(sum_codewords(words, codebooks), expected)
    shorter = torch.stack([codebooks[[0, 1], row[:2]].sum(0) for row in words])
    torch.testing.assert_close(sum_codewords(words, codebooks, 2), shorter)
    torch.testing.assert_close(sum_codewords(words[:, :2], codebooks), shorter)


def test_codebooks_find_planted_words_and_what_they_leave_over() -> None:
    coarse = 10 * torch.eye(4, 6)
    fine = torch.zeros(2, 6)
    fine[0, 5], fine[1, 5] = 1, -1
    vectors = (coarse[:, None] + fine).flatten(0, 1).repeat(25, 1)
    found = learned_codebooks(vectors, 2, 8, generator=generator(3), rounds=20)
    words = nearest_codewords(vectors, found, beams=4)
    torch.testing.assert_close(sum_codewords(words, found), vectors, atol=1e-4, rtol=0)


def test_each_codebook_leaves_less() -> None:
    vectors = torch.randn(500, 6, generator=generator(2))
    codebooks = learned_codebooks(vectors, 4, 16, generator=generator(3))
    words = nearest_codewords(vectors, codebooks)
    errors = [float((vectors - sum_codewords(words, codebooks, n)).square().mean()) for n in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True)
    # A uniform quantiser of 16 bits for 6 Gaussian numbers cannot be better than 2^(-2 · 16 / 6) of the variance.
    assert 2 ** (-2 * 16 / 6) < errors[-1] < 0.35


def test_fewer_examples_than_words() -> None:
    vectors = torch.randn(3, 4, generator=generator())
    codebooks = learned_codebooks(vectors, 2, 8, generator=generator())
    torch.testing.assert_close(sum_codewords(nearest_codewords(vectors, codebooks), codebooks), vectors)


def test_the_bottleneck_passes_the_gradient_through_and_teaches_the_chosen_words() -> None:
    quantiser = ResidualQuantizer(5, 3, (1, 3), generator=generator(), codewords=4, beams=2)
    hidden = torch.randn(7, 5, generator=generator(1), requires_grad=True)
    code = quantiser(hidden)
    assert torch.equal(code.notes["codewords"], nearest_codewords(hidden.detach(), quantiser.codebooks, 2))
    torch.testing.assert_close(
        code.notes["nested"][:, 0], sum_codewords(code.notes["codewords"], quantiser.codebooks, 1)
    )
    torch.testing.assert_close(code.point, sum_codewords(code.notes["codewords"], quantiser.codebooks))
    weights = torch.randn(7, 5, generator=generator(2))
    (code.point * weights).sum().backward()
    torch.testing.assert_close(hidden.grad, weights)
    gradient = quantiser.codebooks.grad
    assert gradient is not None
    chosen = torch.zeros(3, 4, dtype=torch.bool)
    for row in code.notes["codewords"]:
        chosen[torch.arange(3), row] = True
    assert torch.equal(gradient.abs().sum(2) > 0, chosen)
    assert quantiser(hidden, samples=2).sample.shape == (14, 5)


@pytest.mark.parametrize("prefixes", [(), (2, 1), (0, 3), (1, 2), (1, 1, 3)])
def test_prefixes_ascend_to_the_whole(prefixes: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="ascending"):
        ResidualQuantizer(5, 3, prefixes, generator=generator())


@pytest.mark.parametrize("words", [1, 257])
def test_a_byte_counts_the_words(words: int) -> None:
    with pytest.raises(SettingError, match="256"):
        ResidualQuantizer(5, 3, (3,), generator=generator(), codewords=words)
