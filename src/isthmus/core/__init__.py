"""Parts and how they join: encoders, bottlenecks, decoders, readouts, likelihoods, priors. Names no domain."""
