"""Tasks for any ranker, any sequence decoder and any autoencoder: evaluation, explanation, generation, encoding,
anomaly detection."""
