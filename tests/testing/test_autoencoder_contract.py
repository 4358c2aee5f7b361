"""The contract of faces catches faces that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from pictured import SIDE, SMALL

from isthmus.testing.autoencoder import AutoencoderContract
from isthmus_images import ImageAutoencoder

Fault = Callable[[Any], None]


class Kept(AutoencoderContract):
    """Of a face without faults; ``TestImages`` of the image adapter runs all of it."""

    face = ImageAutoencoder
    settings: ClassVar[dict[str, Any]] = {**SMALL, "epochs": 2}

    def records(self, count: int, seed: int = 0) -> Any:
        return np.random.default_rng(seed).integers(0, 256, (100, SIDE, SIDE), dtype=np.uint8)[:count]

    def foreign(self) -> Any:
        return np.zeros((2, SIDE + 1, SIDE), dtype=np.uint8)


def broken(**verbs: Any) -> type[ImageAutoencoder]:
    """A face some of whose verbs are others; ``super`` is the image face."""
    return type("Broken", (ImageAutoencoder,), verbs)


def doubles(self: Any, images: Any, **options: Any) -> Any:
    return ImageAutoencoder.encode(self, images, **options).astype(np.float64)


def depends_on_neighbours(self: Any, images: Any, **options: Any) -> Any:
    codes = ImageAutoencoder.encode(self, images, **options)
    return codes + codes.mean(0)


def accepts_anything(self: Any, images: Any, **options: Any) -> Any:
    same = np.shape(images)[1:] == (SIDE, SIDE)
    return ImageAutoencoder.encode(self, images) if same else np.zeros((2, 4), np.float32)


def untyped(self: Any, codes: Any, *, seed: int = 0, **options: Any) -> Any:
    if np.ndim(codes) != 2:
        raise ValueError("codes?")
    return ImageAutoencoder.decode(self, codes)


def drops_the_last(self: Any, images: Any, *, seed: int = 0) -> Any:
    return ImageAutoencoder.reconstruct(self, images)[:-1]


def ignores_the_seed(self: Any, n: int, *, seed: int = 0, prior: str = "fitted") -> Any:
    return ImageAutoencoder.sample(self, n, prior=prior)


def ignores_the_prior(self: Any, n: int, *, seed: int = 0, prior: str = "fitted") -> Any:
    return ImageAutoencoder.sample(self, n, seed=seed)


def five_steps(self: Any, a: Any, b: Any, steps: int = 5, *, seed: int = 0) -> Any:
    return ImageAutoencoder.interpolate(self, a, b, steps)


def without_the_end(self: Any, a: Any, b: Any, steps: int = 7, *, seed: int = 0) -> Any:
    return ImageAutoencoder.interpolate(self, a, b, steps + 1)[:-1]


def flat(self: Any, images: Any, k: int = 10, *, metric: str | None = None) -> Any:
    found = ImageAutoencoder.search(self, images, k)
    return found[0] if len(found) == 1 else found


def farthest_first(self: Any, images: Any, k: int = 10, *, metric: str | None = None) -> Any:
    return [hits[::-1] for hits in ImageAutoencoder.search(self, images, k)]


def changes_itself(self: Any, images: Any, *, codes: Any = None) -> Any:
    changed = ImageAutoencoder.with_gallery(self, images, codes=codes)
    object.__setattr__(self, "fitted", changed.fitted)
    return changed


def upside_down(self: Any, images: Any) -> Any:
    return ~ImageAutoencoder.is_anomaly(self, images)


def flags_a_tenth(self: Any, images: Any) -> Any:
    scores = self.anomaly_scores(images)
    return scores > np.quantile(scores, 0.9)


def counts_by_numpy(self: Any, images: Any, *, samples: int = 0, seed: int = 0) -> Any:
    document = ImageAutoencoder.evaluate(self, images, samples=samples).to_json()
    return SimpleNamespace(to_json=lambda: {**document, "images": np.int64(document["images"])})


def forgets_the_prior(self: Any, path: str | Path) -> None:
    fitted = replace(self.fitted, latent_prior=None)
    ImageAutoencoder(fitted).save(path)


def fits_without_a_gallery(cls: Any, images: Any, model: str = "vanilla", **options: Any) -> Any:
    return cls(ImageAutoencoder.fit(images, model, **options).fitted)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"encode": doubles}, "test_a_code_is_a_row_of_float32"),
    ({"encode": depends_on_neighbours}, "test_a_code_is_a_row_of_float32"),
    ({"encode": accepts_anything}, "test_what_is_no_record_or_code_is_refused"),
    ({"decode": untyped}, "test_what_is_no_record_or_code_is_refused"),
    ({"decode": untyped}, "test_wrong_settings_are_refused_by_name"),
    ({"reconstruct": drops_the_last}, "test_reconstruction_is_decoding_the_codes"),
    ({"sample": ignores_the_seed}, "test_samples_follow_their_seed"),
    ({"sample": ignores_the_prior}, "test_samples_come_from_the_prior_that_was_asked_for"),
    ({"interpolate": five_steps}, "test_verbs_have_the_same_arguments_everywhere"),
    ({"interpolate": without_the_end}, "test_interpolation_leads_from_one_record_to_the_other"),
    ({"search": flat}, "test_search_answers_each_query_with_one_list"),
    ({"search": farthest_first}, "test_search_answers_each_query_with_one_list"),
    ({"with_gallery": changes_itself}, "test_a_gallery_can_be_exchanged_or_left_out"),
    ({"is_anomaly": upside_down}, "test_higher_scores_are_more_anomalous"),
    ({"is_anomaly": flags_a_tenth}, "test_contamination_is_the_share_that_is_flagged"),
    ({"evaluate": counts_by_numpy}, "test_evaluation_is_a_document"),
    ({"save": forgets_the_prior}, "test_what_is_saved_answers_as_before"),
    ({"fit": classmethod(fits_without_a_gallery)}, "test_verbs_have_the_same_arguments_everywhere"),
    ({"settings": property(lambda self: {"epochs": 2})}, "test_what_was_trained_can_be_read"),
]


def found_by(verbs: dict[str, Any], test: str, folder: Path) -> str:
    """What the test raises over a face with these verbs; nothing where it passes."""

    class Faulty(Kept):
        face = broken(**verbs)

        def fitted(self, model: str | None = None, **options: Any) -> Any:
            # Trained once for all faults: only the verbs differ.
            return self.face(Kept().fitted(model, **options).fitted)

    try:
        run(Faulty(), test, folder)
    except (AssertionError, ValueError, pytest.fail.Exception) as error:
        return type(error).__name__
    return ""


def run(contract: Kept, test: str, folder: Path) -> None:
    getattr(contract, test)(**({"tmp_path": folder} if "saved" in test else {}))


@pytest.mark.slow
def test_faults_are_found_by_the_test_that_names_them(tmp_path: Path) -> None:
    for test in {test for _, test in FAULTS}:
        run(Kept(), test, tmp_path / test)
    missed = [
        f"{name} by {test}"
        for number, (verbs, test) in enumerate(FAULTS)
        for name in verbs
        if not found_by(verbs, test, tmp_path / str(number))
    ]
    assert missed == []
