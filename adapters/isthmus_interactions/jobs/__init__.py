"""Batch jobs of recommenders: what is answered for the rows of a table, and how events become such rows."""
