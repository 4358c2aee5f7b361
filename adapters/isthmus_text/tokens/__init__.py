"""Tokenizers, token ids on disk, and batches of them."""
