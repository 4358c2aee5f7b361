"""What can be asked of anything that ranks."""
