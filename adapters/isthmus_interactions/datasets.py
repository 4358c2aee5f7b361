"""Real data for tests, benchmarks and the demo.

``demo_goodbooks`` is included in the package. The other data sets are searched for in the folders of
``isthmus.datafolder``.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.lib.npyio import NpzFile

from isthmus.checked.arrays import read_sparse
from isthmus.datafolder import dataset_path, unpacked
from isthmus.errors import SourceError
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import Split, aligned

Titles = dict[int, tuple[str, str]]
"""Item id to its title and further details, such as the authors of a book or the genres of a film."""


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Load the arrays of an .npz file, which may also be compressed (.npz.xz, .npz.gz); pickled objects are refused.

    Raises:
        SourceError: the file is not such an archive.
    """
    try:
        with NpzFile(io.BytesIO(unpacked(path)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, KeyError, OSError, BadZipFile, zlib.error) as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="an .npz archive of plain arrays") from error


def demo_goodbooks(**options: Any) -> tuple[Interactions, Titles]:
    """Ratings (1 to 5) of 2,000 books by 2,622 readers, included in the package (goodbooks-10k, CC BY-SA 4.0).

    ``options`` are passed to ``Interactions.read``; by default ratings of 4 and 5 count.
    """
    folder = files("isthmus_interactions") / "data" / "demo_goodbooks"
    ratings = gzip.decompress((folder / "ratings.csv.gz").read_bytes())
    table: pa.Table = pacsv.read_csv(pa.BufferReader(ratings))
    books = gzip.decompress((folder / "items.csv.gz").read_bytes())
    return Interactions.read(table, **options), _titles(books, "authors")


def goodbooks_sample(**options: Any) -> tuple[Interactions, Titles]:
    """298,176 ratings (1 to 5) of 9,990 books by 2,672 readers; ``options`` are passed to ``Interactions.read``."""
    folder = dataset_path("goodbooks-10k-sample")
    ratings = Interactions.read(_table(folder, "user", "item", "rating"), **options)
    return ratings, _titles(unpacked(folder / "books.csv.gz"), "authors")


def movielens_100k(**options: Any) -> tuple[Interactions, Titles]:
    """100,000 ratings (1 to 5) with times; ``options`` are passed to ``Interactions.read``."""
    folder = dataset_path("ml-100k")
    ratings = Interactions.read(_table(folder, "user", "item", "rating", "timestamp"), **options)
    return ratings, _titles(unpacked(folder / "movies.csv.gz"), "genres")


def movielens_1m(**options: Any) -> tuple[Interactions, Titles]:
    """1,000,209 ratings (1 to 5); ``options`` are passed to ``Interactions.read``.

    The file has no times, but the ratings of each user are in order, so the row numbers are used as times.
    """
    folder = dataset_path("ml-1m")
    table = _table(folder, "user", "item", "rating")
    timed = table.append_column("time", pa.array(np.arange(len(table))))
    return Interactions.read(timed, **options), _titles(unpacked(folder / "movies.csv.gz"), "genres")


def movielens_1m_split(name: str) -> Split:
    """A published split of MovieLens-1M.

    - ``infinite_ae`` (Sachdeva et al., NeurIPS 2022): all ratings count; test histories are train and validation.
    - ``ncf`` (He et al., WWW 2017): the last rating of each user is the test; all ratings count; no validation.
    - ``ultragcn`` (Mao et al., CIKM 2021): with its own ids; no validation.
    - ``diffrec`` (Wang et al., SIGIR 2023, "clean"): with its own ids; ratings of 4 and 5, split by time.

    Raises:
        SourceError: there is no such split.
    """
    published: dict[str, Callable[[], Split]] = {
        "infinite_ae": _infinite_ae,
        "ncf": _ncf,
        "ultragcn": lambda: _matrices("ml-1m/splits/ultragcn_{}.npz", "train", None, "test"),
        "diffrec": lambda: _matrices("ml-1m/splits/diffrec_clean_{}.npz", "train", "valid", "test"),
    }
    if name not in published:
        raise SourceError(f"no split {name!r} of MovieLens-1M", expected=f"one of {', '.join(published)}")
    return published[name]()


def amazon_cds() -> Split:
    """777,426 interactions of 43,169 users with 35,648 CDs, in the split of BGCF and UltraGCN; no validation."""
    return _matrices("amazon-cds/{}.npz", "train", None, "test")


def _infinite_ae() -> Split:
    everything, _ = movielens_1m(keep="all")
    # The time of an entry is its row in the file; the parts are listed row by row.
    part = load_arrays(dataset_path("ml-1m/splits/infinite_ae.npz"))["part"][everything.times]
    train = everything.select_entries(part == 0)
    validation = everything.select_entries(part == 1).matrix
    known = everything.select_entries(part < 2).matrix
    test = everything.select_entries(part == 2).matrix
    users = everything.users
    return Split(train, aligned(train.matrix, validation, users), aligned(known, test, users))


def _ncf() -> Split:
    everything, _ = movielens_1m(keep="all")
    latest = load_arrays(dataset_path("ml-1m/splits/ncf_leave_one_out.npz"))["item"]
    columns = everything.items.rows(latest.tolist())
    owners = np.repeat(np.arange(len(everything)), np.diff(everything.matrix.indptr))
    tested = everything.matrix.indices == columns[owners]
    train, test = everything.select_entries(~tested), everything.select_entries(tested)
    return Split(train, None, aligned(train.matrix, test.matrix, everything.users))


def _matrices(pattern: str, train: str, validation: str | None, test: str) -> Split:
    def loaded(part: str) -> Interactions:
        return Interactions.from_csr(read_sparse(dataset_path(pattern.format(part))))

    known = loaded(train)
    asked = None if validation is None else aligned(known.matrix, loaded(validation).matrix, known.users)
    return Split(known, asked, aligned(known.matrix, loaded(test).matrix, known.users))


def _table(folder: Path, *names: str) -> pa.Table:
    arrays = load_arrays(folder / "ratings.npz")
    return pa.table({name: arrays[name] for name in names})


def _titles(contents: bytes, second: str) -> Titles:
    rows = csv.DictReader(io.StringIO(contents.decode("utf-8")))
    return {int(row["item_id"]): (row["title"], row[second]) for row in rows}
