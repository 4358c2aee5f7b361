"""Which settings: the search behind ``isthmus tune``."""
