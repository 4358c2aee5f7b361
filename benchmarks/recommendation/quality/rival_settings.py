"""Which rivals stand beside us, and the settings that each may choose from on the validation part: their own defaults
and, where these are made for other data or are mistaken, better ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Rival:
    """A model of another library.

    Attributes:
        library: whose it is.
        model: its name there.
        settings: at most eight.
        epochs: the most that are trained; None where the settings say it or nothing is trained in epochs.
        every: epochs between looks at the validation part.
        patience: looks without a better one before it stops.
        folds_in: whether people it has not been trained on can be asked about.
        elsewhere: the settings for splits where all would take too long.
    """

    library: str
    model: str
    settings: Sequence[Setting]
    epochs: int | None = None
    every: int = 2
    patience: int = 5
    folds_in: bool = True
    elsewhere: Mapping[str, Sequence[Setting]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Library and model."""
        return f"{self.library} {self.model}"

    def choices(self, split: str) -> Sequence[Setting]:
        """What to choose from on a split."""
        return self.elsewhere.get(split, self.settings)


def _als(factors: int, alpha: float, regularization: float) -> Setting:
    return {"factors": factors, "alpha": alpha, "regularization": regularization, "iterations": 15}


def _bpr(factors: int, learning_rate: float, regularization: float, iterations: int) -> Setting:
    return {
        "factors": factors,
        "learning_rate": learning_rate,
        "regularization": regularization,
        "iterations": iterations,
    }


_MULTIVAE = {"train_batch_size": 500, "learning_rate": 1e-3}
_VAECF = {"k": 200, "autoencoder_structure": [600]}

ALS = Rival(
    "implicit",
    "ALS",
    [
        _als(100, 1, 0.01),
        _als(64, 2, 10),
        _als(64, 5, 50),
        _als(128, 5, 50),
        _als(128, 10, 150),
        _als(256, 5, 50),
        _als(256, 10, 100),
        _als(256, 20, 300),
    ],
    elsewhere={
        "amazon-cds": [_als(100, 1, 0.01), _als(64, 10, 1), _als(128, 10, 10), _als(256, 10, 10), _als(256, 5, 5)]
    },
)
BPR = Rival(
    "implicit",
    "BPR",
    [
        _bpr(100, 0.01, 0.01, 100),
        _bpr(128, 0.05, 0.01, 100),
        _bpr(64, 0.02, 0.01, 300),
        _bpr(32, 0.01, 0.05, 100),
        _bpr(64, 0.02, 0.1, 50),
    ],
    folds_in=False,
)
EASE_CORNAC = Rival(
    "cornac",
    "EASE",
    [{"lamb": 500, "posB": True}, *({"lamb": one, "posB": False} for one in (100, 200, 500, 1000))],
    elsewhere={"amazon-cds": [{"lamb": 500, "posB": False}]},
)
EASE_RECBOLE = Rival(
    "recbole",
    "EASE",
    [{"reg_weight": one} for one in (100.0, 250.0, 500.0, 1000.0)],
    elsewhere={"amazon-cds": [{"reg_weight": 500.0}]},
)
# RecBole's 200,000 annealing steps are thousands of epochs here, so that the KL term hardly counts; the others take
# some thirty epochs. 500 people a step are a dozen steps an epoch here, and its 2048 would be three.
MULTIVAE = Rival(
    "recbole",
    "MultiVAE",
    [
        _MULTIVAE,
        {**_MULTIVAE, "latent_dimension": 400, "total_anneal_steps": 400},
        {**_MULTIVAE, "latent_dimension": 400, "total_anneal_steps": 2000, "train_batch_size": 100},
    ],
    epochs=150,
    every=3,
    elsewhere={"amazon-cds": [{**_MULTIVAE, "latent_dimension": 400, "total_anneal_steps": 2000}]},
)
VAECF = Rival(
    "cornac",
    "VAECF",
    [
        {**_VAECF, "batch_size": 100, "beta": 1.0},
        {**_VAECF, "batch_size": 100, "beta": 0.2},
        {**_VAECF, "batch_size": 500, "beta": 0.2},
    ],
    epochs=150,
    elsewhere={"amazon-cds": [{**_VAECF, "batch_size": 500, "beta": 0.2}]},
)


def _recvae_elsewhere(large: Setting, small: Setting) -> Mapping[str, Sequence[Setting]]:
    """An epoch takes long: batches of 500 on the largest split, and of 100 alone on two more, since four of
    five choices between both had fallen on them."""
    return {"amazon-cds": [large], "ml-1m-diffrec": [small], "goodbooks": [small]}


RECVAE_RECBOLE = Rival(
    "recbole",
    "RecVAE",
    [{"train_batch_size": one, "learning_rate": 5e-4} for one in (500, 100)],
    epochs=200,
    every=1,
    patience=10,
    elsewhere=_recvae_elsewhere(
        {"train_batch_size": 500, "learning_rate": 5e-4}, {"train_batch_size": 100, "learning_rate": 5e-4}
    ),
)
RECVAE_CORNAC = Rival(
    "cornac",
    "RecVAE",
    [{"batch_size": one} for one in (500, 100)],
    epochs=200,
    every=1,
    patience=10,
    elsewhere=_recvae_elsewhere({"batch_size": 500}, {"batch_size": 100}),
)

SMALL = ("ml-1m-ultragcn", "ml-1m-infinite-ae", "ml-100k", "goodbooks", "ml-1m-diffrec")
LARGE = ("amazon-cds",)
GROUPS: Sequence[tuple[Sequence[str], Sequence[Rival]]] = (
    (SMALL, (ALS, BPR, EASE_CORNAC, EASE_RECBOLE)),
    (SMALL, (MULTIVAE, VAECF)),
    (SMALL, (RECVAE_RECBOLE, RECVAE_CORNAC)),
    (LARGE, (ALS, BPR, MULTIVAE, VAECF, RECVAE_RECBOLE, RECVAE_CORNAC, EASE_RECBOLE, EASE_CORNAC)),
)
"""In the order in which the queue goes through them."""

RIVALS = {one.name: one for _, rivals in GROUPS for one in rivals}
