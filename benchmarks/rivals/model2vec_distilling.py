"""model2vec's side of ``text_static``; runs in an environment with ``model2vec[distill] scikit-learn torch``.

    python model2vec_distilling.py CHECKPOINT CODE FOLDER

Distils the encoder in CHECKPOINT (a directory) into CODE dimensions with the defaults of the library, and says "ready".
Each line of standard input names a JSON list of texts; their vectors are written to FOLDER/vectors.npy, and the answer
has the seconds of that, and the bytes of the saved model, as fp16 and in int8.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from model2vec import StaticModel
from model2vec.distill import distill


def main(checkpoint: str, code: int, folder: Path) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)
    started = time.perf_counter()
    distil = distill(checkpoint, device="cpu", pca_dims=code)
    seconds = time.perf_counter() - started
    saved = folder / "model2vec"
    distil.save_pretrained(str(saved))
    small = folder / "model2vec-int8"
    StaticModel.from_pretrained(str(saved), quantize_to="int8").save_pretrained(str(small))
    bytes_of = {place.name: sum(one.stat().st_size for one in place.rglob("*")) for place in (saved, small)}
    model = StaticModel.from_pretrained(str(saved))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        texts = json.loads(Path(line.strip()).read_text(encoding="utf-8"))
        started = time.perf_counter()
        vectors = model.encode(texts, use_multiprocessing=False)
        taken = time.perf_counter() - started
        np.save(folder / "vectors.npy", np.asarray(vectors, dtype=np.float32), allow_pickle=False)
        answer = {"seconds": taken, "distilled_in": seconds, "bytes": bytes_of}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
