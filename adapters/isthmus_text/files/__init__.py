"""From files, columns and iterators to texts."""
