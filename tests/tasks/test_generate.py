"""Generation against brute force: every row that a tiny decoder can say is written down and weighed."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from torch import nn

from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError, ValueRangeError
from isthmus.protocols import SequenceDecoder
from isthmus.tasks import stepwise
from isthmus.tasks.generate import generate

CODE, HIDDEN, VOCABULARY, END, LONGEST = 3, 6, 4, 2, 5


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Recurrent(nn.Module):
    """h_t = tanh(U h_{t−1} + E[x_{t−1}] + V z)."""

    def __init__(self, seed=2):
        super().__init__()
        g = generator(seed)
        self.first = nn.Parameter(torch.randn(HIDDEN, generator=g))
        self.table = nn.Parameter(torch.randn(VOCABULARY, HIDDEN, generator=g))
        self.inner = nn.Parameter(torch.randn(HIDDEN, HIDDEN, generator=g) / 3)
        self.code = nn.Parameter(torch.randn(CODE, HIDDEN, generator=g))
        self.rows = []

    def forward(self, sample, given):
        hidden, state = self.start(sample)
        decoded = [hidden]
        for ids in given.targets.ids[:, :-1].T:
            hidden, state = self.advance(state, ids)
            decoded.append(hidden)
        return torch.stack(decoded, 1)

    def start(self, sample):
        self.rows.append(len(sample))
        bias = sample @ self.code
        hidden = torch.tanh(self.first + bias)
        return hidden, (hidden, bias)

    def advance(self, state, ids):
        assert len(ids) == len(state[0])
        self.rows.append(len(ids))
        hidden = torch.tanh(state[0] @ self.inner + self.table[ids] + state[1])
        return hidden, (hidden, state[1])

    def reorder(self, state, rows):
        return tuple(part[rows] for part in state)


class Chain(nn.Module):
    """The last token alone decides: its row of a table of chances; the last row of the table is that of the start."""

    def __init__(self, chances):
        super().__init__()
        self.table = torch.tensor(chances).log()

    def start(self, sample):
        state = self.table[-1].expand(len(sample), -1)
        return state, state

    def advance(self, state, ids):
        return self.table[ids], self.table[ids]

    def reorder(self, state, rows):
        return state[rows]

    def forward(self, sample, given):
        return sample


class AsIs:
    """Hidden states are logits."""

    weight, bias = torch.eye(VOCABULARY), torch.zeros(VOCABULARY)

    def logits(self, decoded, columns=None):
        return decoded

    def vectors(self):
        return torch.cat([self.weight, self.bias[:, None]], 1)

    def queries(self, decoded):
        return torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)


class Flat(nn.Module):
    """Every logit is the same, always: nothing but ties."""

    def start(self, sample):
        hidden = sample.new_zeros(len(sample), HIDDEN)
        return hidden, hidden

    def advance(self, state, ids):
        return state, state

    def reorder(self, state, rows):
        return state[rows]

    def forward(self, sample, given):
        return sample


@pytest.fixture
def decoder():
    return Recurrent()


@pytest.fixture
def readout():
    wide = LinearReadout(HIDDEN, VOCABULARY, generator=generator(3))
    with torch.no_grad():
        wide.weight.mul_(2.5)
    return wide


@pytest.fixture
def codes():
    return torch.randn(40, CODE, generator=generator(4))


def say(decoder, readout, codes, **changes):
    return generate(decoder, readout, codes, **({"end": END, "max_length": LONGEST} | changes))


@torch.no_grad()
def log_prob(decoder, readout, code, content):
    """Of a whole row with its end, one row at a time."""
    hidden, state = decoder.start(code[None])
    total = 0.0
    for token in (*content, END):
        total += readout.logits(hidden).log_softmax(1)[0, token].item()
        hidden, state = decoder.advance(state, torch.tensor([token]))
    return total


def every_row(max_length=LONGEST, tokens=(0, 1, 3)):
    return [row for n in range(max_length) for row in itertools.product(tokens, repeat=n)]


def by_hand(decoder, readout, code, max_length=LONGEST):
    """Greedy, one token at a time, without batches."""
    with torch.no_grad():
        hidden, state = decoder.start(code[None])
        said = []
        while len(said) < max_length - 1:
            token = readout.logits(hidden).argmax(1)
            if token.item() == END:
                break
            said.append(token.item())
            hidden, state = decoder.advance(state, token)
    return said


def test_the_test_decoder_is_one(decoder):
    assert isinstance(decoder, SequenceDecoder)


def test_greedy_is_the_most_probable_token_each_time(decoder, readout, codes):
    greedy = say(decoder, readout, codes, strategy="greedy")
    assert greedy == [by_hand(decoder, readout, code) for code in codes]
    assert {len(row) for row in greedy} >= {0, LONGEST - 1}, "the example has rows of many lengths"


def test_rows_that_have_ended_leave_the_batch(decoder, readout, codes):
    greedy = say(decoder, readout, codes, strategy="greedy")
    lengths = [sum(len(row) >= step for row in greedy) for step in range(LONGEST - 1)]
    assert decoder.rows == [n for n in lengths if n]


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_beam_of_one_is_greedy(decoder, readout, codes, power):
    one = say(decoder, readout, codes, strategy="beam", beams=1, length_power=power)
    assert one == say(decoder, readout, codes, strategy="greedy")


@pytest.mark.parametrize("power", [0.0, 0.6, 1.0])
def test_a_beam_that_holds_everything_finds_the_best_row(decoder, readout, codes, power):
    rows = every_row()
    found = say(decoder, readout, codes[:8], strategy="beam", beams=400, length_power=power)
    best = [
        list(max(rows, key=lambda row: log_prob(decoder, readout, code, row) / (len(row) + 1) ** power))
        for code in codes[:8]
    ]
    assert found == best
    assert found != say(decoder, readout, codes[:8], strategy="greedy"), "greedy is not enough here"


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_beams_keep_their_own_past(readout, codes, power):
    """Long rows whose every token depends on all before it."""
    decoder = Recurrent()
    with torch.no_grad():
        decoder.inner.mul_(6)
        readout.bias[END] = -8
    rows = every_row()
    found = say(decoder, readout, codes[:12], strategy="beam", beams=400, length_power=power)
    best = [
        list(max(rows, key=lambda row: log_prob(decoder, readout, code, row) / (len(row) + 1) ** power))
        for code in codes[:12]
    ]
    assert found == best
    assert sum(len(row) >= 3 for row in best) >= 4


def test_a_row_that_has_ended_does_not_go_on():
    """After the end another end would be certain: more tokens, and more nats a token than the true row."""
    after_end = [1e-6, 1e-6, 1 - 3e-6, 1e-6]
    chances = [
        [0.05, 0.05, 0.88, 0.02],
        [0.1, 0.1, 0.1, 0.7],
        after_end,
        [0.01, 0.01, 0.97, 0.01],
        [0.1, 0.5, 0.3, 0.1],
    ]
    found = say(Chain(chances), AsIs(), torch.zeros(1, CODE), strategy="beam", beams=400, length_power=1.0)
    # Nats a token: (ln 0.5 + ln 0.7 + ln 0.97) / 3 = −0.36; the end at once has ln 0.3 = −1.2.
    assert found == [[1, 3]]


def test_beams_stop_when_nothing_better_can_come(readout, codes):
    chances = [[0.01, 0.01, 0.97, 0.01]] * 5
    decoder, asked = Chain(chances), []
    advance = decoder.advance
    decoder.advance = lambda state, ids: asked.append(len(ids)) or advance(state, ids)
    assert say(decoder, AsIs(), codes, strategy="beam", beams=3, max_length=50, length_power=0.0) == [[]] * len(codes)
    assert asked == []
    # With nats a token the others might have caught up; three that have ended are enough.
    assert say(decoder, AsIs(), codes, strategy="beam", beams=3, max_length=500, length_power=1.0) == [[]] * len(codes)
    assert len(asked) == 1


def test_wider_beams_find_no_worse_rows(decoder, readout, codes):
    def total(beams):
        found = say(decoder, readout, codes, strategy="beam", beams=beams, length_power=0.0)
        return sum(log_prob(decoder, readout, code, row) for code, row in zip(codes, found, strict=True))

    assert total(1) < total(4) <= total(400) + 1e-4


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_chunks_change_nothing(decoder, readout, codes, strategy):
    whole = say(decoder, readout, codes, strategy=strategy)
    assert say(decoder, readout, codes, strategy=strategy, chunk=7) == whole
    assert say(decoder, readout, codes, strategy=strategy, chunk=1) == whole


def test_equal_scores_are_decided_by_the_id():
    readout = LinearReadout(HIDDEN, VOCABULARY, generator=generator())
    nn.init.zeros_(readout.bias)
    codes = torch.zeros(2, CODE)
    assert say(Flat(), readout, codes, strategy="greedy") == [[0] * (LONGEST - 1)] * 2
    # One token, the end, has log p = −ln 4; every longer row has less.
    assert say(Flat(), readout, codes, strategy="beam", beams=4, length_power=0.0) == [[], []]
    # Nats a token are −ln 4 for every row: the first found is kept.
    assert say(Flat(), readout, codes, strategy="beam", beams=4, length_power=1.0) == [[], []]
    assert say(Flat(), readout, codes, strategy="beam", beams=2, max_length=3, forbidden=[0]) == [[], []]


def test_a_small_nucleus_is_greedy(decoder, readout, codes):
    drawn = say(decoder, readout, codes, strategy="nucleus", top_p=1e-6, generator=generator())
    assert drawn == say(decoder, readout, codes, strategy="greedy")
    cold = say(decoder, readout, codes, strategy="nucleus", top_p=1.0, temperature=1e-4, generator=generator())
    assert cold == drawn


def test_draws_have_the_frequencies_of_the_model(decoder, readout, codes):
    n, code = 20_000, codes[1]
    drawn = say(
        decoder, readout, code.repeat(n, 1), strategy="nucleus", top_p=1.0, generator=generator(), max_length=3, chunk=n
    )
    counts = Counter(map(tuple, drawn))
    for row in every_row(2):
        chance = torch.tensor(log_prob(decoder, readout, code, row)).exp().item()
        assert counts[row] / n == pytest.approx(chance, abs=4 * (chance / n) ** 0.5 + 1e-4)
    # A row of two tokens was cut there: it has the chance of that beginning, whatever would have followed.
    assert sum(counts.values()) == n


def test_the_nucleus_holds_the_fewest_tokens_and_follows_temperature(readout):
    readout = LinearReadout(HIDDEN, VOCABULARY, generator=generator())
    chances = torch.tensor([0.1, 0.4, 0.2, 0.3])
    with torch.no_grad():
        readout.bias.copy_(chances.log())
    n = 20_000
    codes = torch.zeros(n, CODE)

    def first(**settings):
        rows = say(Flat(), readout, codes, strategy="nucleus", generator=generator(), max_length=2, chunk=n, **settings)
        counts = Counter(row[0] if row else END for row in rows)
        return torch.tensor([counts[token] / n for token in range(VOCABULARY)])

    expected = torch.tensor([0.0, 4 / 7, 0.0, 3 / 7])
    torch.testing.assert_close(first(top_p=0.6), expected, atol=0.015, rtol=0)
    expected = torch.tensor([0.0, 4 / 9, 2 / 9, 3 / 9])
    torch.testing.assert_close(first(top_p=0.8), expected, atol=0.015, rtol=0)
    sharpened = chances.square() / chances.square().sum()
    torch.testing.assert_close(first(top_p=1.0, temperature=0.5), sharpened, atol=0.015, rtol=0)


@pytest.mark.parametrize("top_p", [0.5, 0.9, 1.0])
def test_sorting_a_few_first_changes_nothing(decoder, readout, codes, top_p, monkeypatch):
    def drawn():
        return say(decoder, readout, codes, strategy="nucleus", top_p=top_p, generator=generator())

    whole = drawn()
    monkeypatch.setattr(stepwise, "HEAD", 2)
    assert drawn() == whole


def test_draws_follow_from_the_generator(decoder, readout, codes):
    before = torch.get_rng_state()
    first, again, other = (
        say(decoder, readout, codes, strategy="nucleus", generator=generator(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("strategy", ["greedy", "beam", "nucleus"])
def test_forbidden_tokens_are_never_said(decoder, readout, codes, strategy):
    free = say(decoder, readout, codes, strategy=strategy, generator=generator())
    bound = say(decoder, readout, codes, strategy=strategy, generator=generator(), forbidden=[0, 3])
    assert any({0, 3} & set(row) for row in free)
    assert not any({0, 3} & set(row) for row in bound)


@pytest.mark.parametrize("strategy", ["greedy", "beam", "nucleus"])
def test_short_limits(decoder, readout, codes, strategy):
    settings = {"strategy": strategy, "generator": generator()}
    assert say(decoder, readout, codes, max_length=1, **settings) == [[]] * len(codes)
    assert max(map(len, say(decoder, readout, codes, max_length=3, **settings))) == 2
    assert say(decoder, readout, codes[:0], **settings) == []


def test_nothing_is_remembered_for_gradients(decoder, readout, codes):
    seen = []
    logits = readout.logits
    readout.logits = lambda hidden, columns=None: seen.append(hidden.requires_grad) or logits(hidden, columns)
    say(decoder, readout, codes, strategy="greedy")
    assert seen
    assert not any(seen)


def test_bf16_under_autocast(decoder, readout, codes):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = say(decoder, readout, codes, strategy="beam")
    plain = say(decoder, readout, codes, strategy="beam")
    assert sum(a == b for a, b in zip(rows, plain, strict=True)) > len(codes) // 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": "best"}, "greedy, beam or nucleus"),
        ({"strategy": "beam", "beams": 0}, "beams is 0"),
        ({"strategy": "beam", "length_power": -1.0}, "length_power is -1"),
        ({"strategy": "nucleus"}, "without a generator"),
        ({"strategy": "nucleus", "generator": generator(), "top_p": 0.0}, "top_p is 0"),
        ({"strategy": "nucleus", "generator": generator(), "top_p": 1.5}, "top_p is 1.5"),
        ({"strategy": "nucleus", "generator": generator(), "temperature": 0.0}, "temperature is 0"),
        ({"max_length": 0}, "max_length is 0"),
        ({"chunk": 0, "strategy": "greedy"}, "chunk is 0"),
        ({"forbidden": [END]}, "forbidden"),
    ],
)
def test_settings_outside_their_range(decoder, readout, codes, changes, words):
    with pytest.raises(SettingError, match=words):
        say(decoder, readout, codes, **changes)


@pytest.mark.parametrize("strategy", ["greedy", "beam", "nucleus"])
def test_nan_is_an_error(decoder, readout, codes, strategy):
    codes[3] = torch.nan
    with pytest.raises(ValueRangeError, match="NaN"):
        say(decoder, readout, codes, strategy=strategy, generator=generator())
