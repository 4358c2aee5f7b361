"""A module and the names of its inputs as a file that onnxruntime runs."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.disk import new_folder
from isthmus.errors import MissingLibraryError, SettingError
from isthmus.reprs import brief, one_line

MODEL = "model.onnx"
"""Name of the file."""

MOST_IN_ONE_FILE = 2**31 - 2**24
"""Bytes of weights; more are in a file next to the graph, because one file holds at most 2 GB."""

TOLERANCE = 1e-3
"""By how much numbers may differ relative to the largest one, for which the order of sums is to blame."""

Inputs = Mapping[str, Tensor]


@brief
@dataclass(frozen=True)
class Graph:
    """What is exported.

    Attributes:
        module: takes the inputs in their order and returns one tensor, or a tuple of several. It must not branch on
            the values of tensors.
        trials: inputs of several sizes, for tracing and for the check.
        axes: for each input, the names of its axes whose length may vary; equal names are equal lengths.
        outputs: names of the outputs.
        about: further facts for the metadata of the file, by name.
        least: the smallest length of an axis, where it is not 1.
    """

    module: nn.Module
    trials: Sequence[Inputs]
    axes: Mapping[str, Mapping[int, str]]
    outputs: Sequence[str]
    about: Mapping[str, str] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)


def write(graph: Graph, folder: Path) -> Path:
    """Write ``model.onnx`` into a folder, and check it: onnxruntime must compute what the module does.

    Args:
        graph: what is written.
        folder: an existing folder; weights of 2 GB and more are in a second file there.

    Returns:
        The path of the file.

    Raises:
        MissingLibraryError: the extra ``onnx`` is not installed.
        SettingError: PyTorch cannot export the module, or onnxruntime computes something else.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        _library(name)
    module = graph.module.cpu().eval()
    size = sum(one.nbytes for one in (*module.parameters(), *module.buffers()))
    place = folder / MODEL
    with torch.no_grad(), _quiet():
        try:
            program = _exported(graph, module)
            program.model.metadata_props.update(graph.about)
            program.save(str(place), external_data=size > MOST_IN_ONE_FILE)
        except Exception as error:
            raise SettingError(
                f"PyTorch cannot export this model to ONNX ({one_line(error, 300)})", expected="another model"
            ) from error
        check(graph, place)
    return place


def write_new(graph: Graph, folder: str | Path) -> Path:
    """Write ``model.onnx`` into a new folder, see ``write``.

    Args:
        graph: what is written.
        folder: must not exist; it is not left behind where the graph cannot be written.

    Returns:
        The folder.

    Raises:
        InputError: the folder exists.
        MissingLibraryError, SettingError: as ``write`` raises them.
    """
    with new_folder(folder) as scratch:
        write(graph, scratch)
    return Path(folder)


def check(graph: Graph, path: Path) -> None:
    """Compare a file with the module that it was made of, on all trials.

    Args:
        graph: what was written.
        path: of the file.

    Raises:
        SettingError: onnxruntime cannot run it, or computes something else.
    """
    run = session(path)
    for trial in graph.trials:
        try:
            found = run.run(None, {name: tensor.numpy() for name, tensor in trial.items()})
        except Exception as error:
            raise SettingError(f"onnxruntime cannot run the exported model ({one_line(error, 300)})") from error
        with torch.no_grad():
            expected = graph.module(*trial.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        for name, one, other in zip(graph.outputs, found, expected, strict=True):
            if other.is_floating_point() and not _alike(torch.from_numpy(one), other):
                raise SettingError(f"onnxruntime computes other {name} than PyTorch", remedy="report it to isthmus")


def session(path: Path) -> Any:
    """What runs a file: an ``onnxruntime.InferenceSession`` on the CPU.

    Raises:
        MissingLibraryError: onnxruntime is not installed.
    """
    return _library("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _exported(graph: Graph, module: nn.Module) -> Any:
    names = {axis for axes in graph.axes.values() for axis in axes.values()}
    dims = {name: torch.export.Dim(name, min=graph.least.get(name, 1)) for name in names}
    shapes = {name: {place: dims[axis] for place, axis in axes.items()} for name, axes in graph.axes.items()}
    example = graph.trials[0]
    # Lengths that Python's len() asks for stay variable in this mode alone.
    traced = torch.export.export(module, tuple(example.values()), dynamic_shapes=tuple(shapes.values()), strict=True)
    return torch.onnx.export(
        traced, dynamo=True, input_names=list(example), output_names=list(graph.outputs), verbose=False
    )


def _alike(found: Tensor, expected: Tensor) -> bool:
    finite = expected.isfinite()
    if found.shape != expected.shape or bool((found.isfinite() != finite).any()):
        return False
    scale = expected[finite].abs().max().clamp(min=1e-6) if bool(finite.any()) else torch.tensor(1.0)
    return bool(((found - expected)[finite].abs() <= TOLERANCE * scale).all())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of the exporter, which are for its authors."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch._guards", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingLibraryError(
            f"the export to ONNX needs {name}, which cannot be imported ({error})",
            remedy='pip install "isthmus[onnx]"',
        ) from error
