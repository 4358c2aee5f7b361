"""VectorAutoencoder: on rows whose answers are known, saved and loaded, and given wrong input."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import random_array

from isthmus import bundle
from isthmus.errors import BundleError, ColumnError, InputError, SettingError, SourceError, ValueRangeError
from isthmus.training.progress import NoProgress, Record
from isthmus.training.run import Run
from isthmus_vectors import Compressor, VectorAutoencoder

KINDS = ["vanilla", "variational", "denoising", "sparse", "contractive"]
RUN = Run(device="cpu", precision="fp32")


def plane(rows: int, seed: int = 0) -> np.ndarray:
    """Rows near a plane in eight dimensions, whose columns have very different units."""
    draw = np.random.default_rng(seed)
    flat = draw.normal(size=(rows, 2)) @ np.random.default_rng(99).normal(size=(2, 8))
    return (flat + 0.05 * draw.normal(size=(rows, 8))) * np.logspace(-3, 4, 8) - 3


def fit(kind: str = "vanilla", rows: object = None, **settings: object) -> VectorAutoencoder:
    small = {"hidden": 32, "epochs": 25, "batch_size": 64, "learning_rate": 1e-2}
    sizes = {"code": 16, "k": 2} if kind == "sparse" else {"code": 2}
    data = plane(400) if rows is None else rows
    return VectorAutoencoder.fit(data, kind, run=RUN, **small | sizes | settings)


@pytest.fixture(scope="module")
def fitted() -> VectorAutoencoder:
    return fit()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_a_plane(kind: str) -> None:
    found = fit(kind, validation=0.0).evaluate(plane(200, 1))
    assert found.unexplained_variance is not None
    assert found.unexplained_variance < (0.5 if kind == "variational" else 0.15)
    assert found.pca_unexplained_variance is not None
    assert found.flagged < 0.3
    assert (found.rate is not None) == (kind == "variational")
    assert found.mean_nonzero == pytest.approx(2, abs=0.5)


def test_more_importance_samples_tighten_the_bound() -> None:
    model = fit("variational", epochs=5)
    one, many = (model.evaluate(plane(50, 1), samples=samples) for samples in (1, 100))
    assert one.weighted_nll is not None
    assert many.weighted_nll is not None
    assert many.weighted_nll < one.weighted_nll
    assert many == model.evaluate(plane(50, 1), samples=100)
    with pytest.raises(SettingError, match="-1"):
        model.evaluate(plane(5), samples=-1)


def test_a_plane_needs_two_numbers(fitted: VectorAutoencoder) -> None:
    found = fitted.evaluate(plane(200, 1))
    assert (found.rows, found.width, found.code, found.active_units, found.unused) == (200, 8, 2, 2, 0)
    assert found.squared_error == pytest.approx(found.unexplained_variance, rel=0.5)
    # What two principal components leave, from a singular value decomposition.
    scaled = fitted.adapter.scaling.dense(plane(200, 1))
    values = np.linalg.svd(scaled - scaled.mean(0), compute_uv=False) ** 2
    assert found.pca_unexplained_variance == pytest.approx(values[2:].sum() / values.sum())
    assert found.pca_unexplained_variance < found.unexplained_variance
    scores = fitted.anomaly_scores(plane(200, 1))
    assert found.standard_errors["nll"] == pytest.approx(scores.std(ddof=1) / np.sqrt(200))
    # The ratio's error, against that of ratios of rows that are drawn anew.
    squares = np.square(scaled - fitted.adapter.scaling.dense(fitted.reconstruct(plane(200, 1)))).sum(1)
    spread = np.square(scaled - scaled.mean(0)).sum(1)
    drawn = np.random.default_rng(0).integers(0, 200, (500, 200))
    ratios = squares[drawn].sum(1) / spread[drawn].sum(1)
    assert found.standard_errors["unexplained_variance"] == pytest.approx(ratios.std(), rel=0.2)
    assert not fitted.evaluate(plane(1)).standard_errors


def test_reconstructions_have_the_units_of_the_rows(fitted: VectorAutoencoder) -> None:
    rows = plane(50, 1)
    back = fitted.reconstruct(rows)
    assert back.dtype == np.float32
    assert np.median(np.abs(back - rows) / rows.std(0)) < 0.3
    assert np.array_equal(back, fitted.decode(fitted.encode(rows).astype(np.float64))) or np.allclose(
        back, fitted.decode(fitted.encode(rows)), rtol=1e-4
    )


def test_samples_look_like_the_rows(fitted: VectorAutoencoder) -> None:
    drawn = fitted.sample(2000, seed=1)
    assert np.array_equal(drawn, fitted.sample(2000, seed=1))
    assert not np.array_equal(drawn, fitted.sample(2000, seed=2))
    rows = plane(2000, 1)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(rows.T), atol=0.2)
    with pytest.raises(SettingError, match="prior='other'"):
        fitted.sample(1, prior="other")
    with pytest.raises(SettingError, match="without a prior"):
        fitted.sample(1, prior="standard")
    with pytest.raises(SettingError, match="n is 0"):
        fitted.sample(0)
    assert fit("variational", epochs=1).sample(3, prior="standard").shape == (3, 8)


def test_a_row_finds_itself(fitted: VectorAutoencoder) -> None:
    near = fitted.search(plane(400)[:5], k=3)
    assert [hits[0].row for hits in near] == [0, 1, 2, 3, 4]
    # A squared distance is a difference of squares, a few units long: it is wrong by their rounding.
    assert [hits[0].score for hits in near] == pytest.approx([0] * 5, abs=1e-5)
    other = fitted.with_gallery(plane(20, 1))
    assert [hit.item for hit in other.search(plane(20, 1)[7:8], 1, metric="cosine")[0]] == ["7"]
    assert fitted.search(plane(400)[:1], 1)[0][0].row == 0
    with pytest.raises(InputError, match="with_gallery"):
        fit(epochs=1, gallery=False).search(plane(2))
    with pytest.raises(SettingError, match="k is 0"):
        fitted.search(plane(2), 0)
    with pytest.raises(SettingError, match="metric"):
        fitted.search(plane(2), metric="other")


def test_rows_off_the_plane_are_anomalies(fitted: VectorAutoencoder) -> None:
    rows = plane(300, 1)
    shuffled = np.stack([np.random.default_rng(c).permutation(rows[:, c]) for c in range(8)], 1)
    assert fitted.is_anomaly(rows).mean() < 0.2
    assert fitted.is_anomaly(shuffled).mean() > 0.7
    assert np.median(fitted.anomaly_scores(shuffled)) > np.quantile(fitted.anomaly_scores(rows), 0.99)


def test_the_threshold_is_that_of_held_out_rows() -> None:
    for validation, held_out in ((0.0, 0), (0.25, 100)):
        model = fit(epochs=2, validation=validation, contamination=0.1)
        flagged = model.is_anomaly(plane(400))
        assert model.facts["validation_rows"] == held_out
        if not validation:
            assert flagged.sum() == 40
    assert model.threshold.contamination == 0.1


@pytest.mark.parametrize("kind", [*KINDS, "matryoshka"])
def test_what_is_saved_is_loaded(kind: str, tmp_path: Path) -> None:
    rows = plane(100)
    short = kind == "matryoshka"
    model = VectorAutoencoder.fit(rows, kind, run=RUN, bytes=2) if short else fit(kind, rows, epochs=2)
    model.save(tmp_path / "b")
    loaded = VectorAutoencoder.load(tmp_path / "b")
    assert (loaded.builder, loaded.settings, loaded.facts) == (model.builder, model.settings, model.facts)
    assert loaded.threshold == model.threshold
    for ask in (lambda m: m.encode(rows), lambda m: m.anomaly_scores(rows), lambda m: m.sample(4)):
        assert np.array_equal(ask(loaded), ask(model))
    assert loaded.search(rows[:3], 2) == model.search(rows[:3], 2)
    assert loaded.history.records == model.history.records


def test_sparse_rows(tmp_path: Path) -> None:
    rows = random_array((300, 40), density=0.2, format="csr", rng=0)
    model = fit(rows=rows, epochs=25, code=30, validation=0.0)
    assert model.adapter.is_sparse
    found = model.evaluate(rows)
    assert found.unexplained_variance is not None
    assert found.unexplained_variance < 0.5
    assert found.pca_unexplained_variance is None
    given = model.adapter.scaling.dense(rows.toarray())
    squares = np.square(given - model.adapter.scaling.dense(model.reconstruct(rows))).sum(1)
    np.testing.assert_allclose(model.anomaly_scores(rows), squares / 2 + 20 * np.log(2 * np.pi), rtol=1e-4)
    model.save(tmp_path / "b")
    loaded = VectorAutoencoder.load(tmp_path / "b")
    assert np.array_equal(loaded.encode(rows.tocsc()), model.encode(rows))
    assert np.array_equal(loaded.encode(rows.toarray()), model.encode(rows))


def test_a_code_is_narrow_unless_told_otherwise() -> None:
    for width, code in ((1, 1), (2, 1), (5, 2), (100, 32)):
        rows = np.random.default_rng(0).normal(size=(20, width))
        assert VectorAutoencoder.fit(rows, run=RUN, epochs=1, hidden=4, latent_prior=False).code_width == code
    assert VectorAutoencoder.fit(rows, "sparse", run=RUN, epochs=1, latent_prior=False).code_width == 512


def test_a_row_alone_is_the_row_among_others(fitted: VectorAutoencoder) -> None:
    rows = plane(40, 1)
    assert np.array_equal(np.concatenate([fitted.encode(row[None]) for row in rows]), fitted.encode(rows))


def test_one_row_and_one_column_are_enough() -> None:
    for rows in [np.ones((1, 1)), np.ones((1, 5)), plane(30)[:, :1], plane(2)]:
        model = fit(rows=rows, epochs=2)
        assert model.reconstruct(rows).shape == rows.shape
        assert not model.is_anomaly(rows).all() or len(rows) < 3
        assert model.evaluate(rows).rows == len(rows)


def test_names_of_columns_are_kept(tmp_path: Path) -> None:
    table = pd.DataFrame(plane(60), columns=list("abcdefgh")).assign(city="x")
    model = fit(rows=table, epochs=2, drop=["city"])
    model.save(tmp_path / "b")
    again = VectorAutoencoder.load(tmp_path / "b")
    shuffled = table[["city", *"hgfedcba"]].drop(columns="city")
    assert np.array_equal(again.encode(shuffled), model.encode(table.drop(columns="city")))
    with pytest.raises(ColumnError, match="no column 'h'"):
        again.encode(table[list("abcdefg")])


def test_wrong_questions(fitted: VectorAutoencoder) -> None:
    with pytest.raises(InputError, match="3 numbers"):
        fitted.encode(np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"\(1, 5\)"):
        fitted.decode(np.zeros((1, 5)))
    with pytest.raises(ValueRangeError, match="no number"):
        fitted.encode(np.full((1, 8), np.nan))
    with pytest.raises(SourceError, match="no rows"):
        fitted.encode(np.zeros((0, 8)))
    with pytest.raises(SettingError, match="'other'"):
        fit("other")
    with pytest.raises(SettingError, match="'codes'"):
        fit(codes=3)
    with pytest.raises(SettingError, match=r"validation=0\.5"):
        fit(validation=0.5)
    with pytest.raises(SettingError, match="scaling='other'"):
        fit(scaling="other")
    with pytest.raises(SettingError, match="contamination=0"):
        fit(epochs=1, contamination=0.0)


class Impatient(NoProgress):
    """Asks to stop, as Ctrl-C does, once the first epoch is done."""

    def epoch(self, record: Record) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_what_there_is() -> None:
    run = Run(device="cpu", progress=Impatient())
    model = VectorAutoencoder.fit(plane(200), code=2, epochs=500, run=run)
    assert model.history.interrupted
    assert len(model.history.records) == 1
    assert model.encode(plane(3)).shape == (3, 2)


def test_bundles_that_are_none(tmp_path: Path, fitted: VectorAutoencoder) -> None:
    draw = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    Compressor.fit(draw, bytes=2, run=RUN).save(tmp_path / "short")
    with pytest.raises(BundleError, match="matryoshka of vectors"):
        VectorAutoencoder.load(tmp_path / "short")
    bundle.write(tmp_path / "o", plugin="text", builder="ease", settings={}, tensors={}, documents={})
    with pytest.raises(BundleError, match="ease of text"):
        VectorAutoencoder.load(tmp_path / "o")
    fitted.save(tmp_path / "b")
    saved = bundle.read(tmp_path / "b")
    for lost in ("threshold.json", "scaling.json", "table.json"):
        documents = {name: text for name, text in saved.documents.items() if name != lost}
        rewrite(tmp_path / "part", saved, dict(saved.tensors), documents)
        with pytest.raises(BundleError):
            VectorAutoencoder.load(tmp_path / "part")
    for lost in ("model.readout.bias", "mixture.means"):
        tensors = {name: tensor for name, tensor in saved.tensors.items() if name != lost}
        rewrite(tmp_path / "part", saved, tensors, dict(saved.documents))
        with pytest.raises(BundleError):
            VectorAutoencoder.load(tmp_path / "part")
    rewrite(
        tmp_path / "part",
        saved,
        {**saved.tensors, "known.codes": saved.tensors["known.codes"][0]},
        dict(saved.documents),
    )
    with pytest.raises(BundleError, match="codes of shape"):
        VectorAutoencoder.load(tmp_path / "part")


def rewrite(path: Path, saved: bundle.Bundle, tensors: dict, documents: dict) -> None:
    manifest = saved.manifest
    bundle.write(
        path,
        plugin=manifest.plugin,
        builder=manifest.builder,
        settings=manifest.settings,
        tensors=tensors,
        documents=documents,
        facts=manifest.facts,
    )
