"""Which kind of index: built once each, measured with held-out queries, within a budget."""
