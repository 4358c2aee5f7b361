"""What builders are put together from: parts by name, and what reads and writes each signal."""
