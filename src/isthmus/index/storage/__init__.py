"""An index on disk: safetensors and JSON, checked before anything of it is used."""
