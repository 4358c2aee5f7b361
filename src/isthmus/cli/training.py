"""The options that all ``fit`` commands share, and their common steps before and after the training.

    @fit_command
    def fit(file: Source, training: Training, column: Column = None) -> None:
        '''Train on rows of numbers.'''
        model = VectorAutoencoder.fit(file, run=training.run, validation=training.validation, **training.settings)
        training.save(model)
        training.report(model, "vanilla", {"rows": 100})

The command of that function has the options of ``column`` and those of ``training_options`` below.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle, plugins
from isthmus.cli.options import (
    Deterministic,
    DeviceName,
    Groups,
    PrecisionName,
    Seed,
    Shards,
    TimeLimit,
    parsed_duration,
    parsed_settings,
)
from isthmus.cli.output import Json, emit, printable, status, table
from isthmus.cli.wording import duration, figures
from isthmus.distributed import check_alone, leads, several
from isthmus.errors import SettingError, TrainingError
from isthmus.training.history import History
from isthmus.training.interrupts import StoppedError, saving
from isthmus.training.run import Run


@runtime_checkable
class Trained(Protocol):
    """The result of a ``fit`` command."""

    @property
    def history(self) -> History:
        """The history of the training."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts of the bundle, including ``warnings``, if any."""
        ...

    def save(self, path: str | Path) -> None:
        """Save as a bundle."""
        ...


@dataclass(frozen=True)
class Training:
    """The values of the shared options.

    Attributes:
        out: path of the bundle.
        run: device, seed, precision, progress and checkpoints.
        validation: share of the records that is held out to choose the best epoch.
        settings: keywords of the builder.
        as_json: whether to print a JSON document.
    """

    out: Path
    run: Run
    validation: float
    settings: Mapping[str, Any]
    as_json: bool

    def check_model(self, plugin: str, model: str) -> None:
        """Refuse a mistyped model or setting before any data are read.

        Raises:
            SettingError: no such model, or a setting that it does not know, or of another type.
        """
        # Imported here because it brings torch, which a help page does not need.
        from isthmus.models.recipes.settings import checked

        _, builder = plugins.find_builder(model, plugin)
        checked(model, builder, self.settings)

    def save(self, fitted: Trained, *, by_epoch: bool = True) -> None:
        """Save what was fitted. After Ctrl-C, the best model so far is saved, with a remark on standard error.

        Args:
            fitted: what was fitted.
            by_epoch: whether the remark names the epoch.

        Raises:
            KeyboardInterrupt: Ctrl-C came after the first few steps, so that there is nothing to save.
            TrainingError: the time limit came before the first step.
        """
        if not leads(self.run):
            return
        history = fitted.history
        if history.interrupted and not history.records:
            raise KeyboardInterrupt
        if history.out_of_time and not history.records:
            raise TrainingError("the time limit came before the first step: nothing is saved", remedy="allow more time")
        fitted.save(self.out)
        for warning in fitted.facts.get("warnings", ()):
            status(f"warning: {warning}")
        if history.interrupted:
            after = f" after {history.done}" if by_epoch else ""
            status(f"interrupted{after}: the best model so far is saved")

    def report(
        self,
        fitted: Trained,
        model: str,
        about: Mapping[str, Any],
        *,
        sizes: str = "",
        metrics: Sequence[str] = (),
        remarks: Mapping[str, Any] | None = None,
        examples: Sequence[str] = (),
    ) -> None:
        """Print what was trained and how the training went.

        Args:
            fitted: the fitted model.
            model: its name on the command line.
            about: sizes of the data and the model.
            sizes: the same in words, such as "1,200 texts of at most 88 tokens".
            metrics: names of metrics of the best epoch, printed if they were measured.
            remarks: printed last.
            examples: commands that the user may type next.
        """
        history = fitted.history
        best = next((one for one in history.records if one["epoch"] == history.best_epoch), history.records[-1])
        document = {
            "path": str(self.out),
            "model": model,
            **about,
            "epochs": history.epochs,
            "best_epoch": history.best_epoch,
            "seconds": round(history.seconds, 1),
            **(measured := {name: best[name] for name in metrics if name in best}),
            "interrupted": history.interrupted,
            "warnings": list(fitted.facts.get("warnings", ())),
            **(remarks or {}),
        }
        tries = () if history.interrupted else examples
        said = [f"{model} on {sizes or _listed(about)}", _course(history), f"saved to {self.out}"]
        warned = [f"{name.replace('_', ' ')}: {line}" for name, line in _lines(remarks or {})]
        emit(document, self.as_json, lambda: _shown(said, figures(measured), warned, tries))


