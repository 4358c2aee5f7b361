"""How fast is a full evaluation, beside RecBole 1.2.1: score, leave out what is seen, top k, recall and nDCG at 10, 20?

    python -m benchmarks.recommendation.evaluation --recbole-python PATH [--model BPR] [--repeats 9] [--rival-repeats 3]

MovieLens-1M, ratings of 3 and more (6,040 users × 3,629 items as RecBole counts them, its padding rows included),
split by RecBole, scored with the weights of a model that RecBole trained, in float32 on both sides: MultiVAE, or BPR,
where scoring costs next to nothing and the evaluation is all there is. RecBole runs as it comes (eval_batch_size 4096
is one user a step here) and with 4000000. The runs are interleaved; times are medians; the metrics must agree to 1e-4.
RecBole needs an environment of its own:

    torch==2.13.0 "numpy<2" "scipy<1.14" "pandas<2.3" "setuptools<80" recbole==1.2.1
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as functional
from scipy.sparse import csr_array, eye_array

from benchmarks.harness import median_ratio, record
from isthmus.batch import Bags
from isthmus.datafolder import dataset_path
from isthmus.protocols import Columns
from isthmus.tasks.evaluation import Evaluation, evaluate

RIVAL = Path(__file__).parents[1] / "rivals" / "recbole_evaluation.py"
AS_IT_COMES, LARGE = 4096, 4_000_000
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Factors:
    """BPR: a user's factors against every item's. Its inputs name a user each: bags of one entry."""

    users: torch.Tensor
    items: torch.Tensor

    @property
    def width(self) -> int:
        return len(self.items)

    def prepare(self, inputs: Bags) -> torch.Tensor:
        return self.users[inputs.indices]

    def scores(self, state: torch.Tensor, columns: Columns = None) -> torch.Tensor:
        return state @ self.items[slice(None) if columns is None else columns].T


@dataclass(frozen=True)
class Network:
    """MultiVAE with one hidden layer: tanh both ways, the mean as code, normalised bags as inputs."""

    table: torch.Tensor
    weights: Weights

    @property
    def width(self) -> int:
        return len(self.table)

    def prepare(self, inputs: Bags) -> torch.Tensor:
        summed = functional.embedding_bag(
            inputs.indices, self.table, inputs.offsets, mode="sum", include_last_offset=True
        )
        # All entries weigh 1, so the length of a bag's vector is the root of their number.
        lengths = inputs.lengths()[:, None].sqrt()
        hidden = torch.addcdiv(self.weights["encoder.0.bias"], summed, lengths).tanh_()
        code = self._linear(hidden, "encoder.2")
        return self._linear(code[:, : code.shape[1] // 2], "decoder.0").tanh_()

    def scores(self, state: torch.Tensor, columns: Columns = None) -> torch.Tensor:
        chosen = slice(None) if columns is None else columns
        weight, bias = self.weights["decoder.2.weight"], self.weights["decoder.2.bias"]
        return functional.linear(state, weight[chosen], bias[chosen])

    def _linear(self, values: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(values, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


@dataclass(frozen=True)
class Problem:
    ranker: Factors | Network
    inputs: csr_array
    seen: csr_array
    held_out: csr_array

    def evaluate(self) -> Evaluation:
        return evaluate(self.ranker, self.seen, self.held_out, METRICS, inputs=self.inputs)


def write_atomic(folder: Path, ratings: Path) -> None:
    """RecBole's form of the ratings."""
    with np.load(ratings) as table:
        columns = np.stack([table["user"], table["item"], table["rating"]], 1)
    (folder / "ml-1m").mkdir()
    header = "user_id:token\titem_id:token\trating:float"
    np.savetxt(folder / "ml-1m" / "ml-1m.inter", columns, fmt="%d", delimiter="\t", header=header, comments="")


