"""Exact search: blocked, filtered, with a defined order, and through bf16 if that is faster."""
