"""Exact search: blocked, filtered, ordered, and through bf16 where that gives the same answers sooner."""
