"""Allowed configurations of pretrained networks: known keys with checked values.

A configuration of ``transformers`` can name code to download and run (``auto_map``, ``attn_implementation``, paths),
and a bundle may come from an untrusted source. Therefore only the keys and values listed here are passed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.errors import SettingError

MODEL_TYPES = (
    *("albert", "bert", "camembert", "convbert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert"),
    *("megatron-bert", "mobilebert", "modernbert", "mpnet", "nomic_bert", "nystromformer", "rembert", "roberta"),
    *("roberta-prelayernorm", "roformer", "squeezebert", "xlm-roberta", "xlm-roberta-xl"),
)
"""Encoders of texts, each with its own code in ``transformers``."""

ACTIVATIONS = (
    *("gelu", "gelu_10", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "gelu_accurate", "mish"),
    *("quick_gelu", "relu", "relu6", "silu", "swish", "tanh", "sigmoid", "linear"),
)


def _number(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: (
        (type(value) in (int, float) and math.isfinite(value) and least <= value <= most) or value is None
    )


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: (type(value) is int and least <= value <= most) or value is None


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in words if isinstance(value, str) else value is None


def _flag(value: Any) -> bool:
    return isinstance(value, bool) or value is None


def _listed(*words: str) -> Callable[[Any], bool]:
    def known(value: Any) -> bool:
        parts = value.split("|") if isinstance(value, str) else value
        return value is None or (
            isinstance(parts, list) and len(parts) <= DEEPEST and all(one in words for one in parts)
        )

    return known


def _rope(value: Any) -> bool:
    """Rotary position embeddings: numbers and the default type only, for all layers or by layer type."""
    if value is None:
        return True
    if not isinstance(value, dict) or len(value) > 8:
        return False
    plain, number = _one_of("default"), _number(0.0, 1e9)
    return all(_rope(one) if isinstance(one, dict) else plain(one) or number(one) for one in value.values())


DEEPEST, WIDEST, LONGEST, MOST_WORDS = 1024, 1 << 16, 1 << 20, 1 << 24
"""Limits of layers, hidden dimensions, tokens per text and vocabulary size, far beyond existing encoders."""

_id, _share, _epsilon = _whole(-100, MOST_WORDS), _number(0.0, 1.0), _number(0.0, 1.0)
_width, _count, _length = _whole(1, WIDEST), _whole(1, DEEPEST), _whole(-1, LONGEST)
_activation = _one_of(*ACTIVATIONS)

ALLOWED: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "dim", "hidden_dim", "embedding_size", "d_model"), _width),
    **dict.fromkeys(("input_embedding_size", "output_embedding_size", "pooler_hidden_size", "head_dim"), _width),
    **dict.fromkeys(("intra_bottleneck_size", "true_hidden_size"), _width),
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "n_layers", "n_heads", "num_key_value_heads"), _count),
    **dict.fromkeys(("num_hidden_groups", "inner_group_num", "num_groups", "head_ratio", "conv_kernel_size"), _count),
    **dict.fromkeys(("num_feedforward_networks", "num_landmarks", "global_attn_every_n_layers"), _count),
    **dict.fromkeys(("q_groups", "k_groups", "v_groups", "post_attention_groups", "pretraining_tp"), _count),
    **dict.fromkeys(("intermediate_groups", "output_groups"), _count),
    **dict.fromkeys(("vocab_size", "type_vocab_size", "task_type_vocab_size"), _whole(0, MOST_WORDS)),
    **dict.fromkeys(("max_position_embeddings", "max_relative_positions", "position_buckets"), _length),
    **dict.fromkeys(("relative_attention_num_buckets", "local_attention", "segment_means_seq_len"), _length),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), _id),
    **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"), _share),
    **dict.fromkeys(
        ("embedding_dropout", "mlp_dropout", "pooler_dropout", "qa_dropout", "seq_classif_dropout"), _share
    ),
    **dict.fromkeys(("classifier_dropout", "classifier_dropout_prob", "summary_last_dropout"), _share),
    **dict.fromkeys(("layer_norm_eps", "norm_eps", "rms_norm_eps", "initializer_range"), _epsilon),
    **dict.fromkeys(
        ("initializer_cutoff_factor", "global_rope_theta", "local_rope_theta", "rope_theta"), _number(0.0, 1e9)
    ),
    **dict.fromkeys(("hidden_act", "activation", "hidden_activation", "pooler_hidden_act"), _activation),
    **dict.fromkeys(("attention_bias", "mlp_bias", "norm_bias", "tie_word_embeddings", "use_cache"), _flag),
    **dict.fromkeys(("relative_attention", "position_biased_input", "share_att_key", "legacy"), _flag),
    **dict.fromkeys(("sinusoidal_pos_embds", "rotary_value", "use_task_id", "trigram_input"), _flag),
    **dict.fromkeys(("key_query_shared_bottleneck", "use_bottleneck", "use_bottleneck_attention"), _flag),
    **dict.fromkeys(("classifier_bias", "decoder_bias", "classifier_activation"), _flag),
    "position_embedding_type": _one_of("absolute", "relative_key", "relative_key_query", "rotary"),
    "normalization_type": _one_of("no_norm", "layer_norm"),
    "norm_rel_ebd": _one_of("none", "layer_norm"),
    "pos_att_type": _listed("c2p", "p2c", "p2p", "none", ""),
    "layer_types": _listed("full_attention", "sliding_attention"),
    "rope_parameters": _rope,
}
"""The allowed keys, with checks of their values."""


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that determines the architecture; everything else is left out.

    Args:
        config: a configuration of ``transformers``, possibly untrusted.

    Returns:
        The model type and the allowed keys.

    Raises:
        SettingError: a model type that is not in ``MODEL_TYPES``, or a value out of range.
    """
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise SettingError(f"a network of the type {str(kind)[:100]!r}", expected=f"one of {', '.join(MODEL_TYPES)}")
    found = {"model_type": kind, **{key: value for key, value in config.items() if key in ALLOWED}}
    for key, value in found.items():
        if key in ALLOWED and not ALLOWED[key](value):
            raise SettingError(f"{key}={str(value)[:100]!r} of a {kind} network", expected="a value that networks have")
    return found


def left_out(config: Mapping[str, Any], built: Any) -> list[str]:
    """Keys that ``architecture`` leaves out although they change the network.

    Args:
        config: the whole configuration.
        built: the library's configuration for ``architecture(config)``.
    """
    known = built.to_dict()
    other = config.keys() & known.keys() - ALLOWED.keys() - WITHOUT_EFFECT
    return sorted(key for key in other if known[key] != config[key])


WITHOUT_EFFECT = {
    *("_name_or_path", "architectures", "dtype", "transformers_version", "id2label", "label2id", "problem_type"),
    *("return_dict", "output_attentions", "output_hidden_states", "use_cache", "is_decoder", "add_cross_attention"),
    *("classifier_pooling", "summary_type", "summary_use_proj", "summary_activation", "sparse_prediction"),
    *("sparse_pred_ignore_index", "deterministic_flash_attn", "reference_compile", "chunk_size_feed_forward"),
    *("mask_token_id", "onnx_export", "is_encoder_decoder", "legacy", "initializer_cutoff_factor"),
}
"""Keys of outputs, classifiers and the library itself, which do not affect the vectors of texts."""
