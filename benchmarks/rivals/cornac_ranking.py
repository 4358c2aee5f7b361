"""Cornac's side of ``recommendation_rivals``: EASE, VAECF or RecVAE. See ``handover.py``.

Cornac's fits are run as they are, but for what only helps them: training stops early on the validation part (its
progress bar is where an epoch ends); RecVAE is asked with its dropout off, which Cornac forgets; and RecVAE does not
rank everybody's own training items after each epoch, which Cornac does for its progress bar.
"""

from collections.abc import Iterator
from typing import Any

import cornac.eval_methods
import numpy as np
import torch
from cornac.data import Dataset
from cornac.models import EASE, VAECF, RecVAE
from cornac.models.recvae import recom_recvae
from cornac.models.vaecf import vaecf
from handover import Job, Score, Watch, run, spread
from scipy.sparse import csr_matrix

MODELS = {"EASE": EASE, "VAECF": VAECF, "RecVAE": RecVAE}


class Epochs:
    """Stands where Cornac makes its progress bar."""

    def __init__(self, watch: Watch, score: Score) -> None:
        self.watch, self.score = watch, score

    def __iter__(self) -> Iterator[int]:
        return self.watch.epochs(self.score)

    def set_postfix(self, **_: Any) -> None:
        """Nothing to show."""


def fit(job: Job, watch: Watch) -> Score:
    """Every person's answer comes from their history, in the way the model scores people it knows."""
    deep = {} if job.model == "EASE" else {"use_gpu": False, "n_epochs": job.epochs}
    model = MODELS[job.model](**job.settings, **deep, seed=job.seed, verbose=False)
    owners = np.repeat(np.arange(job.train.shape[0]), np.diff(job.train.indptr))
    triplets = zip(owners.tolist(), job.train.indices.tolist(), job.train.data.tolist(), strict=True)
    dataset = Dataset.from_uir(list(triplets), seed=job.seed)
    columns = np.array(dataset.item_ids)

    def score(history: csr_matrix, people: np.ndarray) -> np.ndarray:
        return spread(answers(job.model, model, history[:, columns]), columns, history.shape[1])

    bar = Epochs(watch, score)
    vaecf.trange = recom_recvae.trange = lambda *_, **__: bar
    cornac.eval_methods.ranking_eval = lambda **_: ([0.0],)
    model.fit(dataset)
    return score


@torch.no_grad()
def answers(name: str, model: Any, history: csr_matrix) -> np.ndarray:
    """Scores of the items that Cornac knows."""
    if name == "EASE":
        return np.asarray(history @ model.B)
    inputs = torch.tensor(history.toarray(), dtype=torch.float32)
    if name == "VAECF":
        return model.vae.decode(model.vae.encode(inputs)[0]).numpy()
    model.recvae_model.eval()
    return model.recvae_model(inputs, calculate_loss=False).numpy()


if __name__ == "__main__":
    run(fit)
