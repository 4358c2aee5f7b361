"""What comes from outside, checked before compiled code reads it: sparse matrices, paths, arrays in files; and the
arguments that many functions take.

SciPy, NumPy and FAISS believe the numbers that say where things are. A wrong one ends the process, or answers with what
happens to lie in memory, so everything that a caller or a file hands over passes through here first.
"""
