"""What ``search`` compares."""
