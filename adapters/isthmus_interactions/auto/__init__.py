"""Model selection: ``auto`` compares models on held-out users."""
