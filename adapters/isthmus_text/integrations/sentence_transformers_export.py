"""Exports a fine-tuned encoder to a folder that ``sentence_transformers.SentenceTransformer(path)`` loads, as
safetensors."""

from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path
from typing import Any, Literal, get_args

from isthmus.disk import new_folder
from isthmus.errors import MissingLibraryError, SettingError, SourceError

try:
    from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
except ImportError as error:
    raise MissingLibraryError(
        f"the export needs the library 'transformers', which cannot be imported ({error})",
        remedy='pip install "isthmus[text]"',
    ) from error

Pooling = Literal["mean", "first", "max"]

_FLAGS = {"first": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
_MODULES = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}

_log = logging.getLogger(__name__)


def to_sentence_transformers(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: str | Path,
    *,
    max_length: int,
    pooling: Pooling = "mean",
    normalise: bool = True,
) -> Path:
    """Write a model that ``sentence_transformers`` loads and that computes the same vectors.

    The folder is written completely or not at all. The model does not change; only the encoder of a model with a head
    is written.

    Args:
        folder: a new folder.
        model: an encoder with token vectors as ``last_hidden_state``.
        tokenizer: a local directory of ``transformers`` with the model's tokenizer, or a ``tokenizer.json``.
        max_length: maximum number of tokens in a text, including special ones.
        pooling: the mean or maximum of the token vectors, or the vector of the first token.
        normalise: normalise each vector to length 1.

    Returns:
        The folder.

    Raises:
        InputError: the folder exists.
        SourceError: the tokenizer cannot be read.
        SettingError: an unknown pooling, a model with a decoder, a tokenizer of another model, or a ``max_length``
            above the number of positions of the model.
    """
    if pooling not in get_args(Pooling):
        raise SettingError(f"pooling {pooling!r}", expected=f"one of: {', '.join(get_args(Pooling))}")
    encoder = model.base_model
    if not isinstance(encoder, PreTrainedModel):
        raise SettingError(f"a {type(model).__name__} without an encoder of its own", expected="an encoder")
    words = _tokenizer(Path(tokenizer), encoder)
    _check(encoder, words, max_length)
    words.model_max_length = max_length
    with new_folder(folder) as scratch:
        encoder.save_pretrained(scratch)
        words.save_pretrained(scratch)
        for name, content in _settings(encoder.config.hidden_size, pooling, normalise, max_length).items():
            _write(scratch / name, json.dumps(content, indent=2))
        if normalise:
            (scratch / "2_Normalize").mkdir()
        _write(scratch / "README.md", _card(encoder.config.hidden_size, pooling, normalise, max_length))
    _log.info("wrote %s for sentence_transformers", folder)
    return Path(folder)


def _settings(width: int, pooling: Pooling, normalise: bool, max_length: int) -> dict[str, Any]:
    """The contents of the JSON files, with the older names of keys and classes, which every version reads."""
    used = [(path, kind) for path, kind in _MODULES.items() if normalise or kind != "Normalize"]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(used)
    ]
    flags = {flag: name == pooling for name, flag in _FLAGS.items()}
    return {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {"word_embedding_dimension": width, **flags},
    }


def _tokenizer(place: Path, encoder: PreTrainedModel) -> PreTrainedTokenizerBase:
    """Load the tokenizer. A single ``tokenizer.json`` has neither the padding token nor the model's inputs; the model
    has both."""
    if not place.exists():
        raise SourceError(f"no tokenizer at {str(place)!r}", expected="a local directory or a tokenizer.json")
    try:
        if place.is_dir():
            read: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, local_files_only=True)
            return read
        lone: PreTrainedTokenizerBase = PreTrainedTokenizerFast(tokenizer_file=str(place))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise SourceError(
            f"the tokenizer {str(place)!r} cannot be read ({error})", expected="one that transformers reads"
        ) from error
    taken = inspect.signature(encoder.forward).parameters
    lone.model_input_names = [name for name in lone.model_input_names if name in taken]
    if encoder.config.pad_token_id is not None:
        lone.pad_token = lone.convert_ids_to_tokens(encoder.config.pad_token_id)
    return lone


def _check(encoder: PreTrainedModel, words: PreTrainedTokenizerBase, max_length: int) -> None:
    config = encoder.config
    if getattr(config, "is_encoder_decoder", False):
        raise SettingError(f"a {type(encoder).__name__}, which has a decoder", expected="an encoder alone")
    if words.pad_token is None:
        raise SettingError(
            "a tokenizer without a padding token", remedy="set pad_token_id in the model's configuration"
        )
    if len(words) > config.vocab_size:
        raise SettingError(
            f"a tokenizer of {len(words)} tokens for a model of {config.vocab_size}", remedy="give the model's own"
        )
    fewest = words.num_special_tokens_to_add() + 1
    most = getattr(config, "max_position_embeddings", None) or max_length
    if not fewest <= max_length <= most:
        raise SettingError(f"max_length={max_length}", expected=f"{fewest} to {most} tokens, special ones counted")


def _card(width: int, pooling: Pooling, normalise: bool, max_length: int) -> str:
    ending = ", normalised to length 1" if normalise else ""
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, isthmus]
---

# A sentence encoder trained with isthmus

Turns a text of up to {max_length} tokens into {width} values: its token vectors, pooled by {pooling}{ending}.

```python
from sentence_transformers import SentenceTransformer

vectors = SentenceTransformer("this-folder").encode(["A text.", "Another one."])
```
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n" * (not text.endswith("\n")), encoding="utf-8")
