"""Vectors as bytes: planted neighbours, prefixes, bounds, saving, and every refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import bundle
from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError
from isthmus.training.run import Run
from isthmus_vectors.compression.code_search import nearest
from isthmus_vectors.compressor import Compressor

WIDTH, ROWS = 24, 1200


def curve(rows: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of one curve through all dimensions, and where on it they are: no plane holds it, one number tells it."""
    place = np.random.default_rng(seed).random(rows)
    angles = 2 * np.pi * place[:, None] * np.arange(1, WIDTH // 2 + 1)
    return np.concatenate([np.cos(angles), np.sin(angles)], 1).astype(np.float32) / np.sqrt(WIDTH / 2), place


def cloud(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """Unit vectors without a pattern, wide in few directions and narrow in many."""
    drawn = np.random.default_rng(seed).normal(size=(rows, WIDTH)) * 0.8 ** np.arange(WIDTH)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def fitted(vectors: np.ndarray, size: int = 2, seed: int = 0, **settings: object) -> Compressor:
    small = {"code": 20}
    return Compressor.fit(vectors, size, run=Run(device="cpu", precision="fp32", seed=seed), **{**small, **settings})


@pytest.fixture(scope="module")
def compressor() -> Compressor:
    return fitted(cloud(), 3, prefixes=[1, 3], hidden=16, epochs=1, batch_size=200)


def principal_bytes(vectors: np.ndarray, asked: np.ndarray, size: int) -> np.ndarray:
    axes = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :size]
    steps = np.abs(vectors @ axes).max(0) / 127
    return (np.round(asked @ axes / steps) * steps) @ axes.T


def neighbours_kept(vectors: np.ndarray, left: np.ndarray, k: int = 10) -> float:
    near, found = (np.argsort(-(vectors @ others.T), axis=1, kind="stable")[:, :k] for others in (vectors, left))
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(near, found, strict=True)]))


def test_a_curve_keeps_its_neighbours_where_principal_components_do_not() -> None:
    examples, asked = curve()[0], curve(400, seed=1)[0]
    short = fitted(examples, 2)
    ours = neighbours_kept(asked, short.decode(short.encode(asked)))
    rival = neighbours_kept(asked, principal_bytes(examples, asked, 2))
    assert ours > 0.6
    assert ours > rival + 0.2


def test_leading_bytes_are_a_coarser_code(compressor: Compressor) -> None:
    asked = cloud(300, seed=2)
    codes = compressor.encode(asked)
    assert codes.shape == (300, 3)
    assert codes.dtype == np.uint8
    errors = [np.square(asked - compressor.decode(codes[:, :size])).sum(1).mean() for size in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]
    shorter = compressor.decode(compressor.encode(asked, 2))
    assert np.square(asked - shorter).sum(1).mean() <= errors[1]


def test_what_is_lost_is_bounded_on_both_sides(compressor: Compressor) -> None:
    asked = cloud(300, seed=2)
    decoded = compressor.decode(compressor.encode(asked))
    assert decoded.shape == asked.shape
    lost = np.square(asked - decoded).sum(1)
    rival = np.square(asked - principal_bytes(cloud(), asked, 3)).sum(1)
    assert lost.max() < 2  # nothing points away from what it was
    assert 0.01 < lost.mean() < 0.8 * rival.mean()


def test_more_beams_are_no_farther_on_average(compressor: Compressor) -> None:
    asked = cloud(300, seed=3)
    errors = [np.square(asked - compressor.decode(compressor.encode(asked, beams=n))).mean() for n in (1, 16)]
    assert errors[1] <= errors[0]


