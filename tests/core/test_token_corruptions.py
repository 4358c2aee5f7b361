"""Deletion deletes what it says and leaves the rest in order; word dropout hides from the decoder and fades out."""

import pytest
import torch

from isthmus.batch import TokenRows, Values
from isthmus.bundle.tensors import load_state, state_of
from isthmus.core.corruptions.tokens import TokenDeletion, WordDropout
from isthmus.errors import SettingError

END = 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(lengths, longest=None):
    """Rows of so many tokens with their end; tokens ascend from 100 * row + 10, padding is 7, which is no token."""
    longest = longest or max(lengths)
    ids, mask = torch.full((len(lengths), longest), 7), torch.zeros(len(lengths), longest, dtype=torch.bool)
    for row, length in enumerate(lengths):
        ids[row, : length - 1] = torch.arange(length - 1) + 100 * row + 10
        ids[row, length - 1] = END
        mask[row, :length] = True
    return TokenRows(ids, mask)


def lists(tokens):
    return [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]


def test_sixty_percent_are_deleted():
    """A well-known implementation keeps 60 % instead."""
    given = rows([101] * 100)
    left = TokenDeletion(0.6)(given, generator())
    assert (left.mask.sum().item() - 100) / 10_000 == pytest.approx(0.4, abs=0.015)


def test_what_is_left_is_in_order_and_ends_with_the_end():
    given = rows([30, 12, 2, 5, 1])
    left = TokenDeletion(0.6)(given, generator())
    for before, after in zip(lists(given), lists(left), strict=True):
        assert after[-1] == END
        assert after == [token for token in before if token in set(after)]
    # The end alone stays alone, a single token stays with it.
    assert lists(left)[2] == [210, END]
    assert lists(left)[4] == [END]


def test_rows_are_padded_anew_on_the_right():
    given = rows([30, 12, 3], longest=40)
    left = TokenDeletion(0.6)(given, generator())
    lengths = left.mask.sum(1)
    assert left.ids.shape[1] == lengths.max() < 30
    assert torch.equal(left.mask, torch.arange(left.ids.shape[1]) < lengths[:, None])
    assert (left.ids[~left.mask] == 0).all()


@pytest.mark.parametrize("keep_end", [True, False])
def test_never_everything(keep_end):
    left = TokenDeletion(0.99, keep_end)(rows([3] * 500), generator())
    assert (left.mask.sum(1) >= (2 if keep_end else 1)).all()
    kept = [row[0] for row in lists(left) if len(row) == (2 if keep_end else 1)]
    # Which one stays is drawn evenly.
    share = sum(token % 100 == 10 for token in kept) / len(kept)
    assert share == pytest.approx(1 / 2 if keep_end else 1 / 3, abs=0.08)


def test_the_end_is_deleted_like_others_where_it_may_be():
    left = TokenDeletion(0.6, keep_end=False)(rows([50] * 1000), generator())
    assert sum(END in row for row in lists(left)) / 1000 == pytest.approx(0.4, abs=0.05)


def test_nothing_is_deleted_at_rate_0_and_what_was_given_stays_as_it_was():
    given = rows([5, 3])
    ids, mask = given.ids.clone(), given.mask.clone()
    assert lists(TokenDeletion(0.0)(given, generator())) == lists(given)
    TokenDeletion(0.9)(given, generator())
    assert torch.equal(given.ids, ids)
    assert torch.equal(given.mask, mask)


def test_rows_without_tokens_stay_without():
    given = TokenRows(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.bool))
    assert lists(TokenDeletion(0.5)(given, generator())) == [[], []]


def test_the_seed_decides():
    given = rows([40] * 5)
    one, same, other = (lists(TokenDeletion(0.6)(given, generator(seed))) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_word_dropout_fades_to_nothing():
    given, noise = rows([201] * 50, longest=210), WordDropout(0.4, 4)
    shares = []
    for _ in range(6):
        noisy = noise(given, generator())
        assert torch.equal(noisy.ids, given.ids)
        assert torch.equal(noisy.mask, given.mask)
        assert not (noisy.unseen & ~noisy.mask).any()
        shares.append(noisy.unseen.sum().item() / given.mask.sum().item())
        noise.count()
    assert shares == pytest.approx([0.4, 0.3, 0.2, 0.1, 0, 0], abs=0.02)
    assert shares[4:] == [0, 0]


def test_the_place_in_the_schedule_is_saved():
    noise, again = WordDropout(0.4, 4), WordDropout(0.4, 4)
    for _ in range(3):
        noise.count()
    load_state(again, state_of(noise))
    assert again.rate.item() == pytest.approx(0.1)
    assert torch.equal(again(rows([50]), generator()).unseen, noise(rows([50]), generator()).unseen)


def test_a_hidden_token_leaves_no_place_for_deletion():
    hidden = WordDropout(0.5, 1)(rows([5]), generator())
    with pytest.raises(SettingError, match="word dropout"):
        TokenDeletion(0.5)(hidden, generator())


@pytest.mark.parametrize("noise", [TokenDeletion(0.5), WordDropout(0.5, 1)])
def test_only_token_rows(noise):
    with pytest.raises(SettingError, match="Values"):
        noise(Values(torch.zeros(2, 3)), generator())


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenDeletion(1.0),
        lambda: TokenDeletion(-0.1),
        lambda: WordDropout(1.1, 3),
        lambda: WordDropout(-0.1, 3),
        lambda: WordDropout(0.3, 0),
    ],
)
def test_settings_outside_their_range(make):
    with pytest.raises(SettingError):
        make()
