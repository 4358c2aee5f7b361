"""From texts to tokens: tokenizers, the ids on disk, and batches of them."""
