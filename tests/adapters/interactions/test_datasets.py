"""The bundled data, and those of ISTHMUS_DATA where they are: the counts are the published ones."""

import gzip
import io
import lzma

import numpy as np
import pytest

from isthmus.datafolder import dataset_path
from isthmus.errors import SourceError
from isthmus_interactions import datasets
from isthmus_interactions.splits import leave_last_out


def needs(name):
    try:
        dataset_path(name)
        reason = ""
    except SourceError as absent:
        reason = str(absent)
    return pytest.mark.skipif(bool(reason), reason=reason)


def test_the_demo_is_bundled(monkeypatch):
    monkeypatch.setenv("ISTHMUS_DATA", "absent")
    interactions, titles = datasets.demo_goodbooks(keep="all")
    assert interactions.matrix.shape == (2622, 2000)
    assert interactions.nnz == 201_092
    assert set(titles) == set(interactions.items.ids.tolist())
    assert titles[1] == ("The Hunger Games (The Hunger Games, #1)", "Suzanne Collins")
    liked, _ = datasets.demo_goodbooks()
    assert liked.report.keep == ">=4"


def test_the_folder_is_named_by_the_variable(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    assert dataset_path("mine") == tmp_path / "mine"
    with pytest.raises(SourceError, match=r"no ml-1m in .*expected one of mine.*ISTHMUS_DATA"):
        dataset_path("ml-1m")


def test_an_absent_folder_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "absent"))
    with pytest.raises(SourceError, match="ISTHMUS_DATA"):
        datasets.movielens_1m()


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_archives_packed_once_more(tmp_path, suffix, pack):
    plain = io.BytesIO()
    np.savez_compressed(plain, a=np.arange(3))
    path = tmp_path / f"arrays.npz{suffix}"
    path.write_bytes(pack(plain.getvalue()))
    assert datasets.load_arrays(path)["a"].tolist() == [0, 1, 2]
    path.write_bytes(pack(plain.getvalue())[:-30])
    with pytest.raises(SourceError, match="cannot be read"):
        datasets.load_arrays(path)


def test_archives_with_objects_are_refused(tmp_path):
    np.savez(tmp_path / "evil.npz", a=np.array([{}], dtype=object))
    with pytest.raises(SourceError, match="plain arrays"):
        datasets.load_arrays(tmp_path / "evil.npz")


@needs("goodbooks-10k-sample")
def test_goodbooks():
    interactions, titles = datasets.goodbooks_sample(keep="all")
    assert interactions.matrix.shape == (2672, 9990)
    assert interactions.nnz == 298_176
    assert len(titles) == 10_000


@needs("ml-100k")
def test_movielens_100k():
    interactions, titles = datasets.movielens_100k(keep="all")
    assert interactions.matrix.shape == (943, 1682)
    assert interactions.nnz == len(interactions.times) == 100_000
    assert titles[2] == ("GoldenEye (1995)", "Action|Adventure|Thriller")
    assert len(leave_last_out(interactions).test) == 943


@needs("ml-1m")
def test_movielens_1m():
    interactions, titles = datasets.movielens_1m()
    assert interactions.report.rows_read == 1_000_209
    assert interactions.nnz == 348_971 + 226_310
    assert titles[1][0] == "Toy Story (1995)"


@needs("ml-1m")
@pytest.mark.parametrize(
    ("name", "shape", "train", "validation", "test"),
    [
        ("infinite_ae", (6040, 3706), 791_718, 99_692, 108_799),
        ("ncf", (6040, 3706), 994_169, 0, 6_040),
        ("ultragcn", (6022, 3043), 796_244, 0, 99_455),
        ("diffrec", (5949, 2810), 403_277, 110_722, 57_532),
    ],
)
def test_published_splits(name, shape, train, validation, test):
    split = datasets.movielens_1m_split(name)
    assert split.train.matrix.shape == shape
    assert split.train.nnz == train
    assert (split.validation.held_out.nnz if split.validation else 0) == validation
    assert split.test.held_out.nnz == test
    assert split.test.history.multiply(split.test.held_out).nnz == 0


@needs("ml-1m")
def test_an_unknown_split():
    with pytest.raises(SourceError, match="infinite_ae"):
        datasets.movielens_1m_split("mine")


@needs("amazon-cds")
def test_amazon_cds():
    split = datasets.amazon_cds()
    assert split.train.matrix.shape == (43_169, 35_648)
    assert (split.train.nnz, split.test.held_out.nnz) == (604_475, 172_951)
