"""A trained thing on disk: a directory of JSON and safetensors, written whole or not at all, verified when read."""

from isthmus.bundle.bundle import Bundle, Manifest, as_damage, check_target, load_state, peek, read, state_of, write

__all__ = ["Bundle", "Manifest", "as_damage", "check_target", "load_state", "peek", "read", "state_of", "write"]
