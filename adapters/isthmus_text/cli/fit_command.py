"""``isthmus fit text``: from a file of texts to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle, plugins
from isthmus.cli.options import parsed_settings
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.progress import RichProgress
from isthmus.training.run import Run
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.cli.options import Column, Documents, Source, texts_from


def fit(
    file: Source,
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")],
    model: Annotated[str, typer.Option(help="A name from isthmus models.")] = "sequence-vae",
    column: Column = None,
    documents: Documents = False,
    tokenizer: Annotated[str, typer.Option(help="bpe, word, or the path of a pretrained tokenizer.json.")] = "bpe",
    vocabulary: Annotated[int, typer.Option(min=5, help="The most tokens to learn.")] = 8000,
    longest: Annotated[int | None, typer.Option(min=2, help="Tokens of a text; longer ones are cut.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the texts.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the texts that choose the best epoch.")] = 0.1,
    no_index: Annotated[bool, typer.Option("--no-index", help="Do not keep the texts for search.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    checkpoints: Annotated[Path | None, typer.Option(help="A directory to resume from later.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Train on texts: codes that can be compared, searched and written back as text."""
    bundle.check_target(out)
    run = Run(device, seed, precision, RichProgress(), checkpoints, every, resume)
    settings = parsed_settings(setting or []) | ({} if epochs is None else {"epochs": epochs})
    fitted = TextAutoencoder.fit(
        texts_from(file, column, documents),
        model,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        longest=longest,
        validation=validation,
        index=not no_index,
        run=run,
        **settings,
    )
    history = fitted.history
    if history.interrupted and not history.records:
        raise KeyboardInterrupt
    fitted.save(out)
    if history.interrupted:
        status(f"interrupted after epoch {len(history.records)}: the best model so far is saved")
    emit(described(out, fitted), as_json, lambda: _shown(out, fitted))


def described(out: Path, fitted: TextAutoencoder) -> dict[str, Any]:
    """What was trained and how it went."""
    history = fitted.history
    best = next((one for one in history.records if one["epoch"] == history.best_epoch), history.records[-1])
    return {
        "path": str(out),
        "model": plugins.command_name(fitted.builder),
        "texts": fitted.facts["texts"],
        "tokens_known": fitted.tokens.writes.tokenizer.vocabulary,
        "longest": fitted.tokens.writes.longest,
        "epochs": len(history.records),
        "best_epoch": history.best_epoch,
        "seconds": round(history.seconds, 1),
        **{name: value for name, value in best.items() if name in WATCHED},
        "interrupted": history.interrupted,
        "warning": fitted.facts.get("warning"),
    }


WATCHED = ("objective", "held_out_nll", "held_out_rate", "active_units", "mutual_information", "of_texts")


def _shown(out: Path, fitted: TextAutoencoder) -> RenderableType:
    document = described(out, fitted)
    rows = [(name.replace("_", " "), value) for name, value in document.items() if value is not None]
    return Group(table(("", ""), rows), Text(f'\ntry: isthmus search {out} "some words"\n     isthmus sample {out}'))
