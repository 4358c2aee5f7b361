"""Writes static embeddings to a folder that ``sentence_transformers.SentenceTransformer(path)`` loads."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from isthmus.bundle.tensors import save_tensors
from isthmus.disk import new_folder
from isthmus.errors import SettingError
from isthmus_text.autoencoder import TextAutoencoder

MODULES = {"0_StaticEmbedding": "StaticEmbedding", "1_Normalize": "Normalize"}
SETTINGS: dict[str, object] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}

_log = logging.getLogger(__name__)


def to_static_embedding(folder: str | Path, model: TextAutoencoder) -> Path:
    """Write a model that ``sentence_transformers`` loads as a ``StaticEmbedding`` and that computes the same vectors.

    The folder is written completely or not at all. Its numbers are fp32, so that it is four times as large as a bundle.
    A text longer than the model's maximum is read as a whole there.

    Args:
        folder: a new folder.
        model: a model ``static-embeddings``.

    Returns:
        The folder.

    Raises:
        InputError: the folder exists.
        SettingError: another model.
    """
    encoder: Any = model.model.encoder
    if not hasattr(encoder, "codes_of_ids"):
        raise SettingError(
            f"a model {model.builder}",
            expected="static_embeddings",
            remedy="write others with to_sentence_transformers",
        )
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(MODULES.items())
    ]
    table = encoder.words().detach().clone()
    with new_folder(folder) as scratch:
        for path in MODULES:
            (scratch / path).mkdir()
        words = scratch / "0_StaticEmbedding"
        save_tensors({"embedding.weight": table.cpu()}, words / "model.safetensors")
        (words / "tokenizer.json").write_text(model.adapter.input.tokenizer.to_json(), encoding="utf-8")
        for name, content in {"modules.json": modules, "config_sentence_transformers.json": SETTINGS}.items():
            (scratch / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _log.info("wrote %s for sentence_transformers", folder)
    return Path(folder)