def read_problem(path: Path) -> Problem:
    """What RecBole exported; its item 0 is padding, which no side may recommend."""
    with np.load(path) as export:
        table = {name: export[name] for name in export.files}
    users, width = table["users"], int(table["width"])
    rows = len(users)
    padding = csr_array((np.ones(rows, np.float32), np.zeros(rows, int), np.arange(rows + 1)), shape=(rows, width))
    seen, held_out, inputs = (matrix(table, name, width) for name in ("seen", "held_out", "inputs"))
    weights = {name: torch.from_numpy(value) for name, value in table.items() if name.endswith((".weight", ".bias"))}
    ranker: Factors | Network
    if "user_embedding.weight" in weights:
        ranker = Factors(weights["user_embedding.weight"][torch.from_numpy(users)], weights["item_embedding.weight"])
        inputs = csr_array(eye_array(rows, format="csr"))
    else:
        ranker = Network(weights["encoder.0.weight"].T.contiguous(), weights)
    return Problem(ranker, inputs, csr_array(seen + padding), held_out)


def matrix(table: Mapping[str, np.ndarray], name: str, width: int) -> csr_array:
    columns, counts = table[name], table[f"{name}_counts"]
    ends = np.concatenate([[0], np.cumsum(counts)])
    return csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(counts), width))


class Recbole:
    """RecBole in its own process, asked for one evaluation at a time."""

    def __init__(self, python: str, folder: Path, model: str, epochs: int) -> None:
        command = [python, str(RIVAL), str(folder), model, str(epochs)]
        log = (folder / "recbole.log").open("w")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        if self._read() != "ready\n":
            raise SystemExit((folder / "recbole.log").read_text()[-2000:])

    def evaluate(self, eval_batch_size: int) -> dict[str, Any]:
        sent: IO[str] | None = self._process.stdin
        assert sent is not None
        sent.write(f"{eval_batch_size}\n")
        sent.flush()
        answer: dict[str, Any] = json.loads(self._read())
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def compare(problem: Problem, rival: Recbole, repeats: int, rival_repeats: int) -> dict[str, Any]:
    """Interleaved runs, after one of each that does not count."""
    times: dict[str, list[float]] = {"isthmus": [], "recbole": [], "recbole_large": []}
    values = problem.evaluate()
    for _ in range(2):
        rival.evaluate(LARGE)
    for turn in range(max(repeats, rival_repeats)):
        if turn < repeats:
            start = time.perf_counter()
            values = problem.evaluate()
            times["isthmus"].append(time.perf_counter() - start)
            large = rival.evaluate(LARGE)
            times["recbole_large"].append(large["seconds"])
        if turn < rival_repeats:
            plain = rival.evaluate(AS_IT_COMES)
            times["recbole"].append(plain["seconds"])
    apart = max(abs(values.means[name] - side["metrics"][name]) for name in METRICS for side in (plain, large))
    if apart > 1e-4:
        raise SystemExit(f"the metrics differ by {apart}: {values.means}, {plain['metrics']}, {large['metrics']}")
    return {
        "seconds": {name: round(statistics.median(series), 4) for name, series in times.items()},
        "runs": {name: [round(one, 4) for one in series] for name, series in times.items()},
        "times_faster_than_recbole": round(median_ratio(times["recbole"], times["isthmus"]), 1),
        "times_faster_than_recbole_large": round(median_ratio(times["recbole_large"], times["isthmus"]), 2),
        "users_a_step": {"recbole": plain["users_a_step"], "recbole_large": large["users_a_step"]},
        "metrics": dict(values.means),
        "metrics_apart": apart,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recbole-python", required=True, help="the interpreter of RecBole's environment")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--rival-repeats", type=int, default=3)
    parser.add_argument("--model", default="MultiVAE", choices=("MultiVAE", "BPR"))
    parser.add_argument("--epochs", type=int, default=5, help="of RecBole's training, before anything is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_atomic(folder, dataset_path("ml-1m") / "ratings.npz")
        rival = Recbole(given.recbole_python, folder, given.model, given.epochs)
        problem = read_problem(folder / "export.npz")
        found = compare(problem, rival, given.repeats, given.rival_repeats)
        rival.close()
    rows, width = problem.seen.shape
    line = record("evaluation", rival="recbole 1.2.1", model=given.model, users=rows, items=width, **found)
    print(json.dumps(line, indent=2))


if __name__ == "__main__":
    main()
