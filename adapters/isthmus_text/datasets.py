"""Real texts for tests, benchmarks and the demo.

``demo_sentences`` and ``wordnet_examples`` are included in the package. The other data sets are searched for in the
folders of ``isthmus.datafolder``.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from isthmus.datafolder import dataset_path, unpacked
from isthmus.errors import SettingError
from isthmus.reprs import brief
from isthmus_text.texts import Texts


@brief
@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences with their genres.

    Attributes:
        texts: the sentences.
        genres: answers, email, newsgroup, reviews or weblog, one for each.
        names: ids of the sentences, which start with the id of the document.
    """

    texts: Texts
    genres: tuple[str, ...]
    names: tuple[str, ...]


@brief
@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of texts with similarities from annotators.

    Attributes:
        first: one text of each pair.
        second: the other text.
        scores: 0 (nothing in common) to 5 (equivalent), shape (pairs,).
    """

    first: Texts
    second: Texts
    scores: npt.NDArray[np.float64]


def demo_sentences(part: str = "train") -> Sentences:
    """16,622 English sentences with their genres, included in the package (Universal Dependencies English Web Treebank,
    CC BY-SA 4.0), in the standard split: ``train`` 12,544, ``dev`` 2,001, ``test`` 2,077.

    Raises:
        SettingError: another part.
    """
    _known(part, ("train", "dev", "test"))
    rows = _rows(_bundled(f"demo_ewt/{part}.csv.gz"))
    genres, names = (tuple(row[column] for row in rows) for column in ("genre", "sent_id"))
    return Sentences(Texts.read([row["text"] for row in rows]), genres, names)


def wordnet_examples() -> Texts:
    """40,720 English usage examples of 3 to 12 words, included in the package (WordNet 3.0, Princeton University). Most
    are short sentences, some are fragments, and few end with a full stop."""
    return Texts.read(_bundled("demo_wordnet/examples.txt.gz").decode("utf-8").splitlines())


def ptb(part: str = "train") -> Texts:
    """The Penn Treebank as used for language models (Mikolov): 10,000 words, rare ones are ``<unk>``, numbers ``N``.
    ``train`` 42,068 sentences, ``valid`` 3,370, ``test`` 3,761; spaces at the ends of lines are removed.

    Raises:
        SettingError: another part.
        SourceError: the data are not available.
    """
    _known(part, ("train", "valid", "test"))
    return Texts.read(line.strip() for line in _lines(f"ptb/ptb.{part}.txt.xz"))


def multi30k_captions(part: str = "train") -> Texts:
    """Captions of photographs (Elliott et al. 2016): rows 5k to 5k + 4 describe image k. ``train`` 145,000, ``val``
    5,070, ``test_2016`` 5,000.

    Raises:
        SettingError: another part.
        SourceError: the data are not available.
    """
    _known(part, ("train", "val", "test_2016"))
    return Texts.read(_lines(f"multi30k-captions/{part}.txt.xz"))


def stsb(part: str = "train") -> Pairs:
    """The STS benchmark (Cer et al. 2017): ``train`` 5,749 pairs, ``dev`` 1,500, ``test`` 1,379.

    Raises:
        SettingError: another part.
        SourceError: the data are not available.
    """
    _known(part, ("train", "dev", "test"))
    rows = _rows(unpacked(dataset_path(f"stsb/{part}.csv.xz")))
    first, second = (Texts.read([row[column] for row in rows]) for column in ("sentence1", "sentence2"))
    return Pairs(first, second, np.array([float(row["score"]) for row in rows]))


def _known(part: str, parts: tuple[str, ...]) -> None:
    if part not in parts:
        raise SettingError(f"part={part!r}", expected=f"one of {', '.join(parts)}")


def _bundled(name: str) -> bytes:
    return gzip.decompress((files("isthmus_text") / "data" / name).read_bytes())


def _lines(name: str) -> list[str]:
    return unpacked(dataset_path(name)).decode("utf-8").removesuffix("\n").split("\n")


def _rows(contents: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(contents.decode("utf-8"), newline="")))
