"""Plain functions that measure answers."""
