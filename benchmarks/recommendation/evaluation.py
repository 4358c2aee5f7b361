"""How fast is a full evaluation (scores, top k without seen items, recall and nDCG at 10 and 20) beside RecBole 1.2.1?

MovieLens-1M, ratings of 3 and more (6,040 users × 3,629 items as RecBole counts them, its padding rows included),
split by RecBole, scored with the weights of a model that RecBole trained, in float32 on both sides: MultiVAE, or BPR,
where scoring costs next to nothing and the evaluation is all there is. RecBole runs as it comes (eval_batch_size 4096
is one user a step here) and with 4000000. The runs are interleaved; times are medians; the metrics must agree to 1e-4.
RecBole needs an environment of its own:

    torch==2.13.0 "numpy<2" "scipy<1.14" "pandas<2.3" "setuptools<80" recbole==1.2.1
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as functional
import typer
from scipy.sparse import csr_array, eye_array

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, median_ratio, medians, newest
from benchmarks.processes import Python, Server, available
from isthmus.batch import Bags
from isthmus.datafolder import dataset_path
from isthmus.protocols import Columns
from isthmus.tasks.evaluation import Evaluation, evaluate

NAME = "evaluation"
TITLE = "Evaluation (ML-1M, recall and nDCG at 10 and 20, equal metrics)"
MODELS = ("MultiVAE", "BPR")
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
        return problem_of({name: export[name] for name in export.files})


def problem_of(table: Mapping[str, np.ndarray]) -> Problem:
    """The weights of a model and everybody's items, seen and held out."""
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


def compare(problem: Problem, rival: Server, repeats: int, rival_repeats: int) -> Line:
    """Interleaved runs, after one of each that does not count."""
    times: dict[str, list[float]] = {"isthmus": [], "recbole": [], "recbole_large": []}
    values = problem.evaluate()
    for _ in range(2):
        rival.ask(LARGE)
    for turn in range(max(repeats, rival_repeats)):
        if turn < repeats:
            start = time.perf_counter()
            values = problem.evaluate()
            times["isthmus"].append(time.perf_counter() - start)
            large = rival.ask(LARGE)
            times["recbole_large"].append(large["seconds"])
        if turn < rival_repeats:
            plain = rival.ask(AS_IT_COMES)
            times["recbole"].append(plain["seconds"])
    apart = max(abs(values.means[name] - side["metrics"][name]) for name in METRICS for side in (plain, large))
    if apart > 1e-4:
        raise ValueError(f"the metrics differ by {apart}: {values.means}, {plain['metrics']}, {large['metrics']}")
    return {
        **_timed(times, values),
        "times_faster_than_recbole": round(median_ratio(times["recbole"], times["isthmus"]), 1),
        "times_faster_than_recbole_large": round(median_ratio(times["recbole_large"], times["isthmus"]), 2),
        "users_a_step": {"recbole": plain["users_a_step"], "recbole_large": large["users_a_step"]},
        "metrics_apart": apart,
    }


def _timed(times: Mapping[str, list[float]], values: Evaluation) -> Line:
    return {
        "seconds": {name: round(middle, 4) for name, middle in medians(times).items()},
        "runs": {name: [round(one, 4) for one in series] for name, series in times.items()},
        "metrics": dict(values.means),
    }


def run(
    smoke: Smoke = False,
    recbole_python: Python = None,
    repeats: int = 9,
    rival_repeats: int = 3,
    model: Annotated[
        list[str] | None, typer.Option(help="MultiVAE or BPR, may be given twice; both by default.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of RecBole's training, before anything is measured.")] = 5,
) -> list[Line]:
    """Evaluate what RecBole trained; a smoke run without RecBole evaluates drawn weights alone."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        repeats, rival_repeats, epochs = 1, 1, 1
    for name in chosen(model, MODELS):
        if available(recbole_python, "RecBole", smoke=smoke):
            problem, found = _against_recbole(str(recbole_python), name, epochs, repeats, rival_repeats)
        else:
            problem = drawn(name)
            start = time.perf_counter()
            values = problem.evaluate()
            found = _timed({"isthmus": [time.perf_counter() - start]}, values)
        users, width = problem.seen.shape
        results.add(rival="recbole 1.2.1", model=name, users=users, items=width, **found)
    return results.made


def _against_recbole(python: str, model: str, epochs: int, repeats: int, rival_repeats: int) -> tuple[Problem, Line]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_atomic(folder, dataset_path("ml-1m") / "ratings.npz")
        rival = Server(python, "recbole_evaluation.py", folder, model, epochs, log=folder / "recbole.log")
        problem = read_problem(folder / "export.npz")
        found = compare(problem, rival, repeats, rival_repeats)
        rival.close()
    return problem, found


def drawn(model: str) -> Problem:
    """Random weights of a model and random histories, in the form that RecBole exports."""
    random = np.random.default_rng(0)
    rows, width, factors, hidden = 40, 60, 8, 12
    table = {"users": np.arange(rows), "width": np.array(width)}
    for name in ("seen", "held_out", "inputs"):
        table[f"{name}_counts"] = np.full(rows, 5)
        table[name] = np.concatenate([random.choice(np.arange(1, width), 5, replace=False) for _ in range(rows)])
    shapes = {
        "BPR": {"user_embedding.weight": (rows, factors), "item_embedding.weight": (width, factors)},
        "MultiVAE": {
            "encoder.0.weight": (hidden, width), "encoder.0.bias": (hidden,),
            "encoder.2.weight": (2 * factors, hidden), "encoder.2.bias": (2 * factors,),
            "decoder.0.weight": (hidden, factors), "decoder.0.bias": (hidden,),
            "decoder.2.weight": (width, hidden), "decoder.2.bias": (width,),
        },
    }  # fmt: skip
    for name, shape in shapes[model].items():
        table[name] = random.standard_normal(shape).astype(np.float32)
    return problem_of(table)


def table(lines: Sequence[Line]) -> list[str]:
    """Seconds of an evaluation."""
    rows = []
    for line in newest(lines, lambda line: line["model"]):
        spent = line["seconds"]
        rivals = [f"{spent[who]:.2f} s" if who in spent else "not run" for who in ("recbole", "recbole_large")]
        faster = "not run"
        if "recbole" in spent:
            faster = f"{line['times_faster_than_recbole']:.0f}× and {line['times_faster_than_recbole_large']:.1f}×"
        rows.append((line["model"] + mark(line), *rivals, f"{spent['isthmus']:.3f} s", faster))
    head = ["RecBole model", "RecBole as it comes", "eval_batch_size=4000000", "isthmus", "faster"]
    return markdown(head, rows) if rows else []
