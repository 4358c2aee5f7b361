"""Order and time: inputs of sequence models, recency, and temporal splits."""
