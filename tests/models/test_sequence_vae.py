"""The sequence VAE: both forms learn, every cure is a setting, and what was saved is rebuilt."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from isthmus.batch import Batch, TokenRows, Tokens
from isthmus.bundle.tensors import state_of
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, Gaussian
from isthmus.core.corruptions.tokens import TokenDeletion, WordDropout
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.posterior_collapse import FreeBits
from isthmus.core.objectives.schedules import Constant, CyclicalAnnealing, DelayedSchedule, LinearAnnealing
from isthmus.core.priors.normal import NoPrior
from isthmus.errors import SettingError
from isthmus.models import sequence_vae
from isthmus.models.recipes.rebuild import rebuild
from isthmus.protocols import SequenceDecoder
from isthmus.training.batching import TokenBudget
from isthmus.training.run import Run

VOCABULARY, LENGTH, END = 20, 9, 2
SIGNAL = Tokens(VOCABULARY, LENGTH)
SMALL = {"hidden": 16, "code": 4, "heads": 2, "layers": 1, "epochs": 3, "tokens": 200, "learning_rate": 5e-3}
FORMS = pytest.mark.parametrize("form", ["transformer", "lstm"])


@dataclass(frozen=True)
class Rows:
    """Token rows as a source."""

    ids: Tensor
    mask: Tensor

    def __len__(self):
        return len(self.ids)

    @property
    def lengths(self):
        return self.mask.sum(1)

    def to(self, device):
        return Rows(self.ids.to(device), self.mask.to(device))

    def batch(self, rows):
        longest = int(self.mask[rows].sum(1).max())
        tokens = TokenRows(self.ids[rows, :longest], self.mask[rows, :longest])
        return Batch(rows, tokens, tokens)


def source(rows=60):
    """Rows that count upwards from a random number: their first token and their length say everything."""
    g = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, LENGTH + 1, (rows, 1), generator=g)
    first = torch.randint(VOCABULARY - 4, (rows, 1), generator=g)
    steps = torch.arange(LENGTH)
    ids = ((first + steps) % (VOCABULARY - 4) + 4).masked_fill(steps == lengths - 1, END)
    mask = steps < lengths
    return Rows(ids.masked_fill(~mask, 0), mask)


def recipe(**settings):
    return sequence_vae(SIGNAL, generator=Run(seed=3).generator(), **(SMALL | settings))


def fitted(run=None, **settings):
    made = recipe(**settings)
    return made, made.fit(source(), Run(device="cpu", precision="fp32", **(run or {})))


def weights(model):
    return {name: tensor.clone() for name, tensor in state_of(model).items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@FORMS
def test_it_learns(form):
    made, history = fitted(form=form, epochs=12, dropout=0.0, learning_rate=0.02)
    assert history.records[-1]["nll"] < 0.7 * history.records[0]["nll"]
    # The fixed spread of the means keeps the rate up: 4 * 0.6² / 2.
    assert all(record["rate"] > 0.7 for record in history.records)
    assert isinstance(made.model.decoder, SequenceDecoder)


@FORMS
@pytest.mark.parametrize(
    ("settings", "bottleneck"),
    [
        ({"collapse": "batch-norm", "scale": 0.9}, BatchNormGaussian),
        ({"collapse": "free-bits", "free_bits": 0.5}, Gaussian),
        ({"collapse": "none", "annealing": "cyclical", "cycles": 2, "ramp": 0.25, "rest": 0.5}, Gaussian),
        ({"collapse": "none", "annealing": "none", "word_dropout": 0.3, "word_dropout_epochs": 2}, Gaussian),
        ({"variational": False, "deletion": 0.6}, Projected),
        ({"aggressive": 1, "inner": 2}, BatchNormGaussian),
        ({"pooling": "last", "embedding": 8, "clip": None, "decay": "cosine"}, BatchNormGaussian),
        ({"tied": True, "encoder_dropout": 0.0}, BatchNormGaussian),
        ({"optimizer": "sgd", "decay": "halving", "learning_rate": None}, BatchNormGaussian),
    ],
)
def test_every_cure_builds_and_moves_every_parameter(form, settings, bottleneck):
    made = recipe(form=form, epochs=2, **settings)
    assert isinstance(made.model.bottleneck, bottleneck)
    before = weights(made.model)
    history = made.fit(source(), Run(device="cpu", precision="fp32"))
    assert len(history.records) == 2
    names = {name for name, _ in made.model.named_parameters()}
    still = {name for name, tensor in weights(made.model).items() if torch.equal(before[name], tensor)} & names
    # The vector that stands in for hidden words is read only where words are hidden.
    assert still == (set() if "word_dropout" in settings else {"decoder.shown.stand_in"})


@FORMS
def test_tied_the_decoder_shows_the_rows_of_the_readout_and_goes_on_after_it_was_drawn_anew(form):
    made, _ = fitted(form=form, tied=True, pretraining=1)
    assert made.model.decoder.shown.table is made.model.readout.weight
    assert "readout.weight" not in state_of(made.model)


def test_a_softmax_over_a_few_words_until_the_last_epochs():
    made = recipe(form="lstm", epochs=3, pretraining=1, negatives=5, exact=1)
    phases = made.plan.phases
    assert [phase.epochs for phase in phases] == [1, 2, 1]
    sampled = phases[0].likelihood
    assert [phase.likelihood for phase in phases] == [sampled, sampled, None]
    assert sampled.negatives == 5
    assert "negatives=5" in made.plan.described()
    before = sampled.strata.chances
    history = made.fit(source(), Run(device="cpu", precision="fp32"))
    assert len(history.records) == 4
    assert not torch.equal(sampled.strata.chances, before), "words are counted first"
    assert isinstance(made.model.likelihood, Categorical)
    with pytest.raises(SettingError, match="exact=-1"):
        recipe(form="lstm", negatives=5, exact=-1)


@FORMS
def test_dropout_of_the_encoder_alone(form):
    made = recipe(form=form, dropout=0.5, encoder_dropout=0.0)
    batch = source().batch(torch.arange(10))
    made.model.train()
    encoded = [made.model.encoder.trunk(made.model.encoder.enter(batch.inputs), batch.inputs) for _ in range(2)]
    assert torch.equal(*encoded)
    shown = [made.model.decode(torch.zeros(10, 4), batch) for _ in range(2)]
    assert not torch.equal(*shown)


@FORMS
def test_posteriors_start_near_unit_variance(form):
    code = recipe(form=form).model.encode(source().batch(torch.arange(60)).inputs)
    assert code.posterior.log_scale.abs().max() < 0.5


def test_a_superposed_model_shares_vectors_and_places_and_is_rebuilt_as_it_was():
    given = SMALL | {"form": "superposed", "variational": False, "code": 64, "epochs": 12, "tokens": 100}
    made = recipe(**given)
    before = weights(made.model)
    history = made.fit(source(), Run(device="cpu", precision="fp32"))
    assert history.records[-1]["nll"] < 0.5 * history.records[0]["nll"]
    encoder, decoder = made.model.encoder, made.model.decoder
    assert decoder.places is encoder.places
    assert decoder.shown.table is made.model.readout.weight is encoder.table
    after = weights(made.model)
    assert {name for name in after if torch.equal(before[name], after[name])} & {
        name for name, _ in made.model.named_parameters()
    } == {"decoder.shown.stand_in"}
    again = rebuild(sequence_vae, SIGNAL, given, after)
    assert again.decoder.places is again.encoder.places
    batch = source().batch(torch.arange(10))
    assert again.encode(batch.inputs).point.shape == (10, 64)
    torch.testing.assert_close(again.step(batch).log_likelihood, made.model.step(batch).log_likelihood)


def test_settings_become_parts():
    assert recipe(annealing="none", beta=0.3).model.objective == Elbo(Constant(0.3))
    assert recipe(annealing="linear", ramp=0.4).model.objective == Elbo(LinearAnnealing(1.0, 0.4))
    cyclical = CyclicalAnnealing(0.5, 3, 0.4, 0.1)
    settings = {"annealing": "cyclical", "beta": 0.5, "cycles": 3, "ramp": 0.4, "rest": 0.1}
    assert recipe(collapse="free-bits", free_bits=0.2, **settings).model.objective == FreeBits(0.2, cyclical)
    # Three epochs of one and one of the other: what comes first does not count.
    assert recipe(pretraining=1).model.objective == Elbo(DelayedSchedule(LinearAnnealing(1.0, 0.25), 0.25))
    assert recipe(deletion=0.6).model.corruption == TokenDeletion(0.6)
    assert isinstance(recipe(variational=False).model.prior, NoPrior)
    assert recipe().plan.batching == TokenBudget(200)
    assert [p.epochs for p in recipe(aggressive=2).plan.phases] == [2, 1]
    assert [p.epochs for p in recipe(aggressive=3, pretraining=4).plan.phases] == [3, 1, 3]


def test_word_dropout_counts_no_pretraining():
    made, _ = fitted(word_dropout=0.3, word_dropout_epochs=9, pretraining=2, aggressive=1)
    noise = made.model.corruption
    assert isinstance(noise, WordDropout)
    assert noise.over == 3


@FORMS
def test_pretraining_draws_the_decoder_anew_and_keeps_the_encoder(form):
    start = weights(recipe(form=form, pretraining=3).model)
    before, after = (weights(fitted({"until": until}, form=form, pretraining=3)[0].model) for until in (2, 3))
    moved = {name: (after[name] - before[name]).abs().max() for name in after}
    distance = {name: (after[name] - start[name]).abs().max() for name in after}
    # One epoch moves a weight a little; what was drawn anew is somewhere else altogether.
    assert distance["decoder.shown.table"] > 0.1 < moved["decoder.shown.table"]
    assert distance["readout.weight"] > 0.3 < moved["readout.weight"]
    for name in ("encoder.table", "bottleneck.mean.weight"):
        assert 0 < moved[name] < 0.1
        assert distance[name] > 0
    # Every run draws the same decoder.
    assert same(after, weights(fitted({"until": 3}, form=form, pretraining=3)[0].model))


@pytest.mark.slow
@pytest.mark.parametrize(("form", "until"), [("transformer", 1), ("transformer", 2), ("transformer", 3), ("lstm", 2)])
def test_resumed_it_ends_as_if_uninterrupted(form, until, tmp_path):
    settings = {"form": form, "pretraining": 2, "epochs": 2, "word_dropout": 0.3, "aggressive": 1, "dropout": 0.2}
    settings["tied"] = until == 2
    whole, _ = fitted(**settings)
    fitted({"checkpoints": tmp_path, "every": 1, "until": until}, **settings)
    resumed, _ = fitted({"checkpoints": tmp_path, "every": 1, "resume": True}, **settings)
    assert same(weights(whole.model), weights(resumed.model))


@FORMS
@pytest.mark.parametrize("settings", [{}, {"variational": False}, {"pretraining": 1, "tied": True}])
def test_what_was_saved_is_rebuilt(form, settings):
    given = SMALL | {"form": form} | settings
    made, _ = fitted(**given)
    again = rebuild(sequence_vae, SIGNAL, given, weights(made.model))
    batch = source().batch(torch.arange(10))
    torch.testing.assert_close(again.encode(batch.inputs).point, made.model.encode(batch.inputs).point)
    torch.testing.assert_close(again.step(batch).log_likelihood, made.model.step(batch).log_likelihood)


@FORMS
def test_more_padding_changes_nothing(form):
    made, _ = fitted(form=form)
    rows = source(5)
    short = rows.batch(rows.lengths.argsort()[:2])
    whole = TokenRows(rows.ids[short.rows], rows.mask[short.rows])
    assert whole.ids.shape[1] > short.inputs.ids.shape[1]
    padded = made.model.step(Batch(short.rows, whole, whole))
    torch.testing.assert_close(padded.log_likelihood, made.model.step(short).log_likelihood)
    torch.testing.assert_close(padded.code.point, made.model.encode(short.inputs).point)


IMPOSSIBLE = [
    {"form": "gru"},
    {"form": "superposed"},
    {"pooling": "first"},
    {"collapse": "prayer"},
    {"annealing": "sudden"},
    {"decay": "sudden"},
    {"code": 0},
    {"hidden": 0},
    {"embedding": 0},
    {"layers": 0},
    {"heads": 0},
    {"heads": 3},
    {"epochs": 0},
    {"tokens": 0},
    {"dropout": 1.0},
    {"encoder_dropout": 1.0},
    {"form": "lstm", "tied": True, "embedding": 8},
    {"scale": 0.0},
    {"free_bits": -0.1},
    {"beta": -1.0},
    {"ramp": 0.0},
    {"ramp": 1.1},
    {"annealing": "cyclical", "cycles": 0},
    {"annealing": "cyclical", "rest": 0.9},
    {"pretraining": -1},
    {"aggressive": -1},
    {"aggressive": 4},
    {"aggressive": 1, "inner": 0},
    {"variational": False, "pretraining": 1},
    {"variational": False, "aggressive": 1},
    {"word_dropout": 1.1},
    {"word_dropout": 0.1, "word_dropout_epochs": 0},
    {"deletion": 1.0},
    {"deletion": -0.5},
    {"deletion": 0.5, "word_dropout": 0.5},
    {"learning_rate": 0.0},
    {"weight_decay": -1.0},
    {"patience": 0},
]


def test_settings_outside_their_range():
    taken = []
    for settings in IMPOSSIBLE:
        try:
            recipe(**settings)
        except SettingError:
            continue
        taken.append(settings)
    assert taken == []
