"""Validation of external input before compiled code reads it: sparse matrices, paths, arrays in files, and common
arguments of functions.

SciPy, NumPy and FAISS do not check indices and offsets. A wrong one crashes the process or reads arbitrary memory, so
all input from callers and files is checked here first.
"""
