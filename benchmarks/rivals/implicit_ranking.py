"""implicit's side of ``recommendation_rivals``: ALS or BPR on one core. See ``handover.py``."""

import numpy as np
from handover import Job, Score, Watch, run
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

MODELS = {"ALS": AlternatingLeastSquares, "BPR": BayesianPersonalizedRanking}


def fit(job: Job, watch: Watch) -> Score:
    """Strangers are folded in by ALS, as it does itself; BPR has no way to."""
    model = MODELS[job.model](**job.settings, num_threads=1, random_state=job.seed)
    model.fit(job.train, show_progress=False)
    watch.epoch = job.settings["iterations"]

    def score(history: csr_matrix, people: np.ndarray) -> np.ndarray:
        known = people.min() >= 0
        told = model.user_factors[people] if known else model.recalculate_user(np.arange(len(people)), history)
        return told @ model.item_factors.T

    return score


if __name__ == "__main__":
    run(fit)
