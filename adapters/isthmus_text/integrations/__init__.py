"""Embeddings for other libraries: each file implements the interface of one library."""
