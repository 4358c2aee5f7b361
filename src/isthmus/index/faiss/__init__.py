"""FAISS behind the ``Searcher`` protocol; the only package that imports it. CPU; FAISS reads and writes no file."""

from isthmus.index.faiss.hnsw_pca import needed as axes_needed
from isthmus.index.faiss.kinds import Name as Kind
from isthmus.index.faiss.kinds import check_kind
from isthmus.index.faiss.parameters import Settings
from isthmus.index.faiss.searcher import FaissSearcher

__all__ = ["FaissSearcher", "Kind", "Settings", "axes_needed", "check_kind"]
