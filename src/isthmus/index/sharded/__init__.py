"""One index of several parts, for more vectors than one index should hold."""
