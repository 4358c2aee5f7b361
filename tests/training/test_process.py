"""A real SIGINT to a child process: the best model so far is kept and the program goes on."""

import json
import signal
import subprocess
import sys
import threading

from isthmus.training.process import interruptible

CHILD = """
import json, sys, time
import numpy as np, torch
from scipy.sparse import csr_array
from isthmus.batch import Bag
from isthmus.models import mult_vae
from isthmus.sources import BagSource
from isthmus.training.run import Run, Validation

dense = (np.random.default_rng(0).random((60, 20)) < 0.3).astype(np.float32)
recipe = mult_vae(Bag(20), generator=Run().generator(), hidden=8, code=4, epochs=100_000, batch_size=8)
scores, kept = [], {}

def score(model):
    scores.append(-len(scores))
    if len(scores) == 1:
        kept.update({n: t.clone() for n, t in model.state_dict().items()})
    if len(scores) == 3:
        print("ready", flush=True)
    return float(scores[-1])

history = recipe.fit(BagSource.from_csr(csr_array(dense)), Run(device="cpu"), Validation("falling", score))
best = all(torch.equal(t, kept[n]) for n, t in recipe.model.state_dict().items())
print(json.dumps({"interrupted": history.interrupted, "best_epoch": history.best_epoch, "best": best}))
"""


def test_ctrl_c_keeps_the_best_model_so_far():
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert json.loads(out) == {"interrupted": True, "best_epoch": 1, "best": True}


def test_the_handler_is_put_back_and_a_second_ctrl_c_is_an_exception():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_caught():
    seen = []

    def work():
        with interruptible() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
