"""``implicit``'s ALS and BPR as parts of an autoencoder."""
