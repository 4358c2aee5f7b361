"""Run as a script: calls of the public API at random, some of whose arguments are odd; prints as JSON what went wrong.

    python random_calls.py EXAMPLES [FACE,...]

A call may return, or raise an ``IsthmusError`` or an ``OSError``. Nothing else may come of it: no other error, no
warning of another library, no changed argument, and no changed state of torch, NumPy or Python. Where an argument only
has another form, the answer must be the same.
"""

from __future__ import annotations

import copy
import faulthandler
import json
import os
import random
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hostile import equal_values, odd_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_faces import MAKERS, TEXTS, alike, as_json, events, made, numbers, pictures

import isthmus
from isthmus.errors import IsthmusError
from isthmus.index import Index
from isthmus.training.run import Run
from isthmus_interactions import ItemFeatures, tune
from isthmus_vectors import estimators

SECONDS = 60
"""After which a call hangs: the script ends with the stack."""

MEMORY = 16 << 30

LONG, FEW = ("epochs", "samples"), 10
"""What takes as long as it is large, and how large it may be here."""

SHORT: dict[str, Any] = {"epochs": 1, "progress": False}
RUN: dict[str, Any] = {
    "seed": 1,
    "device": "cpu",
    "precision": "fp32",
    "checkpoints": None,
    "resume": False,
    "time_limit": None,
}
VALUES: dict[str, Any] = {"code": 2, "hidden": 8, "layers": 1, "batch_size": 32, "learning_rate": 1e-3}


@dataclass(frozen=True)
class Call:
    """A public function with arguments that it takes."""

    face: str
    name: str
    ask: Callable[..., Any]
    arguments: Mapping[str, Any]
    arrays: tuple[str, ...] = ()


def calls_of(name: str) -> list[Call]:
    """What is called of one face."""
    match name:
        case "run":
            return [Call(name, "Run", lambda **own: Run(**own), {**RUN, "every": 10, "until": None})]
        case "ease" | "mult-vae":
            return _of_recommender(name)
        case "text":
            return _of_autoencoder(
                name, TEXTS[:3], isthmus.TextAutoencoder, TEXTS[:40], {"vocabulary": 50, "max_length": 8}
            )
        case "image":
            return _of_autoencoder(name, pictures()[:3], isthmus.ImageAutoencoder, pictures()[:20], {})
        case "vector" | "sparse":
            more = {"scaling": "robust", "columns": None, "drop": (), "latent_prior": True, **VALUES}
            return _of_autoencoder(name, numbers(5, seed=1), isthmus.VectorAutoencoder, numbers(40), more)
        case "detector":
            return _of_detector(name)
        case "compressor":
            return _of_compressor(name)
        case "estimators":
            return _of_estimators(name)
    return _of_index(name)


def _verb(face: str, verb: str, arguments: Mapping[str, Any], arrays: tuple[str, ...] = ()) -> Call:
    # The first argument of most verbs has no name.
    def ask(**own: Any) -> Any:
        first = own.pop(next(iter(arguments)))
        return getattr(FACES[face], verb)(first, **own)

    return Call(face, verb, ask, arguments, arrays)


def _of_recommender(face: str) -> list[Call]:
    asked = {"k": 3, "exclude_seen": True, "exclude": [1], "allow": None, "diversity": 0.0}
    fit = {
        "train": events(),
        "model": face,
        "validation": 0.0,
        "metric": "ndcg@10",
        "titles": None,
        **RUN,
        "progress": False,
    }
    new = {"new": events(), "epochs": None, "validation": 0.0, "metric": None, **RUN, "progress": False}
    return [
        _verb(face, "recommend", {"histories": [[1, 2], [3]], **asked}),
        _verb(face, "recommend_users", {"ids": [1, 2], **asked}),
        _verb(face, "score", {"histories": [[1, 2]], "candidates": [3, 4]}),
        _verb(face, "similar_items", {"ids": [1, 2], "k": 3}),
        _verb(face, "similar_users", {"histories": [[1, 2]], "k": 3}),
        _verb(face, "explain", {"history": [1, 2], "item": 3, "k": None}),
        _verb(face, "evaluate", {"test": events(), "metrics": ["recall@5"], "split": None, "hide": 0.2, "seed": 0}),
        _verb(face, "update", new),
        _verb(face, "recommend_all", {"path": "answers.parquet", **asked}),
        _verb(face, "with_features", {"features": FEATURES, "boost": 1.0, "seed": 0}),
        Call(face, "fit", lambda **own: isthmus.Recommender.fit(**own), fit),
        *_of_items(face),
        *_of_paths(face, isthmus.Recommender),
    ]


