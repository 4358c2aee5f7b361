"""One step of a training: as it is written, or captured in a graph and replayed."""
