"""Tasks over any ranker, any sequence decoder and any autoencoder: evaluate, explain, generate, encode, find
anomalies."""
