"""The loop: the same seed, the best weights, phases, early stopping, checkpoints, and what goes wrong."""

import json

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.core.objectives.schedules import LinearAnnealing
from isthmus.errors import BudgetError, InputError, NonFiniteLossError, SettingError, TrainingError
from isthmus.models import mult_dae, mult_vae
from isthmus.protocols import Hook, Phase
from isthmus.sources import BagSource
from isthmus.training import run as run_module
from isthmus.training.batching import Shuffled
from isthmus.training.checkpoint import CheckpointStore
from isthmus.training.history import History
from isthmus.training.plan import Plan
from isthmus.training.run import LEAST_WORK, Run, Validation
from isthmus.training.trainer import train

WIDTH = 25


def source(rows=40):
    dense = (np.random.default_rng(0).random((rows, WIDTH)) < 0.3).astype(np.float32)
    return BagSource.from_csr(csr_array(dense))


def recipe(builder=mult_vae, **settings):
    small = {"hidden": 8} if builder is mult_vae else {}
    return builder(Bag(WIDTH), generator=Run(seed=7).generator(), code=4, batch_size=16, **(small | settings))


def weights(model):
    return {name: tensor.clone() for name, tensor in state_of(model).items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Watch:
    """A validation whose scores are known in advance, and that remembers the weights it saw."""

    def __init__(self, scores, **options):
        self.scores, self.seen = list(scores), []
        self.validation = Validation("known", self.score, **options)

    def score(self, model):
        self.seen.append(weights(model))
        return self.scores[len(self.seen) - 1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(precision):
    def trained(seed):
        made = recipe(epochs=3)
        made.fit(source(), Run(device="cpu", seed=seed, precision=precision))
        return weights(made.model)

    assert same(trained(1), trained(1))
    assert not same(trained(1), trained(2))


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    recipe(epochs=1).fit(source(), Run(device="cpu"))
    assert torch.equal(torch.rand(1), expected)


def test_training_lowers_the_loss():
    history = recipe(mult_dae, epochs=30, learning_rate=0.01).fit(source(), Run(device="cpu"))
    assert history.records[-1]["nll"] < 0.95 * history.records[0]["nll"]
    assert [record["epoch"] for record in history.records] == list(range(1, 31))


def test_the_best_weights_are_kept():
    watch, made = Watch([1, 5, 2, 5, 3]), recipe(epochs=5)
    history = made.fit(source(), Run(device="cpu"), watch.validation)
    assert (history.best_epoch, history.best_score) == (2, 5)
    assert same(weights(made.model), watch.seen[1])
    assert not same(watch.seen[1], watch.seen[4])


def test_patience_ends_training():
    watch, made = Watch([1, 2, 1, 1, 1, 9]), recipe(epochs=6, patience=3)
    history = made.fit(source(), Run(device="cpu"), watch.validation)
    assert history.stopped_early
    assert len(history.records) == 5


def test_scores_may_be_taken_every_few_epochs():
    watch, made = Watch([4, 3], every=2), recipe(epochs=5)
    history = made.fit(source(), Run(device="cpu"), watch.validation)
    assert len(watch.seen) == 2
    assert history.best_epoch == 2


@pytest.mark.slow
def test_annealing_does_not_depend_on_the_batch_size():
    """β at the end of each epoch is the same whether an epoch takes 3 steps or 40."""

    def betas(batch_size):
        made = recipe(epochs=4, beta=0.2, annealing=0.85)
        seen = []
        annealing = LinearAnnealing(0.2, 0.85)
        made.model.objective = lambda step, rate, progress: (
            seen.append(annealing(step, progress)) or -step.log_likelihood.mean()
        )
        plan = Plan((Phase(4),), batching=Shuffled(batch_size))
        train(made.model, source(), plan, Run(device="cpu"))
        steps = len(seen) // 4
        return [seen[epoch * steps] for epoch in range(4)]

    assert betas(16) == pytest.approx(betas(1))
    assert betas(16)[1] == pytest.approx(0.2 * 0.25 / 0.85)


def test_cosine_decay_reaches_nothing_and_constant_does_not_decay():
    made = recipe(epochs=1)
    plan = Plan((Phase(4),), batching=Shuffled(16), decay="cosine", learning_rate=0.01)
    rates = [r["learning_rate"] for r in train(made.model, source(), plan, Run(device="cpu")).records]
    assert rates == pytest.approx([0.01 * (1 + np.cos(np.pi * p)) / 2 for p in (0.25, 0.5, 0.75, 1)], abs=1e-9)


def test_clipping_bounds_the_step():
    def moved(clip):
        made = recipe(mult_dae, epochs=1)
        norms = []

        def note(model):
            norms.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item())

        plan = Plan((Phase(1, hooks=(Hook("step", note),)),), batching=Shuffled(16), clip=clip)
        train(made.model, source(), plan, Run(device="cpu", precision="fp32"))
        return max(norms)

    assert moved(None) > 0.5
    assert moved(0.1) <= 0.1001


def test_weight_decay_is_the_gradient_of_an_l2_penalty_on_matrices():
    """Where the loss has no gradient, only matrices shrink: Adam's first step is the learning rate times the sign."""
    made = recipe(mult_dae, epochs=1, weight_decay=0.25, learning_rate=0.01)
    made.model.objective = lambda step, rate, progress: 0.0 * step.log_likelihood.mean()
    before = weights(made.model)
    made.fit(source(16), Run(device="cpu", precision="fp32"))
    for name, tensor in weights(made.model).items():
        step = 0.01 * before[name].sign() if tensor.ndim > 1 else torch.zeros_like(tensor)
        torch.testing.assert_close(tensor, before[name] - step, atol=1e-4, rtol=0)


def test_a_non_finite_loss_stops_with_the_best_weights(tmp_path):
    made, watch = recipe(epochs=9), Watch([1, 2, 3, 4])
    fine = made.model.objective

    def breaks(step, rate, progress):
        return fine(step, rate, progress) * (float("nan") if progress > 0.4 else 1)

    made.model.objective = breaks
    with pytest.raises(NonFiniteLossError, match=r"nan in epoch 4.*learning rate") as error:
        made.fit(source(), Run(device="cpu", checkpoints=tmp_path, every=1), watch.validation)
    assert str(tmp_path) in str(error.value)
    assert same(weights(made.model), watch.seen[-1])
    assert sorted(p.name for p in tmp_path.glob("epoch-*")) == ["epoch-000002", "epoch-000003"]


def test_a_device_without_room_for_a_step_ends_it_with_the_best_weights(tmp_path):
    made, watch = recipe(epochs=9), Watch([1, 2, 3, 4])
    fine = made.model.objective

    def full(step, rate, progress):
        if progress > 0.4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return fine(step, rate, progress)

    made.model.objective = full
    with pytest.raises(BudgetError, match=r"cpu has too little memory.*smaller batch.*checkpoints are in") as error:
        made.fit(source(), Run(device="cpu", checkpoints=tmp_path, every=1), watch.validation)
    assert isinstance(error.value.__cause__, torch.OutOfMemoryError)
    assert same(weights(made.model), watch.seen[-1])


@pytest.mark.parametrize("stop_after", [2, 3, 5])
def test_a_resumed_training_ends_bit_for_bit_where_an_uninterrupted_one_does(tmp_path, stop_after):
    scores = [1, 4, 2, 3, 5, 0]
    whole, watch = recipe(epochs=6), Watch(scores)
    expected = whole.fit(source(), Run(device="cpu", seed=3), watch.validation)

    class KilledError(Exception):
        pass

    def dies(model):
        if len(cut.seen) >= stop_after:
            raise KilledError
        return cut.score(model)

    cut, again = Watch(scores), recipe(epochs=6)
    options = {"device": "cpu", "seed": 3, "checkpoints": tmp_path, "every": 1}
    with pytest.raises(KilledError):
        again.fit(source(), Run(**options), Validation("known", dies))
    fresh, rest = recipe(epochs=6), Watch(scores[stop_after:])
    history = fresh.fit(source(), Run(**options, resume=True), rest.validation)
    assert same(weights(fresh.model), weights(whole.model))
    assert [r["loss"] for r in history.records] == [r["loss"] for r in expected.records]
    assert history.best_epoch == expected.best_epoch


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    options = {"device": "cpu", "checkpoints": tmp_path, "every": 1}
    recipe(epochs=4).fit(source(), Run(**options))
    expected = recipe(epochs=4)
    expected.fit(source(), Run(device="cpu"))
    newest = tmp_path / "epoch-000004" / "weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    made = recipe(epochs=4)
    history = made.fit(source(), Run(**options, resume=True))
    assert len(history.records) == 4
    assert same(weights(made.model), weights(expected.model))
    for directory in tmp_path.glob("epoch-*"):
        (directory / "manifest.json").write_text("{}")
    with pytest.raises(TrainingError, match="damaged"):
        recipe(epochs=4).fit(source(), Run(**options, resume=True))


def kept(folder):
    return sorted(path.name for path in folder.iterdir())


def test_best_weights_stay_while_a_checkpoint_needs_them(tmp_path):
    """The newest checkpoint has another best epoch than the one before it, which may be the one to go on from."""
    options = {"device": "cpu", "checkpoints": tmp_path, "every": 1}
    scores, whole = [3, 1, 2, 4, 0], Watch([3, 1, 2, 4, 0])
    expected = recipe(epochs=5)
    expected.fit(source(), Run(device="cpu"), whole.validation)
    watch = Watch(scores)
    recipe(epochs=5).fit(source(), Run(**options, until=4), watch.validation)
    assert kept(tmp_path) == ["best-000001", "best-000004", "epoch-000003", "epoch-000004"]
    weights_file = tmp_path / "best-000004" / "weights.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-4] + b"\0\0\0\0")
    again, rest = recipe(epochs=5), Watch(scores[3:])
    history = again.fit(source(), Run(**options, resume=True), rest.validation)
    assert history.best_epoch == 4
    assert same(weights(again.model), weights(expected.model))


def test_without_checkpoints_only_the_best_weights_are_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = []

    def score(model):
        found.append(sorted(path.parent.name for path in tmp_path.rglob("weights.safetensors")))
        return float(len(found))

    recipe(epochs=3).fit(source(), Run(device="cpu"), Validation("rising", score))
    assert found == [[], ["best-000001"], ["best-000002"]]
    assert kept(tmp_path) == []


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_what_the_system_cannot_do_never_makes_resume_fall_back(tmp_path, monkeypatch, error):
    options = {"device": "cpu", "checkpoints": tmp_path, "every": 1}
    recipe(epochs=2).fit(source(), Run(**options))

    def fails(*_, **__):
        raise error

    monkeypatch.setattr("isthmus.bundle.bundle.load_file", fails)
    with pytest.raises(type(error)):
        recipe(epochs=2).fit(source(), Run(**options, resume=True))


def test_a_full_disk_is_the_error_that_ends_the_training(tmp_path, monkeypatch):
    """Not what goes wrong while the best weights are put back."""
    watch, made = Watch([1, 2, 3]), recipe(epochs=3)
    real = CheckpointStore.keep_best

    def full(store, epoch, model):
        if epoch == 2:
            raise OSError(28, "No space left on device", "place")
        real(store, epoch, model)

    monkeypatch.setattr(CheckpointStore, "keep_best", full)
    with pytest.raises(OSError, match="No space left"):
        made.fit(source(), Run(device="cpu", checkpoints=tmp_path), watch.validation)
    assert same(weights(made.model), watch.seen[0])


@pytest.mark.parametrize(
    ("scores", "best", "done"),
    [([float("nan"), 1, 2, float("nan"), 1], 3, 5), ([float("nan")] * 5, None, 2), ([1, float("inf"), 0, 0, 0], 1, 3)],
)
def test_a_score_that_is_no_number_is_never_the_best(scores, best, done):
    made = recipe(epochs=5, patience=2)
    history = made.fit(source(), Run(device="cpu"), Watch(scores).validation)
    assert (history.best_epoch, len(history.records)) == (best, done)
    json.dumps(history.to_json(), allow_nan=False)
    again = History.from_json(json.loads(json.dumps(history.to_json())))
    assert np.isnan(again.records[0]["known"]) == np.isnan(scores[0])


def test_a_checkpoint_of_another_plan_is_refused(tmp_path):
    recipe(epochs=2).fit(source(), Run(device="cpu", checkpoints=tmp_path, every=1))
    with pytest.raises(SettingError, match="another training"):
        recipe(epochs=3).fit(source(), Run(device="cpu", checkpoints=tmp_path, resume=True))


def test_a_new_training_does_not_mix_with_an_earlier_one(tmp_path):
    recipe(epochs=2).fit(source(), Run(device="cpu", checkpoints=tmp_path, every=1))
    kept = sorted(tmp_path.iterdir())
    with pytest.raises(SettingError, match="earlier training"):
        recipe(epochs=2).fit(source(), Run(device="cpu", checkpoints=tmp_path))
    assert sorted(tmp_path.iterdir()) == kept


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="without rows"):
        recipe(epochs=1).fit(BagSource.from_csr(csr_array((0, WIDTH), dtype=np.float32)), Run(device="cpu"))
    for wrong in ({"device": "tpu"}, {"precision": "int4"}, {"resume": True}, {"every": 0}):
        with pytest.raises(SettingError):
            Run(**wrong)
    for wrong in (
        {"phases": ()},
        {"phases": (Phase(1),), "learning_rate": -1.0},
        {"phases": (Phase(1),), "decay": "x"},
    ):
        with pytest.raises(SettingError):
            Plan(**wrong)
    with pytest.raises(SettingError, match="batch size"):
        Shuffled(0)
    with pytest.raises(SettingError, match="code=0"):
        mult_vae(Bag(3), generator=Run().generator(), code=0)


@pytest.mark.gpu
def test_trains_on_cuda():
    made = recipe(epochs=3)
    history = made.fit(source(), Run(device="cuda"))
    assert history.records[-1]["nll"] < history.records[0]["nll"]
    assert next(made.model.parameters()).is_cuda


@pytest.mark.parametrize(("precision", "work", "dtype"), [
    ("auto", LEAST_WORK, torch.bfloat16), ("auto", LEAST_WORK - 1, torch.float32), ("bf16", 1, torch.bfloat16),
    ("fp32", LEAST_WORK, torch.float32),
])  # fmt: skip
def test_small_products_stay_in_full_precision(monkeypatch, precision, work, dtype):
    monkeypatch.setattr(run_module, "multiplies_bf16", lambda device: True)
    with Run(device="cpu", precision=precision).products(work):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
