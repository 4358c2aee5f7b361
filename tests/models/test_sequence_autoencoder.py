"""The sequence autoencoder: the sequence VAE without its posterior, with settings of its own."""

import inspect

import torch

from isthmus.batch import Tokens
from isthmus.bundle.tensors import state_of
from isthmus.core.priors.normal import NoPrior
from isthmus.models import keywords_of, sequence_autoencoder, sequence_vae
from isthmus.models.recipes.rebuild import rebuild
from isthmus.training.run import Run

SIGNAL = Tokens(20, 9)


def made(builder=sequence_autoencoder, **settings):
    small = {"hidden": 16, "code": 8, "heads": 2, "layers": 1}
    return builder(SIGNAL, generator=Run(seed=3).generator(), **(small | settings))


def test_codes_are_points():
    model = made().model
    assert isinstance(model.prior, NoPrior)
    for form in ("lstm", "transformer", "superposed"):
        again = made(form=form)
        assert rebuild(sequence_autoencoder, SIGNAL, settings(form=form), state_of(again.model))


def test_every_setting_reaches_the_sequence_vae():
    own = keywords_of(sequence_autoencoder)
    assert set(own) <= set(keywords_of(sequence_vae)) | {"noise"}
    given = settings(form="lstm") | {"embedding": 6, "dropout": 0.3, "deletion": 0.2, "tokens": 99, "epochs": 3}
    given |= {"learning_rate": 0.1, "decay": "constant", "weight_decay": 0.5, "clip": 2.0, "patience": 4}
    ours = sequence_autoencoder(SIGNAL, generator=Run(seed=3).generator(), **given)
    same = {name: value for name, value in given.items() if name in keywords_of(sequence_vae)}
    theirs = sequence_vae(SIGNAL, generator=Run(seed=3).generator(), variational=False, **same)
    assert ours.plan == theirs.plan
    kept = state_of(theirs.model)
    assert all(torch.equal(tensor, kept[name.replace("inner.", "")]) for name, tensor in state_of(ours.model).items())


def settings(**more):
    defaults = {name: keyword.default for name, keyword in keywords_of(sequence_autoencoder).items()}
    assert inspect.Parameter.empty not in defaults.values()
    return defaults | {"hidden": 16, "code": 8, "heads": 2, "layers": 1} | more