def _of_items(face: str) -> list[Call]:
    """What is called beside the recommender itself."""
    table = pa.table({"item": list(range(25)), "kind": [f"a|{row % 3}" for row in range(25)]})
    reading = {"id": None, "tags": "kind", "text": None, "vectors": None, "title": None, "separator": "|"}
    search = {"data": events(), "model": face, "trials": 1, "study": None, "metric": "ndcg@10", "validation": 0.2}
    search |= {"on_trial": None, "seed": 1, **SHORTER.get(face, {})}
    return [
        Call(face, "ItemFeatures.of", lambda **own: ItemFeatures.of(**own), {**TAGS, "idf": False, "titles": None}),
        Call(face, "ItemFeatures.read", lambda **own: ItemFeatures.read(**own), {"source": table, **reading}),
        Call(
            face,
            "tune",
            lambda **own: tune(**own),
            {"data": events(), "model": face, **search, **SHORTER.get(face, {})},
        ),
    ]


def _of_paths(face: str, kind: Any) -> list[Call]:
    saved = f"{face}.bundle"
    FACES[face].save(saved)
    FACES[face].save(f"{face} again.bundle")
    place = {} if kind in (Index, isthmus.Detector, isthmus.Compressor) else {"device": "cpu"}
    return [
        _verb(face, "save", {"path": f"{face} again.bundle"}),
        Call(face, "load", lambda **own: kind.load(own.pop("path"), **own), {"path": saved, **place}),
        Call(face, "isthmus.load", lambda **own: isthmus.load(own.pop("path"), **own), {"path": saved}),
    ]


def _of_estimators(face: str) -> list[Call]:
    """The estimators of scikit-learn, which raise its own errors, too."""
    calls = []
    for kind in (estimators.Autoencoder, estimators.VariationalAutoencoder, estimators.SparseAutoencoder):
        settings_ = {"epochs": 1, "hidden": 8, "code": 2, **({"k": 1} if hasattr(kind(), "k") else {})}
        fitted = kind(**settings_).fit(numbers(60))
        own = {**kind().get_params(), **settings_}

        def fit(kind: Any = kind, **own: Any) -> Any:
            return kind(**{name: value for name, value in own.items() if name not in "Xy"}).fit(own["X"], own["y"])

        calls += [
            *(
                Call(face, f"{kind.__name__}.{verb}", getattr(fitted, verb), {"X": numbers(5, seed=1)}, ("X",))
                for verb in ("transform", "score_samples", "decision_function", "predict")
            ),
            Call(face, f"{kind.__name__}.inverse_transform", fitted.inverse_transform, {"X": numbers(5, 2)}, ("X",)),
            Call(face, f"{kind.__name__}.sample", fitted.sample, {"n": 2, "random_state": 1, "prior": "fitted"}),
            Call(face, f"{kind.__name__}.fit", fit, {"X": numbers(40), "y": None, **own}),
        ]
    return calls


def _of_autoencoder(face: str, records: Any, kind: Any, train: Any, more: Mapping[str, Any]) -> list[Call]:
    first = ("records",)
    codes = np.asarray(FACES[face].encode(records))
    own = {"validation": 0.1, "contamination": 0.05, "gallery": True, **RUN, **more, **SHORT}

    def fit(**own: Any) -> Any:
        return kind.fit(own.pop("records"), **own)

    return [
        *(_verb(face, verb, {"records": records}, first) for verb in ("encode", "anomaly_scores", "is_anomaly")),
        _verb(face, "reconstruct", {"records": records, "seed": 1}, first),
        _verb(face, "decode", {"codes": codes, "seed": 1}, ("codes",)),
        _verb(face, "sample", {"n": 2, "seed": 1, "prior": "fitted"}),
        Call(
            face, "interpolate", FACES[face].interpolate, {"a": records[:1], "b": records[1:2], "steps": 3, "seed": 1}
        ),
        _verb(face, "search", {"records": records, "k": 2, "metric": None}, first),
        _verb(face, "with_gallery", {"records": records, "codes": codes}, ("records", "codes")),
        _verb(face, "evaluate", {"records": records, "samples": 0, "seed": 1}, first),
        Call(face, "fit", fit, {"records": train, "model": "vanilla", **own}),
        *_of_paths(face, kind),
    ]


