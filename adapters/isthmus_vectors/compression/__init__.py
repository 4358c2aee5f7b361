"""What ``Compressor`` is made of: the search among codes, and what codes of each length keep."""
