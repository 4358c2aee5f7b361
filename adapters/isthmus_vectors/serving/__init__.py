"""What autoencoders of vectors, detectors and compressors answer over HTTP and to agents."""
