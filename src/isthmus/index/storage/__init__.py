"""Storage of indexes as safetensors and JSON, checked before use."""
