"""RecBole's side of ``recommender_speed``: MultiVAE, trained and validated by its own trainer.

    python recbole_training.py FOLDER

FOLDER/speed/speed.{train,valid,test}.inter are its atomic files; ``job.json`` holds epochs, patience and settings. The
answer is one line of JSON: the seconds since the first epoch began and the validation nDCG@10 at the end of each.
"""

import functools
import json
import os
import sys
import time

import torch

# RecBole 1.2.1 predates the safe default of torch.load.
torch.load = functools.partial(torch.load, weights_only=False)

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

SETTINGS = {
    "data_path": ".",
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "load_col": {"inter": ["user_id", "item_id"]},
    "benchmark_filename": ["train", "valid", "test"],
    "train_neg_sample_args": None,
    "eval_args": {"mode": "full", "order": "RO"},
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "metric_decimal_place": 8,
    # The whole validation part in a few steps: with the default each person is a step of their own.
    "eval_batch_size": 4_000_000,
    "eval_step": 1,
    "show_progress": False,
    "use_gpu": False,
}


def main(folder: str) -> None:
    os.chdir(folder)
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.argv = sys.argv[:1]
    with open("job.json", encoding="utf-8") as file:
        job = json.load(file)
    fixed = {**SETTINGS, "epochs": job["epochs"], "stopping_step": job["patience"], "seed": job["seed"]}
    config = Config(model="MultiVAE", dataset="speed", config_dict={**fixed, **job["settings"]})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train_data, valid_data, _ = data_preparation(config, dataset)
    model = get_model("MultiVAE")(config, train_data.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "MultiVAE")(config, model)
    times, scores = [], []

    def watch(epoch: int, score: float) -> None:
        times.append(time.perf_counter() - started)
        scores.append(float(score))

    started = time.perf_counter()
    trainer.fit(train_data, valid_data, saved=False, callback_fn=watch)
    print(json.dumps({"seconds": times, "scores": scores}), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
