"""The benchmarks by name, which is also the name of their file of results, in the order of ``docs/results.md``."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from benchmarks.harness import Line
from isthmus.errors import SettingError

HERE = Path(__file__).parent

MODULES: Mapping[str, str] = {
    "recommendation_quality": "recommendation.quality.models",
    "recommendation_compare": "recommendation.quality.significance",
    "recommendation_rivals": "recommendation.quality.rivals",
    "sequences": "recommendation.sequences",
    "demo_quality": "recommendation.demo",
    "cold_items": "recommendation.cold_items",
    "calibration": "recommendation.calibration",
    "recommender_speed": "recommendation.speed",
    "recommender_search": "recommendation.exact_search",
    "recommend_latency": "recommendation.latency",
    "serving": "recommendation.serving",
    "exact_changes": "recommendation.exact_changes",
    "evaluation": "recommendation.evaluation",
    "csv_loading": "recommendation.loading",
    "event_store": "recommendation.event_store",
    "text_vae": "text.vae",
    "text_sentences": "text.sentences",
    "text_embeddings": "text.embeddings",
    "text_static": "text.static",
    "text_compression": "text.compression",
    "text_speed": "text.speed",
    "text_preparing": "text.preparing",
    "images": "images.images",
    "denoising": "images.denoising",
    "anomaly": "vectors.anomaly",
    "sparse": "vectors.sparse",
    "vector_speed": "vectors.speed",
    "index_recall": "index.recall",
    "index_exact": "index.exact",
    "index_filters": "index.filters",
    "index_sharded": "index.sharded",
    "index_many": "index.many",
    "training_step": "training.step",
    "training_memory": "training.memory",
    "next_item_epoch": "training.next_item",
    "scaling": "training.scaling",
    "training_kills": "training.kills",
    "training_shards": "training.shards",
    "gpu": "gpu.device",
    "kinds": "kinds.kinds",
    "faults": "faults.mutations",
}


class Benchmark(Protocol):
    """What a module of a benchmark offers.

    Attributes:
        NAME: of the benchmark and of its file of results.
        TITLE: of its section.
        run: measure, record and return the lines; with ``smoke`` the same work on tiny data, and nothing is kept.
        table: Markdown of its lines; empty where there is nothing to show.
    """

    NAME: str
    TITLE: str
    run: Callable[..., list[Line]]

    @staticmethod
    def table(lines: Sequence[Line]) -> list[str]: ...


def benchmark(name: str) -> Benchmark:
    """The module of a benchmark.

    Raises:
        SettingError: there is none of this name.
    """
    if name not in MODULES:
        raise SettingError(f"a benchmark {name!r}", expected=f"one of: {', '.join(MODULES)}")
    return cast(Benchmark, importlib.import_module(f"benchmarks.{MODULES[name]}"))


def question(name: str) -> str:
    """The first paragraph of a benchmark's docstring; it is not imported for that."""
    source = (HERE / (MODULES[name].replace(".", "/") + ".py")).read_text(encoding="utf-8")
    told = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(told.split("\n\n")[0].split()).replace("``", "`")
