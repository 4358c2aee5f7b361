"""RecBole's side of the benchmark ``evaluation``; runs in RecBole's own environment.

    python recbole_evaluation.py FOLDER MODEL EPOCHS

FOLDER/ml-1m/ml-1m.inter is RecBole's atomic file. Trains MODEL (MultiVAE or BPR), writes FOLDER/export.npz (weights,
what each tested user has in the training part, has seen at all, and what was held out), says "ready", and then answers
each line of standard input, an eval_batch_size, with one JSON line: the seconds of ``trainer.evaluate`` and its
metrics.
"""

import functools
import json
import os
import sys
import time

import numpy as np
import torch

# RecBole 1.2.1 predates the safe default of torch.load.
torch.load = functools.partial(torch.load, weights_only=False)

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.data.dataloader import FullSortEvalDataLoader  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

SETTINGS = {
    "data_path": ".",
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "RATING_FIELD": "rating",
    "load_col": {"inter": ["user_id", "item_id", "rating"]},
    "val_interval": {"rating": "[3,inf)"},
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "order": "RO", "mode": "full"},
    "embedding_size": 64,
    "train_batch_size": 8192,
    "metrics": ["Recall", "NDCG"],
    "topk": [10, 20],
    "valid_metric": "NDCG@10",
    "metric_decimal_place": 8,
    "eval_step": 0,
    "show_progress": False,
    "use_gpu": False,
    "seed": 2026,
}


def export(model, train_data, test_data) -> None:
    """What the other side needs, by RecBole's own internal ids."""
    users = test_data.uid_list.numpy()
    trained = train_data.dataset.inter_matrix("csr")[users]
    lists = {"seen": test_data.uid2history_item[users], "held_out": test_data.uid2positive_item[users]}
    lists["inputs"] = [torch.from_numpy(row) for row in np.split(trained.indices, trained.indptr[1:-1])]
    arrays = {name: np.concatenate([one.numpy() for one in rows]) for name, rows in lists.items()}
    counts = {f"{name}_counts": [len(one) for one in rows] for name, rows in lists.items()}
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    np.savez("export.npz", users=users, width=test_data._dataset.item_num, **arrays, **counts, **weights)


def main(folder: str, name: str, epochs: int) -> None:
    os.chdir(folder)
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.argv = sys.argv[:1]
    # The auto-encoders learn from positives only, and RecBole asks to be told so.
    extra = {} if name == "BPR" else {"train_neg_sample_args": None, "train_batch_size": 512}
    config = Config(model=name, dataset="ml-1m", config_dict={**SETTINGS, "epochs": epochs, **extra})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train_data, _, test_data = data_preparation(config, dataset)
    model = get_model(name)(config, train_data.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    trainer.fit(train_data, saved=False)
    export(model, train_data, test_data)
    print("ready", file=answers, flush=True)
    loaders = {}
    for line in sys.stdin:
        size = int(line)
        if size not in loaders:
            config["eval_batch_size"] = size
            loaders[size] = FullSortEvalDataLoader(config, test_data._dataset, test_data._sampler)
        start = time.perf_counter()
        result = trainer.evaluate(loaders[size], load_best_model=False)
        taken = time.perf_counter() - start
        report = {"seconds": taken, "users_a_step": loaders[size].step, "metrics": dict(result)}
        print(json.dumps(report), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
