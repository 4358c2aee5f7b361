"""Nearest rows: ``exact`` is the reference and asks rankers too, ``faiss`` is the only file that imports FAISS."""
