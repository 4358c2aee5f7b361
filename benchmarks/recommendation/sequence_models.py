"""The models of ``sequences`` with the settings that are tried, and published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Settings = Mapping[str, Any]

Grid = Mapping[str, Sequence[Settings]]
"""By label: the name of a model, and in brackets what is special about it."""


def _next(taus: Sequence[float], ridges: Sequence[float], **fixed: Any) -> list[Settings]:
    return [{"tau": tau, "regularisation": ridge, **fixed} for tau in taus for ridge in ridges]


def _recent(
    model: str, half_lives: Sequence[float | str], settings: Sequence[Settings], *, training: Sequence[bool] = (True,)
) -> list[Settings]:
    return [
        {"of": model, "half_life": life, "training": weighed, "settings": own}
        for life in half_lives
        for own in settings
        for weighed in training
    ]


BASELINES: Grid = {"popularity": [{}], "item-knn": [{"neighbours": count} for count in (20, 100, 500)]}
LAST_WEEK: Grid = {"popularity (last week)": [{"recent": "7d"}], "popularity (last month)": [{"recent": "30d"}]}
BLEND: Grid = {"blend": [{"parts": ["sequence-linear", "recent (ease)"]}]}

WITH_NETWORK: Grid = {
    "blend (with a network)": [{"parts": ["sequence-recommender", "sequence-linear", "recent (ease)"]}]
}

_SHORT = {"layers": 1, "length": 50, "tokens": 1024}
_WIDER = {**_SHORT, "hidden": 128, "dropout": 0.5}

_AMAZON: Grid = {
    **BASELINES,
    "ease": [{"regularisation": 100.0}],
    "recent (ease)": _recent("ease", [3.5], [{"regularisation": 100.0}], training=(False,)),
    "sequence-linear": _next([3.0], [50.0, 100.0, 200.0], ask_tau=2.0, neighbours=200),
    **BLEND,
    "sequence-recommender": [{**_SHORT, "dropout": 0.3}, _WIDER],
    "sequence-recommender (codes)": [{**_WIDER, "variational": True, "beta": 0.001}],
    **WITH_NETWORK,
}
_WEEKLY: Grid = {
    **BASELINES,
    **LAST_WEEK,
    "ease": [{"regularisation": ridge} for ridge in (50.0, 200.0, 500.0)],
    "recent (ease)": _recent("ease", [5.0, 20.0], [{"regularisation": ridge} for ridge in (20.0, 100.0)]),
    "sequence-linear": _next([2.0, 5.0, 20.0], [50.0, 200.0]),
    "sequence-linear (times)": _next([5.0, 20.0], [50.0, 200.0], time_tau="7d", least=0.2),
    **BLEND,
}
GRIDS: Mapping[str, Grid] = {
    "toys": _AMAZON,
    "sports": _AMAZON,
    "ml-1m": {
        **BASELINES,
        "ease": [{"regularisation": 500.0}],
        "recent (ease)": _recent("ease", [20.0], [{"regularisation": 500.0}], training=(True, False)),
        "sequence-linear": [*_next([4.0, 5.0], [500.0], ask_tau=4.0, input_power=0.5), *_next([4.0], [500.0])],
        **BLEND,
        "sequence-recommender": [{"tokens": 4096, "dropout": 0.2}],
        **WITH_NETWORK,
    },
    "ml-latest-small": _WEEKLY,
    "ml-100k": _WEEKLY,
    "rsc15": {
        **BASELINES,
        **LAST_WEEK,
        "ease": [{"regularisation": ridge} for ridge in (10.0, 50.0)],
        "recent (ease)": _recent("ease", [1.0, 3.0], [{"regularisation": ridge} for ridge in (5.0, 20.0)]),
        "sequence-linear": _next([0.7, 1.5, 3.0], [2.0, 10.0]),
        **BLEND,
    },
    "drawn": {
        "popularity": [{}],
        "recent (ease)": _recent("ease", [2.0], [{"regularisation": 5.0}]),
        "sequence-linear": _next([1.0], [1.0, 5.0]),
        **BLEND,
        "sequence-recommender": [{"layers": 1, "length": 8, "epochs": 2}],
        "sequence-recommender (codes)": [{"layers": 1, "length": 8, "epochs": 2, "variational": True}],
        **WITH_NETWORK,
    },
}
"""By data set, and in the order in which they are measured: blends are last."""

PUBLISHED: Mapping[str, Sequence[tuple[str, tuple[float, ...]]]] = {
    "toys": [
        ("SASRec with a sampled softmax", (0.0970, 0.0580)),
        ("eSASRec", (0.0939, 0.0538)),
        ("HSTU", (0.0778, 0.0450)),
        ("TIGER", (0.0712, 0.0432)),
    ],
    "sports": [
        ("SASRec with a sampled softmax", (0.0569, 0.0314)),
        ("eSASRec", (0.0560, 0.0323)),
        ("HSTU", (0.0437, 0.0243)),
        ("SASRec", (0.0350, 0.0192)),
    ],
    "ml-1m": [
        ("SASRec, 108 settings tried", (0.3207, 0.1858)),
        ("FuXi-α", (0.3164, 0.1813)),
        ("eSASRec", (0.3133, 0.1772)),
        ("SASRec of RecTools with a full softmax", (0.3058, 0.1779)),
        ("BERT4Rec of RecTools", (0.2921, 0.1618)),
    ],
}
"""Of leave-one-out, all items ranked, seen ones masked, trained without the validation item."""
