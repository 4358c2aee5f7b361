"""Which model: ``auto``, compared on held-out users."""
