"""RecBole's side of ``recommendation_rivals``: EASE, MultiVAE or RecVAE. See ``handover.py``.

RecBole's own data set, loader, model and trainer; an epoch is one call of its trainer's. Stopping early and ranking are
done here, so that everybody is asked in the same way and strangers can be asked about.
"""

import sys
from typing import Any

import numpy as np
import torch
from handover import Job, Score, Watch, run, spread
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import UserDataLoader
from recbole.utils import get_model, get_trainer, init_seed
from scipy.sparse import csr_matrix

# The auto-encoders learn from positives only, and RecBole asks to be told so.
SETTINGS = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "load_col": {"inter": ["user_id", "item_id"]},
    "train_neg_sample_args": None,
    "show_progress": False,
    "use_gpu": False,
}


def fit(job: Job, watch: Watch) -> Score:
    """Every person's answer comes from their history, in the way the model scores people it knows."""
    config, dataset = prepared(job)
    model = get_model(job.model)(config, dataset)
    tokens = dataset.field2id_token[dataset.iid_field]
    columns = tokens[1:].astype(np.int64)

    def score(history: csr_matrix, people: np.ndarray) -> np.ndarray:
        return spread(answers(job.model, model, history[:, columns]), columns, history.shape[1])

    if job.model != "EASE":
        loader = UserDataLoader(config, dataset, None, shuffle=True)
        trainer = get_trainer(config["MODEL_TYPE"], job.model)(config, model)
        for epoch in watch.epochs(score):
            model.train()
            trainer._train_epoch(loader, epoch - 1)
    return score


def prepared(job: Job) -> tuple[Config, Any]:
    """RecBole's atomic file, read by RecBole; everything in it is for training."""
    folder = job.folder / "rival"
    folder.mkdir(exist_ok=True)
    owners = np.repeat(np.arange(job.train.shape[0]), np.diff(job.train.indptr))
    pairs = np.stack([owners, job.train.indices], axis=1)
    np.savetxt(
        folder / "rival.inter", pairs, fmt="%d", delimiter="\t", header="user_id:token\titem_id:token", comments=""
    )
    sys.argv = sys.argv[:1]
    fixed = {**SETTINGS, "data_path": str(job.folder), "seed": job.seed, "checkpoint_dir": str(job.folder)}
    config = Config(model=job.model, dataset="rival", config_dict={**fixed, **job.settings})
    init_seed(job.seed, True)
    dataset = create_dataset(config)
    dataset._change_feat_format()
    return config, dataset


@torch.no_grad()
def answers(name: str, model: Any, history: csr_matrix) -> np.ndarray:
    """Scores of the items that RecBole knows; its own column 0 is padding."""
    if name == "EASE":
        shifted = csr_matrix(
            (history.data, history.indices + 1, history.indptr), shape=(history.shape[0], history.shape[1] + 1)
        )
        return np.asarray(shifted @ np.asarray(model.item_similarity))[:, 1:]
    model.eval()
    inputs = torch.zeros(history.shape[0], model.n_items)
    inputs[:, 1:] = torch.from_numpy(history.toarray())
    found = model(inputs) if name == "MultiVAE" else model(inputs, 0.0)
    return found[0][:, 1:].numpy()


if __name__ == "__main__":
    run(fit)
