"""Stores of interactions: converts events in files to memory-mapped arrays without loading all of them."""
