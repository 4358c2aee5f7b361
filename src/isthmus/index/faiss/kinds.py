"""The kinds of index that FAISS offers us, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from isthmus.errors import SettingError
from isthmus.index.faiss import fast_scan, flat, hnsw, hnsw_pca, ivf
from isthmus.index.faiss.parameters import Settings
from isthmus.index.faiss.transforms import PLAIN, Array, Form, Stored

Name = Literal["flat", "fp16", "bf16", "sq8", "ivf", "ivf-lifted", "ivf-sq8", "ivf-pq", "rabitq", "hnsw", "hnsw-short"]

Structure = Mapping[str, npt.NDArray[np.generic]]
"""What took long to find, as arrays: centroids, or the links of a graph."""


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        learn: from lifted vectors to a structure; empty where nothing takes long.
        make: from finished vectors, settings and a finished structure to an index.
        parameters: from settings, candidates and options to FAISS's parameters of one search.
        fits: whether a structure that was read from somewhere can be that of these vectors.
        form: how the vectors are stored.
        inverted: whether its structure is centroids, which are finished as vectors are.
        all_seen: every vector is compared in full.
        selects: a selector does not slow it down.
    """

    learn: Callable[[Stored, Settings], Structure]
    make: Callable[[Stored, Settings, Structure], Any]
    parameters: Callable[[Settings, int, dict[str, Any]], Any]
    fits: Callable[[Structure, Array, Settings], bool]
    form: Form = PLAIN
    inverted: bool = False
    all_seen: bool = False
    selects: bool = True


def _scanned(make: Callable[[Stored, Settings, Structure], Any], all_seen: bool = False) -> Kind:
    return Kind(flat.learn, make, flat.parameters, flat.fits, all_seen=all_seen, selects=False)


def _listed(make: Callable[[Stored, Settings, Structure], Any], form: Form = PLAIN) -> Kind:
    return Kind(ivf.learn, make, ivf.parameters, ivf.fits, form=form, inverted=True)


def kind_of(name: str, width: int) -> Kind:
    """A kind by its name, for vectors of some width.

    Raises:
        SettingError: nobody knows it.
    """
    check_kind(name)
    if name == "hnsw":
        return Kind(hnsw.learn, hnsw.make, hnsw.parameters, hnsw.fits, form=Form(lifts=True))
    if name == "hnsw-short":
        return Kind(hnsw_pca.learn, hnsw_pca.make, hnsw.parameters, hnsw_pca.fits, form=Form(lifts=True))
    if name == "ivf-pq":
        return _listed(fast_scan.product_quantised, Form(multiple=fast_scan.piece(width)))
    simple = {
        "flat": _scanned(flat.full, all_seen=True),
        "fp16": _scanned(flat.fp16),
        "bf16": _scanned(flat.bf16),
        "sq8": _scanned(flat.sq8),
        "ivf": _listed(ivf.full),
        "ivf-lifted": _listed(ivf.full, Form(lifts=True)),
        "ivf-sq8": _listed(ivf.sq8),
        "rabitq": _listed(fast_scan.one_bit, Form(turns=True)),
    }
    return simple[name]


def check_kind(kind: str) -> None:
    """Refuse a kind that nobody knows.

    Raises:
        SettingError: none of the names.
    """
    if kind not in get_args(Name):
        raise SettingError(f"kind {kind!r}", expected=f"one of {', '.join(get_args(Name))}")