def test_search_is_the_exact_order_of_what_is_decoded(compressor: Compressor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, codes = cloud(20, seed=4), compressor.encode(cloud(150, seed=5))
    monkeypatch.setattr("isthmus_vectors.compression.code_search.BLOCK", 37)
    found = compressor.search(asked, codes, 7)
    scores = asked @ compressor.decode(codes).T
    # Different rows may have the same code, and then the first one answers first.
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    ids, own = np.array(found.ids), np.array(found.scores)
    np.testing.assert_allclose(own, np.take_along_axis(scores, expected, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scores, ids, 1), own, rtol=1e-4, atol=1e-5)
    assert (found[0][0].id, len(found), found.to_arrow().column_names) == (
        ids[0, 0],
        20,
        ["query", "rank", "id", "score"],
    )


def test_equal_codes_answer_in_the_order_of_rows(compressor: Compressor) -> None:
    codes = np.repeat(compressor.encode(cloud(1)), 5, axis=0)
    assert compressor.search(cloud(2), codes, 3).ids == [[0, 1, 2], [0, 1, 2]]


def test_equal_codes_have_one_score_wherever_they_stand(
    compressor: Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in [1, 4, 60, 400]:
        monkeypatch.setattr("isthmus_vectors.compression.code_search.BLOCK", 5)
        distinct = compressor.encode(cloud(40, seed=8))
        owner = np.random.default_rng(9).integers(0, 40, 300)
        found = compressor.search(cloud(7), distinct[owner], k)
        for rows, own in zip(found.ids, found.scores, strict=True):
            assert len(set(rows)) == min(k, 300)
            real = np.array(rows)
            assert (np.diff(own) <= 0).all()
            tied = owner[real[1:]] == owner[real[:-1]]
            assert np.array_equal(own[1:] == own[:-1], tied)
            assert (real[1:][tied] > real[:-1][tied]).all()
            # All rows of a code answer before any of the next one, and of the last code the first ones.
            for code in np.unique(owner[real]):
                everywhere = np.flatnonzero(owner == code)
                assert np.array_equal(real[owner[real] == code], everywhere[: (owner[real] == code).sum()])


def test_codes_of_equal_score_answer_in_the_order_of_rows() -> None:
    codes = np.array([[3], [1], [3], [2], [1], [0]], np.uint8)
    scores = torch.tensor([[0.0], [1.0], [1.0], [1.0]])
    found = nearest(torch.ones(1, 1), codes, lambda some: scores[torch.from_numpy(some[:, 0].astype(np.int64))], 4)
    assert found.rows.tolist() == [[0, 1, 2, 3]]
    assert nearest(torch.ones(1, 1), codes[::-1], lambda some: scores[some[:, 0].astype(int)], 2).rows.tolist() == [
        [1, 2]
    ]


def test_where_fewer_rows_exist_fewer_are_found(compressor: Compressor) -> None:
    found = compressor.search(cloud(2), compressor.encode(cloud(3)), 5)
    assert [len(hits) for hits in found] == [3, 3]
    empty = compressor.search(cloud(2), np.zeros((0, 3), np.uint8), 2)
    assert empty.ids == [[], []]
    assert compressor.search(cloud(0), compressor.encode(cloud(3)), 2).ids == []


def test_only_directions_count(compressor: Compressor) -> None:
    asked = cloud(40, seed=7)
    lengths = np.linspace(0.1, 50, 40, dtype=np.float32)[:, None]
    codes = compressor.encode(asked)
    assert np.array_equal(compressor.encode(asked * lengths), codes)
    np.testing.assert_allclose(np.linalg.norm(compressor.decode(codes), axis=1), 1, rtol=1e-5)


def test_the_same_seed_gives_the_same_codes_and_the_global_state_is_left_alone() -> None:
    vectors = cloud(300)
    state = torch.get_rng_state()
    first, second = fitted(vectors, 1, seed=3), fitted(vectors, 1, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(first.encode(vectors), second.encode(vectors))


def test_what_is_saved_is_loaded(compressor: Compressor, tmp_path) -> None:
    asked = cloud(50, seed=6)
    compressor.save(tmp_path / "short")
    loaded = Compressor.load(tmp_path / "short")
    codes = compressor.encode(asked)
    assert np.array_equal(loaded.encode(asked), codes)
    assert np.array_equal(loaded.decode(codes), compressor.decode(codes))
    assert (loaded.bytes, loaded.width, loaded.settings) == (3, WIDTH, dict(compressor.settings))
    assert loaded.history.records == compressor.history.records


def test_other_bundles_are_refused(tmp_path) -> None:
    bundle.write(tmp_path / "other", plugin="text", builder="ease", settings={}, tensors={}, documents={})
    with pytest.raises(BundleError, match="compressor"):
        Compressor.load(tmp_path / "other")
    with pytest.raises(BundleError):
        Compressor.load(tmp_path / "nothing")


@pytest.mark.parametrize("lost", ["readout.bias", "width"])
def test_a_bundle_without_its_parts_is_damaged(compressor: Compressor, tmp_path, lost: str) -> None:
    compressor.save(tmp_path / "whole")
    saved = bundle.read(tmp_path / "whole")
    tensors = {name: tensor for name, tensor in saved.tensors.items() if name != lost}
    facts = {name: fact for name, fact in saved.manifest.facts.items() if name != lost}
    settings = saved.manifest.settings
    bundle.write(
        tmp_path / "part",
        plugin="vectors",
        builder="matryoshka",
        settings=settings,
        tensors=tensors,
        documents={},
        facts=facts,
    )
    with pytest.raises(BundleError, match=r"damaged|readout\.bias is missing"):
        Compressor.load(tmp_path / "part")


def test_nan_and_infinity_are_refused(compressor: Compressor) -> None:
    for value in [np.nan, np.inf]:
        bad = cloud(300)
        bad[7, 3] = value
        with pytest.raises(ValueRangeError, match=r"7|row 8"):
            Compressor.fit(bad)
        with pytest.raises(ValueRangeError, match=r"7|row 8"):
            compressor.encode(bad)
        with pytest.raises(ValueRangeError, match=r"7|row 8"):
            compressor.search(bad, np.zeros((1, 3), np.uint8), 1)


def test_vectors_that_cannot_be_learned_from() -> None:
    with pytest.raises(InputError, match="255 vectors"):
        Compressor.fit(cloud(255))
    zero = cloud(300)
    zero[5] = 0
    with pytest.raises(ValueRangeError, match="vector 5"):
        Compressor.fit(zero)
    with pytest.raises(InputError, match="shape"):
        Compressor.fit(np.zeros(300, np.float32))
    with pytest.raises(InputError, match="real numbers"):
        Compressor.fit(np.full((300, 4), "a"))


def test_vectors_of_another_width(compressor: Compressor) -> None:
    with pytest.raises(InputError, match="expected 24"):
        compressor.encode(np.zeros((2, WIDTH + 1), np.float32))
    with pytest.raises(InputError, match="expected 24"):
        compressor.search(np.zeros((2, WIDTH - 1), np.float32), np.zeros((1, 3), np.uint8), 1)


def test_codes_that_are_none(compressor: Compressor) -> None:
    for codes in [
        np.zeros((2, 4), np.uint8),
        np.zeros((2, 0), np.uint8),
        np.zeros(3, np.uint8),
        np.zeros((2, 3), np.int64),
    ]:
        with pytest.raises(InputError, match="uint8"):
            compressor.decode(codes)


def test_settings_out_of_range(compressor: Compressor) -> None:
    with pytest.raises(SettingError, match="k is 0"):
        compressor.search(cloud(1), compressor.encode(cloud(1)), 0)
    with pytest.raises(SettingError, match="prefixes"):
        fitted(cloud(300), 3, prefixes=[2])
    with pytest.raises(SettingError, match="bytes"):
        fitted(cloud(300), 0)
    with pytest.raises(SettingError, match="'byte'"):
        fitted(cloud(300), 3, byte=2)
    with pytest.raises(SettingError, match="at most 3"):
        compressor.encode(cloud(1), 4)
    with pytest.raises(SettingError, match="beams"):
        compressor.encode(cloud(1), beams=0)


def test_it_measures_what_codes_of_each_length_keep(compressor: Compressor, tmp_path: Path) -> None:
    kept = compressor.kept
    assert kept is not None
    assert [len(kept[name]) for name in ("cosine", "recall", "words")] == [compressor.bytes] * 3
    assert kept["cosine"][-1] > kept["cosine"][0]
    assert all(0 <= share <= 1 for share in kept["recall"])
    assert [panel.name for panel in compressor.panels()][:2] == ["what is kept", "values of the bytes"]
    compressor.save(tmp_path / "c")
    assert Compressor.load(tmp_path / "c").kept == kept
