"""One training loop for all domains: plan (phases and optimiser), run (device, seed, checkpoints), trainer."""
