"""Search spaces of ``tune``: for each builder its settings with their ranges.

Settings that are not listed keep their defaults. Epochs and patience control the length of the training and can be
given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus import plugins
from isthmus.errors import SettingError


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; integers if both ends are integers.

    Attributes:
        low: smallest value.
        high: largest value.
        log: whether values are sampled on a logarithmic scale.
    """

    low: int | float
    high: int | float
    log: bool = False

    def __contains__(self, value: Any) -> bool:
        whole = type(self.low) is int and type(self.high) is int
        return type(value) in ((int,) if whole else (int, float)) and self.low <= value <= self.high


Categorical = tuple[str | int | float | bool | None, ...]
"""One of several values without an order."""

Space = Mapping[str, Range | Categorical]

_RIDGE = Range(10.0, 5000.0, log=True)
_POWER = (0.0, 0.25, 0.5)
"""Values of ``length_power``: few, because each has its own Gram matrix, which trials share."""
_SHARE = Range(0.1, 0.8)
_RATE = Range(1e-4, 1e-2, log=True)
_WIDTH = Range(100, 1200, log=True)
_CODE = Range(32, 512, log=True)
_BATCH = (None, 100, 250, 500, 1000)
"""Numbers of users per batch; None depends on the number of users."""
_KIND: Space = {
    "code": Range(16, 512, log=True),
    "hidden": _WIDTH,
    "batch_size": (64, 128, 256, 512),
    "learning_rate": _RATE,
}
"""Settings that the five kinds of autoencoders share."""

SPACES: Mapping[str, Space] = {
    "als": {
        "factors": _CODE,
        "regularisation": Range(1e-3, 100.0, log=True),
        "alpha": Range(0.1, 100.0, log=True),
    },
    "bpr": {
        "factors": _CODE,
        "regularisation": Range(1e-4, 0.1, log=True),
        "learning_rate": Range(1e-3, 0.3, log=True),
    },
    "ease": {"regularisation": _RIDGE, "length_power": _POWER},
    "edlae": {"regularisation": _RIDGE, "dropout": Range(0.0, 0.9), "length_power": _POWER},
    "rdlae": {
        "regularisation": _RIDGE,
        "dropout": Range(0.0, 0.9),
        "xi": Range(0.0, 1.0),
        "length_power": _POWER,
    },
    "sequence_linear": {
        "tau": Range(0.3, 30.0, log=True),
        "regularisation": Range(5.0, 5000.0, log=True),
        "target_power": Range(0.0, 0.5),
        "input_power": Range(0.0, 1.0),
    },
    "sequence_recommender": {
        "hidden": (32, 64, 128, 256),
        "layers": Range(1, 4),
        "dropout": Range(0.0, 0.6),
        "block": ("plain", "gated"),
        "tokens": (512, 1024, 2048, 4096, 8192),
        "learning_rate": _RATE,
    },
    "recent": {"half_life": Range(1.0, 300.0, log=True)},
    "item_knn": {"neighbours": Range(5, 1000, log=True)},
    "sparse_linear": {
        "neighbours": Range(25, 200, log=True),
        "regularisation": Range(5.0, 2000.0, log=True),
        "dropout": Range(0.0, 0.9),
        "xi": Range(0.0, 1.0),
        "length_power": _POWER,
    },
    "low_pass": {
        "vectors": Range(32, 1024, log=True),
        "user_power": Range(0.0, 0.7),
        "item_power": Range(0.0, 0.7),
        "degree_power": Range(0.0, 0.7),
        "linear": Range(0.0, 1.0),
    },
    "elsa": {
        "code": Range(64, 1024, log=True),
        "batch_size": (128, 256, 512, 1024),
        "learning_rate": Range(3e-3, 0.3, log=True),
        "decay": ("cosine", "constant"),
    },
    "mult_dae": {
        "code": _CODE,
        "dropout": _SHARE,
        "batch_size": _BATCH,
        "learning_rate": _RATE,
        "weight_decay": Range(1e-7, 1e-3, log=True),
    },
    "mult_vae": {
        "hidden": _WIDTH,
        "code": _CODE,
        "dropout": _SHARE,
        "gamma": Range(5e-4, 0.05, log=True),
        "batch_size": _BATCH,
        "learning_rate": _RATE,
    },
    "rec_vae": {
        "hidden": _WIDTH,
        "code": _CODE,
        "gamma": Range(5e-4, 0.05, log=True),
        "dropout": _SHARE,
        "batch_size": _BATCH,
        "learning_rate": _RATE,
    },
    "vanilla": _KIND,
    "denoising": _KIND,
    "variational": {**_KIND, "beta": Range(0.02, 1.0, log=True), "annealing": Range(0.1, 1.0)},
    "sparse": {**_KIND, "code": Range(128, 4096, log=True), "k": Range(4, 256, log=True)},
    "contractive": {**_KIND, "weight": Range(1e-3, 10.0, log=True)},
}
"""Search spaces by the builder's Python name. Each range contains the default, because the first trial uses it."""


def space_of(name: str, fixed: Mapping[str, Any]) -> Space:
    """The search space of a model without its fixed settings.

    Args:
        name: name of the builder, as in Python or with hyphens.
        fixed: settings that are not searched.

    Raises:
        SettingError: nothing can be searched, because the model has no search space or all of its settings are fixed.
    """
    whole = SPACES.get(plugins.python_name(name))
    if whole is None:
        known = ", ".join(plugins.command_name(known) for known in SPACES)
        raise SettingError(
            f"{name} has no settings to search", expected=f"one of: {known}", remedy="fit it with its defaults"
        )
    left = {setting: span for setting, span in whole.items() if setting not in fixed}
    if not left:
        raise SettingError(
            f"all searchable settings of {name} are given", expected=f"one of {', '.join(whole)} not given"
        )
    return left


def described(space: Space) -> dict[str, Any]:
    """The space as a JSON document."""
    return {name: _described(span) for name, span in space.items()}


def _described(span: Range | Categorical) -> Any:
    return {"low": span.low, "high": span.high, "log": span.log} if isinstance(span, Range) else list(span)
