"""What the processes of a training on texts do in tests, and the same in one process; see ``sharded_runs``.

As a script it is started by torchrun: ``text_runs.py OUT JOB ...`` does jobs below, with the batches split.
"""

import os
import random
from typing import Any

import tiny_bert
from sharded_runs import main

from isthmus.training.run import Run
from isthmus_text import TextAutoencoder

TEXTS, TOKENS = 150, 150
CHECKPOINT = "TINY_CHECKPOINT"
"""Environment variable with the folder of a small checkpoint: transformers writes one in the first process only."""

SMALL = {"hidden": 16, "code": 8, "epochs": 7, "tokens": TOKENS}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "transformer": (
        "sequence-vae",
        {**SMALL, "heads": 2, "layers": 1, "dropout": 0.2, "word_dropout": 0.3, "collapse": "free-bits"},
    ),
    "lstm": ("sequence-vae", {**SMALL, "form": "lstm", "dropout": 0.2, "collapse": "free-bits"}),
    "superposed": (
        "sequence-vae",
        {**SMALL, "form": "superposed", "variational": False, "heads": 2, "layers": 1, "dropout": 0.2, "deletion": 0.2},
    ),
    "contractive": (
        "contractive",
        {"hidden": 16, "code": 8, "epochs": 7, "tokens": TOKENS, "learning_rate": 1e-4},
    ),
    "static": ("static-embeddings", {"code": 8, "epochs": 8, "batch_size": 20}),
    "patient": (
        "sequence-vae",
        {**SMALL, "form": "lstm", "variational": False, "epochs": 40, "patience": 1, "learning_rate": 0.02},
    ),
    "pretrained": (
        "denoising-text",
        {"layers": 1, "heads": 2, "epochs": 7, "tokens": TOKENS, "dropout": 0.1, "anchor": 5.0, "contrastive": 1.0},
    ),
}
"""A model and its settings by name: at least 50 steps each."""

PRETRAINED = ("static", "pretrained")
"""Those that begin with a checkpoint."""


def texts() -> list[str]:
    """Texts of the words that the small checkpoint knows, of different lengths."""
    drawn = random.Random(0)
    return [" ".join(drawn.choices(tiny_bert.WORDS[4:], k=drawn.randrange(2, 9))) for _ in range(TEXTS)]


def fitted(name: str, run: Run, **changes: Any) -> TextAutoencoder:
    """One of the jobs, on the same texts; some need the folder of a checkpoint in the environment."""
    model, settings = JOBS[name]
    own = {"checkpoint": os.environ[CHECKPOINT]} if name in PRETRAINED else {"tokenizer": "word"}
    return TextAutoencoder.fit(texts(), model, run=run, **settings | own | changes)


if __name__ == "__main__":
    main(JOBS, fitted, "batches")
