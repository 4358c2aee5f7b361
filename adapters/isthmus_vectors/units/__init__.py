"""Units of sparse codes, named by the texts that light them most."""
