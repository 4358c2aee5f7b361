"""``isthmus fit text``: from a file of texts to a bundle."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from isthmus import plugins
from isthmus.cli.options import Contamination, Delimiter, Encoding, Header, NoIndex
from isthmus.cli.training import Training, fit_command
from isthmus.reprs import counted
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.cli.options import Column, Documents, Source, texts_from
from isthmus_text.decode import writes_texts
from isthmus_text.fit import chosen_model

METRICS = (
    *("objective", "held_out_nll", "held_out_rate", "held_out_cosine"),
    *("active_units", "mutual_information", "of_texts"),
)


@partial(fit_command, batches=True)
def fit(
    file: Source,
    training: Training,
    model: Annotated[
        str,
        typer.Option(help="A name from isthmus models; auto is sequence-autoencoder. To draw texts: sequence-vae."),
    ] = "auto",
    column: Column = None,
    documents: Documents = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    tokenizer: Annotated[str, typer.Option(help="bpe, word, or the path of a pretrained tokenizer.json.")] = "bpe",
    vocabulary: Annotated[
        int | None, typer.Option(min=5, help="Maximum size of the vocabulary [8000; 4000 pairs for sequence models].")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="Maximum tokens per text; longer texts are truncated.")
    ] = None,
    contamination: Contamination = 0.05,
    no_index: NoIndex = False,
) -> None:
    """Train on texts: codes that can be compared, searched and decoded to text."""
    model = chosen_model(model, training.settings)
    training.check_model("text", model)
    written: Any = {"column": column, "encoding": encoding, "delimiter": delimiter, "header": header}
    fitted = TextAutoencoder.fit(
        texts_from(file, column, documents) if file == "-" or documents else file,
        model,
        **({} if file == "-" or documents else written),
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        max_length=max_length,
        validation=training.validation,
        contamination=contamination,
        gallery=not no_index,
        run=training.run,
        **training.settings,
    )
    training.save(fitted)
    out, written, writes = training.out, fitted.adapter.output, writes_texts(fitted.model)
    training.report(
        fitted,
        plugins.command_name(fitted.builder),
        {
            "texts": fitted.facts["texts"],
            "tokens_known": written.tokenizer.vocabulary,
            "max_length": written.max_length,
        },
        sizes=f"{counted(fitted.facts['texts'], 'text')} of at most {counted(written.max_length, 'token')}, "
        f"{written.tokenizer.vocabulary:,} different ones",
        metrics=METRICS,
        examples=(f'isthmus search {out} "some words"', *([f"isthmus sample {out}"] if writes else [])),
    )