def _of_detector(face: str) -> list[Call]:
    rows = {"vectors": numbers(5, seed=1)}
    own = {
        "contamination": 0.05,
        "method": "quantile",
        "scaling": "standard",
        "columns": None,
        "drop": (),
        **RUN,
        **SHORT,
    }
    return [
        *(_verb(face, verb, rows, ("vectors",)) for verb in ("anomaly_scores", "is_anomaly", "predict", "explain")),
        Call(face, "fit", lambda **own: isthmus.Detector.fit(**own), {"vectors": numbers(20), **own}),
        *_of_paths(face, isthmus.Detector),
    ]


def _of_compressor(face: str) -> list[Call]:
    rows, codes = numbers(5, 8, 1), np.eye(3, 2).astype(np.uint8)
    own = {"bytes": 2, "columns": None, "drop": (), **RUN, **SHORT}
    return [
        _verb(face, "encode", {"vectors": rows, "bytes": None, "beams": 2}, ("vectors",)),
        _verb(face, "decode", {"codes": codes}, ()),
        _verb(face, "search", {"queries": rows, "codes": codes, "k": 2}, ("queries",)),
        Call(face, "fit", lambda **own: isthmus.Compressor.fit(**own), {"vectors": numbers(256, 8), **own}),
        *_of_paths(face, isthmus.Compressor),
    ]


def _of_index(face: str) -> list[Call]:
    index = FACES[face]
    queries, ids = numbers(3, index.width, 1), index.ids[:2]
    filters = {"exclude": None, "allow": None}
    build = {"ids": None, "metric": "ip", "target_recall": 0.9, "k": 3, "seed": 0, "queries": None, "kind": "exact"}

    def change(verb: str) -> Callable[..., Any]:
        return lambda **own: getattr(copy.copy(FACES[face]), verb)(**own)

    return [
        _verb(face, "search", {"queries": queries, "k": 3, **filters}, ("queries",)),
        _verb(face, "within", {"queries": queries, "score": 0.5, **filters}, ("queries",)),
        _verb(face, "vectors", {"ids": ids}),
        Call(face, "add", change("add"), {"vectors": queries, "ids": None}, ("vectors",)),
        Call(face, "update", change("update"), {"vectors": queries[:2], "ids": ids}, ("vectors",)),
        Call(face, "remove", change("remove"), {"ids": ids}),
        Call(face, "compact", change("compact"), {"queries": queries}),
        Call(face, "build", lambda **own: Index.build(**own), {"vectors": numbers(30, 4), **build}, ("vectors",)),
        _verb(face, "export", {"path": "vectors.parquet"}),
        *_of_paths(face, Index),
    ]


FACES: dict[str, Any] = {}
TAGS: dict[str, Any] = {"ids": list(range(25)), "matrix": np.eye(25, 5, dtype=np.float32) + 0.1}
FEATURES = ItemFeatures.of(**TAGS)
SHORTER: dict[str, dict[str, Any]] = {"mult-vae": {"epochs": 1, "progress": False}, "ease": {"progress": False}}


def state() -> Any:
    """What no call may change."""
    legacy = np.random.get_state()  # noqa: NPY002
    drawn = [torch.get_rng_state().tolist(), str(legacy), str(random.getstate())]
    modes = [torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads(), np.geterr(), os.getcwd()]
    return [*drawn, *modes, torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled()]


