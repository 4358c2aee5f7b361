"""Components of builders: parts by name, and encoders and decoders for each signal."""
