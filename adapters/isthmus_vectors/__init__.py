"""Vectors: tables, arrays and sparse matrices as rows of numbers; autoencoders with scikit-learn's manners."""
