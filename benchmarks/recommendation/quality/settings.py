"""Which of our models are compared on which split, and the settings that each may choose from: at most eight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from benchmarks.recommendation.quality.splits import DEMO

Setting = Mapping[str, Any]

DENSE = ("ml-1m-ultragcn", "ml-1m-infinite-ae", "ml-100k", "goodbooks", "ml-1m-diffrec")
WIDE = ("amazon-cds",)


def carve(split: str) -> dict[str, int]:
    """What tells lines chosen by at least one item of each person from those before, which left short histories out:
    two thirds of the people of the largest split, nobody elsewhere."""
    return {"least_carved": 1} if split in WIDE else {}


METRICS: Mapping[str, tuple[str, ...]] = {
    "ml-1m-ultragcn": ("recall@20", "ndcg@20"),
    "ml-1m-infinite-ae": ("ndcg@10",),
    "ml-100k": ("recall_capped@20", "ndcg@100"),
    "goodbooks": ("recall_capped@20", "ndcg@100"),
    "ml-1m-diffrec": ("recall@20", "ndcg@20", "recall@10", "ndcg@10"),
    "amazon-cds": ("recall@20", "ndcg@20"),
    DEMO: ("recall@10", "ndcg@10"),
}
"""What is reported of the test."""

_LAMBDAS = (50.0, 100.0, 200.0, 400.0, 800.0, 1500.0)


def _linear(lambdas: Sequence[float], dropouts: Sequence[float], xis: Sequence[float] = ()) -> list[Setting]:
    points = product(lambdas, dropouts, xis or (None,))
    return [{"regularisation": one, "dropout": p, **({} if xi is None else {"xi": xi})} for one, p, xi in points]


_NETWORKS: dict[str, list[Setting]] = {"mult_dae": [{}], "mult_vae": [{}], "rec_vae": [{}]}
"""Their defaults, the same on every split."""

_FEW: Mapping[str, list[Setting]] = {
    "popularity": [{}],
    "ease": [{"regularisation": one} for one in (50.0, 100.0)],
    "low_pass": [{"vectors": 8}],
    "elsa": [{"code": 16, "epochs": 1}],
    "mult_vae": [{"code": 8, "hidden": 16, "epochs": 1, "batch_size": 100}],
}
"""Of a smoke run."""


def _filters(most: int) -> list[Setting]:
    """Low-pass filters with up to ``most`` vectors."""
    return [
        *({"vectors": most, "degree_power": degree} for degree in (0.0, 0.25, 0.5)),
        *({"vectors": most // 2, "degree_power": degree} for degree in (0.25, 0.5)),
        {"vectors": most // 4, "degree_power": 0.25},
        {"vectors": most, "degree_power": 0.25, "linear": 0.7},
        {"vectors": most, "degree_power": 0.25, "item_power": 0.3},
    ]


def choices(split: str, model: str) -> list[Setting]:
    """The settings of a model to try on a split; none where it is left out."""
    if split == DEMO:
        return _FEW.get(model, [])
    common: dict[str, list[Setting]] = {"popularity": [{}], "item_knn": [{"neighbours": m} for m in (20, 50, 100, 200)]}
    if split in WIDE:
        wide: dict[str, list[Setting]] = {
            "sparse_linear": [
                *_linear((20.0, 50.0, 100.0), (0.3,)),
                *_linear((50.0,), (0.1, 0.5)),
                *({**one, "neighbours": 200} for one in _linear((50.0, 100.0), (0.3,))),
                *({**one, "length_power": 0.25} for one in _linear((50.0,), (0.5,))),
            ],
            "low_pass": _filters(512),
            "als": [{"factors": factors, "alpha": 10.0, "regularisation": 10.0} for factors in (256, 512)],
            # A code of 128 had been worse than one of 256; large batches take fewer of the steps that cost most.
            "elsa": [{"code": 384, "epochs": 12, "batch_size": 2048}, {"code": 256, "epochs": 12, "batch_size": 512}],
            "mult_vae": [{"batch_size": 500, "epochs": 40, "patience": 6}],
            "mult_dae": [{"batch_size": 500, "epochs": 40, "patience": 6}],
        }
        return {**common, **wide}.get(model, [])
    everything: dict[str, list[Setting]] = {
        **common,
        "ease": [{"regularisation": one} for one in _LAMBDAS],
        "edlae": _linear((100.0, 200.0, 400.0, 800.0), (0.3, 0.5)),
        "rdlae": _linear((100.0, 200.0, 400.0, 800.0), (0.5,), (0.3, 0.5)),
        "sparse_linear": _linear(
            (25.0, 50.0, 100.0) if split in ("ml-100k", "goodbooks") else (50.0, 150.0, 400.0), (0.3, 0.5)
        ),
        "low_pass": _filters(128 if split == "ml-100k" else 256),
        "elsa": [{"code": code, "epochs": epochs} for code in (256, 512) for epochs in (10, 20)],
        **_NETWORKS,
    }
    if split == "goodbooks":
        # Sparser than films: the first grids were best at their low end.
        low = _linear((25.0, 50.0), (0.5,), (0.3,))
        everything["rdlae"] = [*_linear((100.0, 200.0, 400.0), (0.5,), (0.3, 0.5)), *low]
        everything["ease"] = [{"regularisation": one} for one in (25.0, 50.0, 100.0, 200.0)]
    return everything.get(model, [])


MODELS = (
    "popularity", "item_knn", "ease", "edlae", "rdlae", "sparse_linear", "low_pass", "elsa", "mult_dae",
    "mult_vae", "rec_vae", "als",
)  # fmt: skip
SOLVED = ("ease", "edlae", "rdlae", "sparse_linear")
TRAINED = ("elsa", "rec_vae", "mult_vae")
BLENDS: Mapping[str, Sequence[str]] = {"blend-of-closed-forms": ("low_pass",), "blend": ("low_pass", *TRAINED, "als")}
"""What the best linear model is joined with; nothing that a split has no final line of."""

NAMESAKES: Mapping[str, Sequence[str]] = {
    "mult_vae": ("recbole MultiVAE", "cornac VAECF"),
    "rec_vae": ("recbole RecVAE", "cornac RecVAE"),
}
"""Rivals that are the same published model, compared in the metric that settings are chosen by."""
