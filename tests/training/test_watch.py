"""What a validation watches besides its score, phases without a score, and an optimiser that forgets."""

import numpy as np
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.models import ease, mult_dae
from isthmus.protocols import Hook, Phase
from isthmus.sources import BagSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train

WIDTH = 10


def source(rows=24):
    return BagSource.from_csr(csr_array((np.random.default_rng(0).random((rows, WIDTH)) < 0.4).astype(np.float32)))


def model(**settings):
    return mult_dae(Bag(WIDTH), generator=Run().generator(), code=3, batch_size=8, **settings)


def test_what_is_watched_is_in_the_record_and_decides_nothing():
    calls = []

    def score(m):
        calls.append(("score", m.training))
        return -len(calls)

    def watch(m):
        calls.append(("watch", m.training))
        return {"active": len(calls)}

    history = model(epochs=4).fit(source(), Run(device="cpu"), Validation("known", score, 2, watch))
    assert calls == [("score", False), ("watch", False)] * 2
    assert [record.get("active") for record in history.records] == [None, 2, None, 4]
    assert (history.best_epoch, history.best_score) == (2, -1)


def test_models_that_are_solved_are_watched_too():
    made = ease(Bag(WIDTH), generator=Run().generator())
    history = made.fit(source(), Run(device="cpu"), Validation("known", lambda m: 1.0, watch=lambda m: {"more": 2.0}))
    assert (history.records[0]["known"], history.records[0]["more"]) == (1.0, 2.0)


def test_a_phase_without_a_score_has_no_best_epoch_and_no_patience():
    plan = Plan((Phase(3, validate=False), Phase(3)), Shuffled(8), patience=2)
    history = train(model().model, source(), plan, Run(device="cpu"), Validation("known", lambda m: 1.0))
    assert ["known" in record for record in history.records] == [False] * 3 + [True] * 3
    assert history.best_epoch == 4
    assert len(history.records) == 6


def test_moments_are_forgotten_where_a_hook_says_so():
    """Adam's first step is the learning rate times a sign; so is the first one after it forgot, if nothing decays."""
    made = model().model
    marks = []

    def mark(m):
        marks.append({name: p.clone() for name, p in m.named_parameters()})

    forget = Hook("epoch", lambda m: None, reset_optimizer=("readout",))
    plan = Plan((Phase(1, hooks=(forget,)), Phase(1)), Shuffled(8), learning_rate=0.01)
    made.hooks = (Hook("step", mark),)
    train(made, source(), plan, Run(device="cpu", precision="fp32"))
    after = {name: (marks[3][name] - marks[2][name]).abs() for name in marks[0]}
    torch.testing.assert_close(after["readout.weight"], torch.full((WIDTH, 3), 0.01), atol=1e-5, rtol=0)
    assert (after["encoder.table"] - 0.01).abs().max() > 1e-3
