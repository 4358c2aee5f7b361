"""Texts as embeddings for other libraries: each file implements the interface of one of them."""
