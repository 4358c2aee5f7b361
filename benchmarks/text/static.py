"""Static embeddings: all-MiniLM-L6-v2 distilled into a vector for each token, beside model2vec's distillation of it.

``static-embeddings`` is trained on 122,762 texts without labels (WordNet's examples, the training splits of the English
Web Treebank and of STS-B, two captions of each training image of Multi30k). Settings were chosen on STS-B dev and the
captions of ``val``; the test splits are only measured. Speed: all test captions on one core, in turns with
MiniLM on every tenth of them, then model2vec.

The teacher's vectors of the training texts are kept in ``--directory``. The rival lives in an environment of its own:
``model2vec==0.10.0 scikit-learn`` with torch.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy.stats import spearmanr

from benchmarks.harness import Line, Results, Smoke, in_turns, mark, markdown, medians, newest
from benchmarks.processes import Python, Server, available
from benchmarks.text.embeddings import caption_retrieval, few, few_pairs
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.datasets import Pairs, demo_sentences, multi30k_captions, stsb, wordnet_examples
from isthmus_text.input_output import checkpoint_adapter, pretrained_vectors
from isthmus_text.pretrained.cached_vectors import vectors_of
from isthmus_text.pretrained.checkpoints import MINILM, minilm_folder, pretrained_encoder
from isthmus_text.texts import Texts

NAME = "text_static"
TITLE = "Static embeddings"
CODE = 256
SLOW = 500
"""Texts that the encoder is timed on, which takes seconds for them."""

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Data:
    """What is read.

    Attributes:
        pairs: of STS-B: train, dev or test.
        captions: five of each image: train, val or test_2016.
        more: further training texts by name.
    """

    pairs: Callable[[str], Pairs]
    captions: Callable[[str], Texts]
    more: Mapping[str, Callable[[], Texts]]


def training_parts(data: Data) -> dict[str, list[str]]:
    """The training texts by source."""
    pairs, captions = data.pairs("train"), list(data.captions("train"))
    found = {name: list(read()) for name, read in data.more.items()}
    return found | {"sts": [*pairs.first, *pairs.second], "captions0": captions[0::5], "captions2": captions[2::5]}


def teacher_vectors(parts: Mapping[str, Sequence[str]], directory: Path) -> np.ndarray:
    """MiniLM's vectors of all parts, each computed once; products in bf16."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, texts in parts.items():
        place = directory / f"{name}.npy"
        if not place.exists():
            part = directory / f"{name}.part.npy"
            np.save(part, pretrained_vectors(texts, run=Run(device="cpu", precision="bf16")), allow_pickle=False)
            part.replace(place)
    return np.concatenate([np.load(directory / f"{name}.npy", allow_pickle=False) for name in parts])


def quality(encode: Encode, data: Data) -> dict[str, float]:
    """Spearman's correlation of cosine and human score, and recall among captions, on the splits for choosing and
    for testing."""
    found = {}
    for split in ("dev", "test"):
        pairs = data.pairs(split)
        first, second = (_unit(encode(list(texts))) for texts in (pairs.first, pairs.second))
        found[f"stsb_{split}"] = float(spearmanr((first * second).sum(1), pairs.scores).statistic)
    for split in ("val", "test_2016"):
        found[f"captions_{split}"] = caption_retrieval(encode(list(data.captions(split))))["recall@10"]
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
    return unit


def minilm(texts: Sequence[str]) -> np.ndarray:
    """MiniLM as it is, fp32."""
    return pretrained_vectors(texts)


class Loaded:
    """MiniLM, loaded once, for its speed: the faster of fp32 and bf16 is compared with."""

    def __init__(self) -> None:
        self.adapter, self.encoder = checkpoint_adapter(MINILM), pretrained_encoder(MINILM, frozen=True)

    def encode(self, texts: Sequence[str], precision: str) -> None:
        """Compute vectors."""
        with Run(device="cpu", precision=precision).products():
            vectors_of(self.encoder, self.adapter.prepare(texts))


