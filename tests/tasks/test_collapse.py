from __future__ import annotations

import pytest
import torch
from linear_gaussian import LOADS, draws, generator, linear_gaussian, true_information, true_log_prob

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.errors import InputError, SettingError
from isthmus.metrics.codes import MutualInformation
from isthmus.sources import VectorSource
from isthmus.tasks.collapse import Diagnosis, diagnose


def source(n=2000):
    return VectorSource(draws(n))


def collapsed():
    """The posterior is the prior, whatever the record."""
    model = linear_gaussian()
    with torch.no_grad():
        for part in model.bottleneck.parameters():
            part.zero_()
    return model


def healthy(**changes):
    given = {"nll": 9.0, "rate": 5.0, "active": 20, "clearly_active": 9, "code": 32}
    return Diagnosis(**(given | {"information": MutualInformation(4.0, 1000)} | changes))


def test_a_model_that_is_known():
    found = diagnose(linear_gaussian(), source(), generator=generator())
    assert found.code == len(LOADS)
    assert found.rate == pytest.approx(true_information(), abs=0.1)
    assert found.information.nats == pytest.approx(true_information(), abs=0.15)
    assert found.information.records == 2000
    # With the true posterior the ELBO is the log-likelihood.
    assert found.nll + found.rate == pytest.approx(-true_log_prob(draws(2000)).mean().item(), abs=0.1)
    # Variances of the means are |W|² / (|W|² + s²): 0.94, 0.8, 0.5.
    assert (found.active, found.clearly_active) == (3, 3)
    assert found.warning() is None


def test_a_posterior_that_has_collapsed():
    found = diagnose(collapsed(), source(300), generator=generator())
    assert found.rate == pytest.approx(0, abs=1e-6)
    assert found.active == 0
    assert found.information.nats == pytest.approx(0, abs=1e-6)
    words = found.warning()
    assert words is not None
    assert "has collapsed" in words
    assert "0.00 nats per record, 0 of 3 dimensions are active" in words
    assert "free bits" in words
    named = found.warning(["collapse='batch-norm'", "word_dropout=0.3"])
    assert named is not None
    assert named.endswith("change collapse='batch-norm' or word_dropout=0.3")


def test_each_sign_of_collapse_is_enough():
    assert healthy().warning() is None
    assert "rate is 0.04" in (healthy(rate=0.04).warning() or "")
    assert "3 of 32" in (healthy(active=3).warning() or "")
    assert healthy(active=4).warning() is None
    assert "mutual information with the record is 0.02 nats" in (
        healthy(information=MutualInformation(0.02, 1000)).warning() or ""
    )
    # Two records cannot share much.
    assert healthy(information=MutualInformation(0.02, 2)).warning() is None
    assert (healthy(rate=0.0).warning(()) or "").endswith("0.00 nats per record")


def test_some_of_the_records():
    few = diagnose(linear_gaussian(), source(), generator=generator(), records=100, batch_size=7)
    again = diagnose(linear_gaussian(), source(), generator=generator(), records=100, batch_size=7)
    other = diagnose(linear_gaussian(), source(), generator=generator(1), records=100, batch_size=7)
    assert few.information.records == 100
    assert few == again != other
    assert diagnose(linear_gaussian(), source(50), generator=generator(), records=100).information.records == 50


def test_the_mode_of_every_part_is_as_before():
    model = linear_gaussian().train()
    model.decoder.eval()
    before = {name: part.training for name, part in model.named_modules()}
    seen = []
    step = model.step
    model.step = lambda *args, **settings: seen.append(model.training) or step(*args, **settings)
    diagnose(model, source(10), generator=generator())
    assert seen == [False]
    assert {name: part.training for name, part in model.named_modules()} == before
    with pytest.raises(InputError):
        diagnose(model, source(1), generator=generator())
    assert {name: part.training for name, part in model.named_modules()} == before


def test_what_cannot_be_diagnosed():
    model = linear_gaussian()
    with pytest.raises(SettingError, match="batch_size is 0"):
        diagnose(model, source(10), generator=generator(), batch_size=0)
    with pytest.raises(InputError, match="1 records"):
        diagnose(model, source(10), generator=generator(), records=1)
    plain = Autoencoder(
        encoder=model.encoder,
        bottleneck=Deterministic(),
        decoder=lambda sample, given: sample[:, : len(LOADS)],
        readout=model.readout,
        likelihood=model.likelihood,
    )
    with pytest.raises(SettingError, match="a diagonal Gaussian"):
        diagnose(plain, source(10), generator=generator())