def content(value: Any) -> Any:
    """What an argument holds, to see whether it changes; None for what can be read once."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return (value.dtype.str, value.shape, value.tobytes(), value.flags.writeable)
    if isinstance(value, torch.Tensor):
        return (
            None if value.is_meta or value.is_sparse else (str(value.dtype), value.requires_grad, repr(value.tolist()))
        )
    if isinstance(value, list | tuple | dict | set):
        return repr(value)
    return None


def tried(call: Call, arguments: Mapping[str, Any]) -> tuple[list[str], Any]:
    """What went wrong, and the answer."""
    before, contents, answer, wrong = state(), {name: content(one) for name, one in arguments.items()}, None, []
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            answer = call.ask(**arguments)
        except (IsthmusError, OSError) as error:
            # Its message must be text, too.
            str(error).encode("utf-8", "backslashreplace")
        except (ValueError, TypeError) as error:
            passed = [one.filename for one in traceback.extract_tb(error.__traceback__)]
            if call.face != "estimators" or not any("sklearn" in name for name in passed):
                wrong.append(_told(error))
        except BaseException as error:
            wrong.append(_told(error))
    faulthandler.cancel_dump_traceback_later()
    told = [one for one in seen if not one.category.__module__.startswith("isthmus")]
    if call.face == "estimators":
        told = [one for one in told if "sklearn" not in one.filename]
    wrong += [f"{one.category.__name__}: {str(one.message)[:200]} at {one.filename}:{one.lineno}" for one in told]
    wrong += [f"changed {name}" for name, was in contents.items() if content(arguments[name]) != was]
    after = state()
    drawn = call.face == "estimators" and arguments.get("random_state", 0) is None
    # As everywhere in scikit-learn, None takes the seed from NumPy's own generator.
    kept = [(place, was) for place, was in enumerate(before) if not (drawn and place == 1)]
    wrong += [f"changed the state of the process: {place}" for place, was in kept if was != after[place]]
    return wrong, answer


def _told(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    own = [one for one in where if "isthmus" in one.filename]
    last = own[-1] if own else where[-1]
    return f"{type(error).__name__}: {str(error)[:200]} at {last.filename}:{last.lineno}"


def main(examples: int, names: list[str]) -> list[dict[str, str]]:
    """All that went wrong, each kind once."""
    FACES.update({name: made(name) for name in names if name in MAKERS})
    calls = [call for name in names for call in calls_of(name)]
    found: dict[tuple[str, ...], dict[str, str]] = {}
    usual: dict[tuple[str, str], Any] = {}

    def report(call: Call, wrong: list[str], given_: Mapping[str, Any]) -> None:
        for one in wrong:
            key = (call.face, call.name, one.split(" at ")[-1], one.split(":")[0])
            odd = {name: f"{type(value).__name__} {value!r}"[:300] for name, value in given_.items()}
            found.setdefault(key, {"call": f"{call.face}.{call.name}", "wrong": one, "given": str(odd)})

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def any_call(data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(calls))
        arguments = dict(call.arguments)
        if call.arrays and data.draw(st.integers(0, 3)) == 0:
            name = data.draw(st.sampled_from(call.arrays))
            key = (call.face, call.name)
            if key not in usual:
                wrong, usual[key] = tried(call, arguments)
                report(call, wrong, {})
            arguments[name] = data.draw(equal_values())(arguments[name])
            wrong, answer = tried(call, arguments)
            if not wrong and not alike(as_json(answer), as_json(usual[key])):
                wrong = ["another answer"]
            report(call, wrong, {name: arguments[name]})
            return
        changed = data.draw(st.lists(st.sampled_from(sorted(arguments)), min_size=1, max_size=2, unique=True))
        for name in changed:
            odd = data.draw(odd_values())(arguments[name])
            arguments[name] = arguments[name] if name in LONG and isinstance(odd, int | float) and odd > FEW else odd
        report(call, tried(call, arguments)[0], {name: arguments[name] for name in changed})

    any_call()
    return list(found.values())


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        chosen = sys.argv[2].split(",") if len(sys.argv) > 2 else ["run", "estimators", *MAKERS]
        problems = main(int(sys.argv[1]), chosen)
        os.chdir("/")
    print(json.dumps(problems))
