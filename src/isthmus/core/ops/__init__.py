"""Building blocks of the parts: bags, softmax, layers, attention, convolutions."""