@contextmanager
def saved_at_signals() -> Iterator[None]:
    """A context around a command that fits and saves: a signal during ``fit`` does not prevent saving.

    Raises:
        SystemExit: SIGTERM arrived and everything is saved; the exit status reports that the training is incomplete.
        KeyboardInterrupt: there was nothing to save.
    """
    with saving() as stop:
        try:
            yield
        except KeyboardInterrupt:
            if stop.requested:
                raise StoppedError(stop.number) from None
            raise
    if stop.requested and stop.number == signal.SIGTERM:
        raise SystemExit(128 + stop.number)


def training_options(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    validation: Annotated[
        float, typer.Option(help="Share of the records to hold out for choosing the best epoch.")
    ] = 0.1,
    seed: Seed = 0,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    deterministic: Deterministic = False,
    checkpoints: Annotated[Path | None, typer.Option(help="Directory for checkpoints, to resume later.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")] = False,
    time_limit: TimeLimit = None,
    shards: Shards = None,
    groups: Groups = 1,
    as_json: Json = False,
) -> Training:
    """The shared options as one object.

    Raises:
        InputError: ``out`` exists and is not a bundle.
        SettingError: a value outside its range.
    """
    bundle.check_target(out)
    limit = None if time_limit is None else parsed_duration(time_limit)
    run = Run.gather(None, seed, device, precision, True, checkpoints, resume, limit)
    run = replace(run, every=every, deterministic=deterministic, shard=shards, groups=groups)
    check_alone(run)
    settings = parsed_settings(setting or []) | ({} if epochs is None else {"epochs": epochs})
    return Training(out, run, validation, settings, as_json)


@contextmanager
def _heard(wanted: bool) -> Iterator[None]:
    """A context that silences all processes of a job except one."""
    if wanted:
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def fit_command(function: Callable[..., None], *, shards: bool = False, batches: bool = False) -> Callable[..., None]:
    """A command with the parameters of the function and the shared options in place of its parameter ``training``.

    Args:
        function: the command.
        shards: whether ``--shards`` and ``--groups`` are among the options.
        batches: whether several processes that torchrun started split the batches, without an option.
    """
    own = dict(inspect.signature(function, eval_str=True).parameters)
    shared = dict(inspect.signature(training_options, eval_str=True).parameters)
    del own["training"]
    if not shards:
        del shared["shards"], shared["groups"]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        told = {name: given.pop(name) for name in shared if name in given}
        if batches and several():
            told["shards"] = "batches"
        training = training_options(**told)
        check_settings(training.settings, {*own, *shared})
        with saved_at_signals(), _heard(leads(training.run)):
            function(training=training, **given)

    # As keyword-only parameters, those with and without defaults can be in any order.
    merged = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own.values(), *shared.values())]
    command.__signature__ = inspect.Signature(merged)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in merged}
    return command


def check_settings(settings: Mapping[str, Any], options: Iterable[str]) -> None:
    """Refuse a setting that is an option of the command, or a keyword of ``fit`` in Python.

    Args:
        settings: of a model, as typed after ``--setting``.
        options: the parameters of the command.

    Raises:
        SettingError: such a setting.
    """
    # Imported here because it brings torch, which a help page does not need.
    from isthmus.models.recipes.settings import all_settings

    options = {*options, "titles"} - {"file", "setting", "epochs"}
    for name in settings.keys() & ({*options, *ONLY_IN_PYTHON} - all_settings()):
        remedy = "leave it out" if name in ONLY_IN_PYTHON else f"use the option --{name.replace('_', '-')}"
        raise SettingError(f"--setting {name}, which is no setting of a model", remedy=remedy)


ONLY_IN_PYTHON = ("run", "progress", "gallery")
"""Keywords of ``fit`` that are no options."""


def _shown(
    said: Sequence[str], figures: Sequence[tuple[str, str]], warned: Sequence[str], examples: Sequence[str]
) -> RenderableType:
    blocks: list[RenderableType] = [Text(printable(line)) for line in said]
    blocks += [Text(), table(("", ""), figures)] if figures else []
    blocks += [Text(f"\n{printable(line)}") for line in warned]
    blocks += [Text("\ntry: " + "\n     ".join(examples))] if examples else []
    return Group(*blocks)


def _course(history: History) -> str:
    said, best = f"{history.done} in {duration(history.seconds)}", history.best_epoch
    return said if best in (None, len(history.records)) else f"{said}; epoch {best} was the best"


def _listed(about: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items())


def _lines(remarks: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """A line for each remark; several if its value is a list."""
    several = {name: value if isinstance(value, list) else [value] for name, value in remarks.items()}
    return [(name, line) for name, lines in several.items() for line in lines if line is not None]