class Rival:
    """model2vec in its environment."""

    def __init__(self, python: Path, code: int, folder: Path) -> None:
        self.folder, self.told = folder, {"seconds": 0.0}
        log = folder / "model2vec.log"
        self._server = Server(python, "model2vec_distilling.py", minilm_folder(), code, folder, log=log)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, and in ``told`` how long that took."""
        place = self.folder / "texts.json"
        place.write_text(json.dumps(list(texts)), encoding="utf-8")
        self.told = self._server.ask(place)
        vectors: np.ndarray = np.load(self.folder / "vectors.npy", allow_pickle=False)
        return vectors

    def close(self) -> None:
        """Let it end."""
        self._server.close()


def speeds(ours: TextAutoencoder, rival: Rival | None, texts: Sequence[str], few: int, repeats: int) -> dict[str, Any]:
    """Texts a second on one core, in turns."""
    loaded, some = Loaded(), texts[:: max(1, len(texts) // few)]
    works: dict[str, Callable[[], object]] = {
        "static-embeddings": lambda: ours.encode(list(texts)),
        "minilm, fp32": lambda: loaded.encode(some, "fp32"),
        "minilm, bf16": lambda: loaded.encode(some, "bf16"),
    }
    taken = medians(in_turns(works, repeats))
    found = {name: (len(texts) if name == "static-embeddings" else len(some)) / value for name, value in taken.items()}
    if rival is not None:
        times = []
        for _ in range(repeats + 1):
            rival.encode(texts)
            times.append(rival.told["seconds"])
        found["model2vec"] = len(texts) / float(np.median(times[1:]))
    fastest = max(found["minilm, fp32"], found["minilm, bf16"])
    return {"texts_a_second": found, "times_faster": found["static-embeddings"] / fastest}


def run(
    smoke: Smoke = False,
    python: Python = None,
    directory: Annotated[Path, typer.Option(help="Of the teacher's vectors.")] = Path("static"),
    settings: Annotated[str, typer.Option(help="JSON keywords of TextAutoencoder.fit.")] = "{}",
    repeats: Annotated[int, typer.Option(help="Turns of the speed.")] = 5,
) -> list[Line]:
    """Train, measure, and measure the others; a smoke run takes few bundled sentences."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    results = Results(NAME, smoke=smoke)
    with tempfile.TemporaryDirectory() as folder:
        if smoke:
            data = Data(few_pairs, few, {"few": lambda: few("train")})
            measure(results, data, Path(folder), None, {"code": 16, "epochs": 1}, 1)
        else:
            named = python if available(python, "model2vec", smoke=False) else None
            measure(results, DATA, directory, named, json.loads(settings), repeats)
    return results.made


DATA = Data(
    stsb, multi30k_captions, {"wordnet": wordnet_examples, "ewt": lambda: demo_sentences("train").texts}
)  # fmt: skip


def measure(
    results: Results, data: Data, directory: Path, python: Path | None, settings: dict[str, Any], repeats: int
) -> None:
    """The lines of all models."""
    parts = training_parts(data)
    vectors, texts = teacher_vectors(parts, directory), [text for part in parts.values() for text in part]
    started = time.perf_counter()
    run_ = Run(device="cpu", seed=0, precision="bf16")
    model = TextAutoencoder.fit(
        texts, "static-embeddings", vectors=vectors, gallery=False, validation=0.02, run=run_, **settings
    )
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as scratch:
        saved, folder = Path(scratch) / "static.bundle", Path(scratch)
        model.save(saved)
        size = sum(one.stat().st_size for one in saved.rglob("*"))
        results.add(
            part="quality", model="static-embeddings", code=model.code_width, bytes=size, training_texts=len(texts),
            training_seconds=seconds, settings=settings, **quality(model.encode, data),
        )  # fmt: skip
        results.add(part="quality", model="minilm", code=384, bytes=_weights(), **quality(minilm, data))
        rival = None if python is None else Rival(python, int(model.code_width), folder)
        if rival is not None:
            found = quality(rival.encode, data)
            about = {"bytes": rival.told["bytes"], "training_seconds": rival.told["distilled_in"]}
            results.add(part="quality", model="model2vec", code=model.code_width, **about, **found)
        captions = list(data.captions("test_2016"))
        results.add(part="speed", texts=len(captions), **speeds(model, rival, captions, SLOW, repeats))
        if rival is not None:
            rival.close()


def _weights() -> int:
    """The bytes of MiniLM's weights and of its tokenizer."""
    return sum((minilm_folder() / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))


def table(lines: Sequence[Line]) -> list[str]:
    """A row for each model."""
    known = newest(lines, lambda line: (line["part"], line.get("model")))
    speed = next((line for line in reversed(known) if line["part"] == "speed"), None)
    found = {line["model"]: line for line in known if line["part"] == "quality"}
    if not found or speed is None:
        return []
    names = {"static-embeddings": "**isthmus `static-embeddings`**", "model2vec": "model2vec's distillation",
             "minilm": "all-MiniLM-L6-v2 itself"}  # fmt: skip
    rows = []
    for name, said in names.items():
        line = found.get(name)
        if line is not None:
            rows.append([said + mark(line, speed), *_cells(line, speed)])
    head = ["model", "numbers", "MB on disk", "STS-B test, Spearman", "captions, recall@10", "texts per second"]
    told = (
        f"Without labels; STS-B with cosines, and {speed['texts']:,} test captions of multi30k (relevant are the other "
        f"four of the image), whose texts per second are counted on one core: {speed['times_faster']:.0f} times those "
        "of all-MiniLM-L6-v2 in its faster precision. model2vec's model in fp16, as it is saved; it has no training "
        "on texts. Sizes include the tokenizers."
    )
    return [told, "", *markdown(head, rows)]


def _cells(line: Line, speed: Line) -> list[str]:
    texts = speed["texts_a_second"]
    name = line["model"]
    each = max(value for key, value in texts.items() if key.startswith(name)) if any(
        key.startswith(name) for key in texts
    ) else None  # fmt: skip
    size = line["bytes"]["model2vec"] if isinstance(line["bytes"], dict) else line["bytes"]
    return [
        str(line["code"]), f"{size / 1e6:.1f}", f"{line['stsb_test']:.4f}", f"{line['captions_test_2016']:.4f}",
        "not run" if each is None else f"{each:,.0f}",
    ]  # fmt: skip
