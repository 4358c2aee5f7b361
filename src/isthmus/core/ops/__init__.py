"""Arithmetic without a meaning of its own: bags, softmax, layers, attention, convolutions."""
