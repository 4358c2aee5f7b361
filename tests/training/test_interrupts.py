"""Ctrl-C and SIGTERM: the first ends a training between two steps, the second within one; the best weights are kept."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bag
from isthmus.models import ease, mult_vae
from isthmus.sources import BagSource
from isthmus.training import trainer
from isthmus.training.history import History
from isthmus.training.interrupts import StoppedError, interruptible, saving
from isthmus.training.progress import NoProgress, Record
from isthmus.training.run import Run, Validation

SOURCE = BagSource.from_csr(csr_array((np.random.default_rng(0).random((60, 20)) < 0.3).astype(np.float32)))
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def send(number: int, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


class Sending(NoProgress):
    """Sends signals at a step, counted over the whole training from 1."""

    def __init__(self, step: int, signals: list[int]) -> None:
        self.at, self.signals, self.steps = step, signals, 0

    def step(self, rows: int, loss: float) -> None:
        self.steps += 1
        if self.steps == self.at:
            for number in self.signals:
                send(number)


def train(progress: NoProgress, score: Callable[[int], float] | None = lambda epoch: -epoch) -> tuple[History, bool]:
    """The history of a training of 3 steps an epoch, and whether the weights are those of the best epoch."""
    generator = torch.Generator().manual_seed(0)
    recipe = mult_vae(Bag(20), generator=generator, hidden=8, code=4, epochs=50, batch_size=20)
    seen: list[dict[str, Tensor]] = []

    def scored(model: nn.Module) -> float:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        assert score is not None
        return float(score(len(seen)))

    validation = None if score is None else Validation("known", scored)
    history = recipe.fit(SOURCE, Run(device="cpu", progress=progress), validation)
    kept = seen[history.best_epoch - 1] if history.best_epoch else {}
    return history, all(torch.equal(tensor, kept[n]) for n, tensor in recipe.model.state_dict().items() if n in kept)


@BOTH
def test_the_first_signal_ends_the_training_and_keeps_the_best_epoch(number: int, capsys: Any) -> None:
    history, best = train(Sending(8, [number]))
    assert (history.interrupted, len(history.records), history.best_epoch, best) == (True, 2, 1, True)
    said = capsys.readouterr().err
    assert said.startswith("finishing: keeping the best model so far (epoch 1)")
    assert ("press again" in said) == (number == signal.SIGINT)


@BOTH
def test_the_second_one_gives_up_the_step_and_the_best_weights_are_still_kept(number: int) -> None:
    progress = Sending(8, [number, number])
    history, best = train(progress)
    assert progress.steps == 8
    assert (history.interrupted, len(history.records), history.best_epoch, best) == (True, 2, 1, True)


def test_the_two_may_be_of_both_sorts() -> None:
    history, best = train(Sending(5, [signal.SIGINT, signal.SIGTERM]))
    assert (history.interrupted, len(history.records), best) == (True, 1, True)


def test_the_third_one_is_an_exception(capsys: Any) -> None:
    with interruptible() as stop:
        send(signal.SIGINT, 2)
        assert stop.signals == 2
        assert "a third signal" in capsys.readouterr().err
        with pytest.raises(StoppedError) as caught:
            send(signal.SIGTERM)
    assert caught.value.status == 143


def test_a_second_one_while_an_epoch_is_scored_drops_that_epoch() -> None:
    def score(epoch: int) -> float:
        if epoch == 2:
            send(signal.SIGINT, 2)
        return float(epoch)

    history, best = train(NoProgress(), score)
    assert (history.interrupted, len(history.records), history.best_epoch, best) == (True, 1, 1, True)


def test_before_the_first_epoch_there_is_nothing_and_the_answer_says_so(capsys: Any) -> None:
    history, _ = train(Sending(1, [signal.SIGINT]))
    assert (history.interrupted, history.records) == (True, [])
    assert "no epoch is finished yet" in capsys.readouterr().err


def test_a_first_epoch_that_went_far_enough_is_scored_and_kept(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(trainer, "FEWEST_STEPS", 2)
    history, best = train(Sending(2, [signal.SIGINT]))
    assert (history.interrupted, history.epochs, history.best_epoch, best) == (True, 0, 1, True)
    assert history.part == pytest.approx(2 / 3)
    assert "known" in history.records[0]
    assert "finishing: keeping the model as it is (in its first epoch)" in capsys.readouterr().err


def test_a_later_one_is_kept_where_it_is_better(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(trainer, "FEWEST_STEPS", 2)
    history, best = train(Sending(5, [signal.SIGINT]), lambda epoch: epoch)
    assert (history.epochs, history.best_epoch, best) == (1, 2, True)
    assert "(epoch 1), or what it is now if that is better" in capsys.readouterr().err
    history, best = train(Sending(5, [signal.SIGINT]), lambda epoch: -epoch)
    assert (history.epochs, history.best_epoch, best) == (1, 1, True)


def test_a_second_signal_keeps_it_without_a_score(monkeypatch: Any) -> None:
    monkeypatch.setattr(trainer, "FEWEST_STEPS", 2)
    history, _ = train(Sending(2, [signal.SIGINT, signal.SIGINT]))
    (record,) = history.records
    assert (history.epochs, history.best_epoch, "known" in record) == (0, None, False)
    assert float(record["seconds"]) > 0


def test_without_scores_the_last_weights_are_kept(capsys: Any) -> None:
    history, _ = train(Sending(7, [signal.SIGINT]), None)
    assert (history.interrupted, len(history.records), history.best_epoch) == (True, 2, None)
    assert "keeping the model as it is (after epoch 2)" in capsys.readouterr().err


def test_what_is_solved_at_once_is_an_exception_before_it_is_solved() -> None:
    class Early(NoProgress):
        def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
            send(signal.SIGINT)

    with interruptible() as stop, pytest.raises(StoppedError) as caught:
        ease(Bag(20), generator=torch.Generator()).fit(SOURCE, Run(device="cpu", progress=Early()))
    assert stop.requested
    assert caught.value.status == 130


def test_solved_and_not_scored_is_kept_without_a_score() -> None:
    def score(model: nn.Module) -> float:
        send(signal.SIGINT)
        return 1.0

    recipe = ease(Bag(20), generator=torch.Generator())
    history = recipe.fit(SOURCE, Run(device="cpu"), Validation("known", score))
    assert (history.interrupted, history.best_score, len(history.records)) == (True, None, 1)
    assert recipe.model.weights.any()


def test_one_answers_for_all_that_are_inside_of_it() -> None:
    with interruptible() as outer:
        with interruptible() as inner:
            assert inner is outer
        train(Sending(2, [signal.SIGINT]))
        assert outer.requested
        assert not outer.optional(lambda: pytest.fail("this was to be left out"))
        assert train(NoProgress())[0].interrupted


def test_what_comes_afterwards_is_given_up_by_the_first_signal(capsys: Any) -> None:
    done: list[str] = []

    def long() -> None:
        done.append("begun")
        send(signal.SIGTERM)
        done.append("ended")

    with interruptible() as stop, stop.telling(lambda: "keeping it, without codes"):
        assert stop.optional(lambda: done.append("first"))
        assert not stop.optional(long)
        assert not stop.optional(lambda: done.append("never"))
    assert done == ["first", "begun"]
    assert capsys.readouterr().err == "finishing: keeping it, without codes\n"


def test_what_is_held_comes_to_its_end() -> None:
    done: list[str] = []

    def work() -> None:
        with stop.held():
            send(signal.SIGINT, 2)
            done.append("whole")
        done.append("never")

    with interruptible() as stop:
        assert not stop.attempt(work)
    assert done == ["whole"]


def test_around_a_fit_and_its_save_a_signal_waits_only_once_the_fit_has_begun() -> None:
    with saving(), pytest.raises(StoppedError):
        send(signal.SIGINT)
    with saving() as stop:
        train(Sending(1, [signal.SIGINT]), None)
        send(signal.SIGINT)
        assert stop.signals == 2


def test_a_handler_of_somebody_else_stays() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        history, _ = train(Sending(5, [signal.SIGTERM, signal.SIGINT]))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
    assert len(history.records) == 1


def test_outside_the_main_thread_nothing_is_caught() -> None:
    seen: list[Any] = []

    def work() -> None:
        with interruptible() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]


def test_progress_is_called_in_order_also_where_it_is_cut_off() -> None:
    calls: list[str] = []

    class Told(Sending):
        def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
            calls.append(f"start {epochs}")

        def step(self, rows: int, loss: float) -> None:
            calls.append("step")
            super().step(rows, loss)

        def epoch(self, record: Record) -> None:
            calls.append(f"epoch {record['epoch']}")

        def stop(self) -> None:
            calls.append("stop")

    train(Told(5, [signal.SIGINT, signal.SIGINT]))
    assert calls == ["start 50", "step", "step", "step", "epoch 1", "step", "step", "stop"]
