"""Galleries: what is found, and how it is kept."""

from __future__ import annotations

import json

import pytest
import torch

from isthmus.errors import BundleError, InputError, SettingError
from isthmus.fitted import Gallery, GalleryFormat, SearchHit

CODES = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, 2.0]])


def test_each_query_has_its_hits_by_the_metric_asked_for() -> None:
    gallery = Gallery(CODES, ("a", "b", "c"), ("x", "y", "x"))
    near, far = gallery.search(torch.tensor([[0.0, 1.8], [3.0, 0.0]]), 2)
    assert [(hit.item, hit.row, hit.label) for hit in near] == [("c", 2, "x"), ("a", 0, "x")]
    assert far[0] == SearchHit("b", 1, 0.0, "y")
    assert [hit.item for hit in gallery.search(torch.tensor([[0.0, 1.0]]), 5, "ip")[0]] == ["c", "a", "b"]
    assert Gallery(CODES).search(CODES[:1], 1)[0][0].item == "0"
    for k, metric in ((0, None), (1, "wild")):
        with pytest.raises(SettingError):
            gallery.search(CODES, k, metric)
    with pytest.raises(InputError):
        Gallery(CODES, ("a",))


@pytest.mark.parametrize(
    "form", [GalleryFormat(), GalleryFormat("c", "d.json", labelled=False, metric="cosine"), GalleryFormat("c", None)]
)
def test_what_is_kept_comes_back(form: GalleryFormat) -> None:
    items = None if form.document is None else ("a", "b", "ç")
    labels = ("x", "y", "x") if form.labelled and items else None
    documents, tensors = (
        form.documents(Gallery(CODES, items, labels)),
        form.tensors(Gallery(CODES, items, labels)),
    )
    again = form.restore(documents, tensors)
    assert again is not None
    assert (again.items, again.labels, again.metric) == (items, labels, form.metric)
    assert torch.equal(again.codes, CODES)
    assert form.restore({}, {}) is None


def test_what_does_not_belong_together_is_refused() -> None:
    form, kept = GalleryFormat(), {"gallery.codes": CODES}
    for text in (
        '{"names": ["a"], "labels": null}',
        '{"names": null, "labels": ["x"]}',
        '{"names": "abc", "labels": null}',
    ):
        with pytest.raises(BundleError):
            form.restore({"gallery.json": text}, kept)
    names = {"gallery.json": json.dumps({"names": ["a", "b", "c"], "labels": None})}
    for tensors in ({}, {"gallery.codes": CODES[0]}, {"gallery.codes": CODES.double()}):
        with pytest.raises(BundleError):
            form.restore(names, tensors)
    with pytest.raises(BundleError):
        form.restore({}, kept)
