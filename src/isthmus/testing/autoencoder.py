"""Contract tests for the face of a domain: the same methods, argument names, defaults and results in all domains, and
typed errors for everything that is not supported. It is also the specification of a face. Derive a test class for a new
face:

class TestFrames(AutoencoderContract):
    face = FrameAutoencoder
    settings = {"code": 3, "hidden": 16, "epochs": 2}

    def records(self, count, seed=0):
        return Frames.of(waves(count, seed))

    def foreign(self):
        return Frames.of(np.zeros((2, 7)))
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch

from isthmus.errors import BundleError, InputError, IsthmusError, SettingError
from isthmus.training.run import Run

VERBS: Mapping[str, Mapping[str, Any]] = {
    "fit": {"validation": 0.1, "contamination": 0.05, "gallery": True, "run": None},
    "encode": {},
    "decode": {"seed": 0},
    "reconstruct": {"seed": 0},
    "sample": {"seed": 0, "prior": "fitted"},
    "interpolate": {"steps": 7, "seed": 0},
    "search": {"k": 10},
    "with_gallery": {"codes": None},
    "anomaly_scores": {},
    "is_anomaly": {},
    "evaluate": {"samples": 0, "seed": 0},
    "save": {},
    "load": {},
}
"""The methods of a face, with the arguments that they have in every domain and their defaults."""

RUN = Run(device="cpu", precision="fp32")
TRAINED_ON = 80
"""Number of training records: enough to hold some out, and for a fitted prior."""


class AutoencoderContract(ABC):
    """Tests for one face.

    Attributes:
        face: the class under test.
        model: a builder without a prior of its own.
        variational: a builder with a prior; None if the domain has none.
        settings: keywords that make both models small and fast to train.
        fit_options: further arguments of ``fit``.
    """

    face: ClassVar[type[Any]]
    model: ClassVar[str] = "vanilla"
    variational: ClassVar[str | None] = "variational"
    settings: ClassVar[Mapping[str, Any]] = {"epochs": 1}
    fit_options: ClassVar[Mapping[str, Any]] = {}

    _fitted: ClassVar[dict[tuple[Any, ...], Any]] = {}

    @abstractmethod
    def records(self, count: int, seed: int = 0) -> Any:
        """Create ``count`` different records, in any form that the face accepts. The same count and seed give the same
        records, and a smaller count the first of them."""

    @abstractmethod
    def foreign(self) -> Any:
        """An input that ``encode`` must refuse after training on ``records``."""

    def fitted(self, model: str | None = None, **options: Any) -> Any:
        """A face trained on ``records(TRAINED_ON)``, once for each choice of arguments."""
        key = (type(self), model, *sorted(options.items()))
        if key not in self._fitted:
            whole = {**self.fit_options, **self.settings, **options}
            self._fitted[key] = self.face.fit(self.records(TRAINED_ON), model or self.model, run=RUN, **whole)
        return self._fitted[key]

    # --- the form ----------------------------------------------------------------------------------------------------

    def test_verbs_have_the_same_arguments_everywhere(self) -> None:
        """Names and defaults are those of ``VERBS``; whatever a domain adds has a default too."""
        for verb, wanted in VERBS.items():
            parameters = inspect.signature(getattr(self.face, verb)).parameters
            found = {name: parameters[name].default for name in wanted if name in parameters}
            assert found == wanted, f"{verb} has {found}"
        assert isinstance(inspect.signature(self.face.fit).parameters["model"].default, str)

    def test_what_was_trained_can_be_read(self) -> None:
        """``code_width``, ``settings`` (all keywords of the builder, plain values) and ``history``, epoch by epoch."""
        model = self.fitted()
        assert isinstance(model.code_width, int)
        assert model.code_width >= 1
        assert is_plain(dict(model.settings))
        assert set(self.settings) <= set(model.settings), "settings lack what was given to fit"
        assert len(model.history.records) >= 1
        assert not model.history.interrupted

    def test_the_same_seed_gives_the_same_model(self) -> None:
        """Training draws from the run's seed alone."""
        again = self.face.fit(self.records(TRAINED_ON), self.model, run=RUN, **self.fit_options, **self.settings)
        asked = self.records(5, 1)
        assert np.array_equal(again.encode(asked), self.fitted().encode(asked))

    # --- codes and records -------------------------------------------------------------------------------------------

    def test_a_code_is_a_row_of_float32(self) -> None:
        """``encode`` yields [records, code_width] in the order of the records, the same at every call, and the same for
        a record whatever stands beside it."""
        model = self.fitted()
        codes = model.encode(self.records(6, 1))
        assert isinstance(codes, np.ndarray)
        assert codes.dtype == np.float32
        assert codes.shape == (6, model.code_width)
        assert np.array_equal(model.encode(self.records(6, 1)), codes)
        np.testing.assert_allclose(model.encode(self.records(2, 1)), codes[:2], rtol=1e-4, atol=1e-5)
        assert not np.allclose(codes[0], codes[1:])

    def test_reconstruction_is_decoding_the_codes(self) -> None:
        """``decode`` takes arrays and tensors, and yields one record a code."""
        model = self.fitted()
        codes = model.encode(self.records(3, 1))
        back = model.reconstruct(self.records(3, 1))
        assert len(back) == 3
        check_close(model.decode(codes), back)
        check_close(model.decode(torch.from_numpy(codes.copy())), back)
        check_close(model.decode(codes[1:2]), back[1:2])

    def test_interpolation_leads_from_one_record_to_the_other(self) -> None:
        """``steps`` records, 7 by default; the first and the last are the reconstructions of both ends."""
        model = self.fitted()
        a, b = self.records(1, 1), self.records(1, 2)
        way = model.interpolate(a, b)
        assert len(way) == 7
        check_close(way[:1], model.reconstruct(a))
        check_close(way[-1:], model.reconstruct(b))
        assert len(model.interpolate(a, b, 2)) == 2

    # --- new records -------------------------------------------------------------------------------------------------

    def test_samples_follow_their_seed(self) -> None:
        """``sample(n)`` yields n records; the same seed the same ones, another seed others."""
        model = self.fitted()
        drawn = model.sample(4, seed=1)
        assert len(drawn) == 4
        check_close(model.sample(4, seed=1), drawn)
        assert any(not is_close(model.sample(4, seed=seed), drawn) for seed in (2, 3, 4)), "the seed changes nothing"

    def test_samples_come_from_the_prior_that_was_asked_for(self) -> None:
        """``prior="standard"`` is the model's own; a model without one refuses it."""
        with pytest.raises(SettingError):
            self.fitted().sample(2, prior="standard")
        if self.variational is not None:
            assert len(self.fitted(self.variational).sample(3, prior="standard")) == 3

    # --- search ------------------------------------------------------------------------------------------------------

    def test_search_answers_each_query_with_one_list(self) -> None:
        """Also a single query. Hits are nearest first and have ``item``, ``row``, ``score`` and ``label``; a record
        that was trained on finds itself."""
        model = self.fitted()
        answers = model.search(self.records(3), 5)
        assert [len(hits) for hits in answers] == [5, 5, 5]
        assert len(model.search(self.records(1), 5)) == 1
        for hits in answers:
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert all(isinstance(hit.item, str) and isinstance(hit.row, int) for hit in hits)
            assert all(hit.label is None or isinstance(hit.label, str) for hit in hits)
        for row, hits in enumerate(answers):
            assert hits[0].row == row or hits[0].score == pytest.approx(hits[1].score, abs=1e-3), "not itself"

    def test_a_gallery_can_be_exchanged_or_left_out(self) -> None:
        """``with_gallery`` gives another face and leaves this one; ``codes`` spares encoding; ``fit(gallery=False)``
        keeps none, and then ``search`` is an ``InputError``."""
        model, others = self.fitted(), self.records(4, 1)
        before = model.search(self.records(2, 1), 3)
        changed = model.with_gallery(others)
        assert sorted(hit.row for hit in changed.search(self.records(1, 1), 99)[0]) == [0, 1, 2, 3]
        same = model.with_gallery(others, codes=model.encode(others))
        assert [hit.row for hit in same.search(others, 1)[0]] == [hit.row for hit in changed.search(others, 1)[0]]
        assert model.search(self.records(2, 1), 3) == before
        with pytest.raises(InputError):
            self.fitted(gallery=False, contamination=0.5).search(others)
        with pytest.raises(InputError):
            model.with_gallery(others, codes=model.encode(self.records(3, 1)))

    # --- anomalies ---------------------------------------------------------------------------------------------------

    def test_higher_scores_are_more_anomalous(self) -> None:
        """``anomaly_scores`` yields one float64 a record; ``is_anomaly`` says which exceed the threshold."""
        model, asked = self.fitted(), self.records(30, 1)
        scores, flags = model.anomaly_scores(asked), model.is_anomaly(asked)
        assert scores.dtype == np.float64
        assert scores.shape == flags.shape == (30,)
        assert flags.dtype == np.bool_
        assert np.isfinite(scores).all()
        assert np.array_equal(model.anomaly_scores(asked), scores)
        assert not flags.any() or flags.all() or scores[flags].min() > scores[~flags].max()

    def test_contamination_is_the_share_that_is_flagged(self) -> None:
        """Of normal records: about as many as were asked for."""
        few, half = self.fitted(), self.fitted(gallery=False, contamination=0.5)
        asked = self.records(TRAINED_ON)
        assert few.is_anomaly(asked).mean() < 0.3
        assert half.is_anomaly(asked).mean() > 0.15
        np.testing.assert_allclose(half.anomaly_scores(asked), few.anomaly_scores(asked), rtol=1e-4, atol=1e-4)

    # --- evaluation --------------------------------------------------------------------------------------------------

    def test_evaluation_is_a_document(self) -> None:
        """``evaluate`` yields figures whose ``to_json`` holds plain values, the same for the same seed; among them
        ``nll``. Importance samples need a posterior."""
        model, asked = self.fitted(), self.records(20, 1)
        document = model.evaluate(asked).to_json()
        assert is_plain(document), f"{document} holds more than JSON values"
        assert np.isfinite(document["nll"])
        assert model.evaluate(asked, seed=0).to_json() == document
        with pytest.raises(SettingError):
            model.evaluate(asked, samples=3)
        with pytest.raises(SettingError):
            model.evaluate(asked, samples=-1)

    # --- bundles -----------------------------------------------------------------------------------------------------

    def test_what_is_saved_answers_as_before(self, tmp_path: Path) -> None:
        """Every verb, and everything that can be read."""
        model, asked = self.fitted(), self.records(3, 1)
        model.save(tmp_path / "saved")
        again = self.face.load(tmp_path / "saved")
        assert (again.code_width, dict(again.settings)) == (model.code_width, dict(model.settings))
        assert again.history.records == model.history.records
        codes = model.encode(asked)
        assert np.array_equal(again.encode(asked), codes)
        asks: list[Callable[[Any], Any]] = [
            lambda face: face.decode(codes),
            lambda face: face.reconstruct(asked),
            lambda face: face.sample(2, seed=3),
            lambda face: face.interpolate(self.records(1, 1), self.records(1, 2), 3),
            lambda face: face.anomaly_scores(asked),
            lambda face: face.is_anomaly(asked),
        ]
        for ask in asks:
            check_close(ask(again), ask(model), exactly=True)
        assert again.search(asked, 4) == model.search(asked, 4)
        assert again.evaluate(asked).to_json() == model.evaluate(asked).to_json()

    def test_what_is_no_bundle_of_this_domain_is_refused(self, tmp_path: Path) -> None:
        """A bundle that is missing, damaged, or somebody else's is a ``BundleError``."""
        with pytest.raises(BundleError):
            self.face.load(tmp_path / "nothing")
        self.fitted().save(tmp_path / "saved")
        manifest = tmp_path / "saved" / "manifest.json"
        text = manifest.read_text(encoding="utf-8")
        plugin = json.loads(text)["plugin"]
        for wrong in (text[: len(text) // 2], text.replace(json.dumps(plugin), '"somebody-else"')):
            manifest.write_text(wrong, encoding="utf-8")
            with pytest.raises(BundleError):
                self.face.load(tmp_path / "saved")

    # --- what cannot be asked ----------------------------------------------------------------------------------------

    def test_wrong_settings_are_refused_by_name(self) -> None:
        """A ``SettingError``, before anything is trained or asked."""
        model, few = self.fitted(), self.records(TRAINED_ON)
        asked, codes = self.records(1, 1), self.fitted().encode(self.records(2, 1))
        fit = self.face.fit
        refused: list[Callable[[], Any]] = [
            lambda: fit(few, "no-such-model", **self.fit_options),
            lambda: fit(few, self.model, no_such_setting=1, **self.fit_options),
            *(lambda wrong=wrong: fit(few, self.model, **self.fit_options, **wrong) for wrong in WRONG_SHARES),
            lambda: model.sample(0),
            lambda: model.sample(2, prior="wild"),
            lambda: model.interpolate(asked, asked, 1),
            lambda: model.search(asked, 0),
            lambda: model.decode(codes, no_such_option=1),
        ]
        for ask in refused:
            with pytest.raises(SettingError):
                ask()

    def test_what_is_no_record_or_code_is_refused(self) -> None:
        """Anything that is neither a record nor a code raises ``InputError``."""
        model = self.fitted()
        width = model.code_width
        for wrong in (np.zeros((2, width + 1)), np.zeros(width), np.full((1, width), np.nan), [["a"] * width]):
            with pytest.raises(InputError):
                model.decode(wrong)
        two, one = self.records(2, 1), self.records(1, 1)
        with pytest.raises(InputError):
            model.interpolate(two, one)
        for verb in (model.encode, model.reconstruct, model.search, model.anomaly_scores, model.evaluate):
            with pytest.raises(IsthmusError):
                verb(self.foreign())

    def test_asking_changes_nothing(self) -> None:
        """Whatever was asked between, the same question has the same answer."""
        model, asked = self.fitted(), self.records(3, 1)
        before = model.encode(asked), model.anomaly_scores(asked)
        model.sample(2, seed=5)
        model.evaluate(asked)
        model.search(asked, 2)
        model.encode(asked).fill(0)
        assert np.array_equal(model.encode(asked), before[0])
        assert np.array_equal(model.anomaly_scores(asked), before[1])


WRONG_SHARES: tuple[dict[str, float], ...] = ({"validation": 0.9}, {"contamination": 0.0}, {"contamination": 1.5})


def is_plain(document: Any) -> bool:
    """Whether this is a JSON document as it stands."""
    try:
        return bool(json.loads(json.dumps(document)) == document)
    except TypeError:
        return False


def check_close(one: Any, other: Any, *, exactly: bool = False) -> None:
    """What two verbs wrote is alike.

    Args:
        one: an array of numbers, or anything that can be compared.
        other: likewise.
        exactly: whether numbers may not even differ by rounding.
    """
    assert type(one) is type(other), f"a {type(one).__name__} and a {type(other).__name__}"
    assert is_close(one, other, exactly=exactly), f"{one}\nis not\n{other}"


def is_close(one: Any, other: Any, *, exactly: bool = False) -> bool:
    """Whether what two verbs wrote is alike.

    Args:
        one: an array of numbers, or anything that can be compared.
        other: likewise.
        exactly: whether numbers may not even differ by rounding.
    """
    if isinstance(one, np.ndarray):
        given: npt.NDArray[Any] = one
        tolerance = 0.0 if exactly else 1e-4
        return given.shape == other.shape and np.allclose(given, other, rtol=tolerance, atol=tolerance)
    return bool(one == other)
