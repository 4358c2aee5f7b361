"""FAISS behind the ``Searcher`` protocol; the only package that imports it. CPU; FAISS reads and writes no file."""

from isthmus.index.faiss.kinds import Name as Kind
from isthmus.index.faiss.kinds import check_kind
from isthmus.index.faiss.searcher import FaissSearcher
from isthmus.index.faiss.settings import Settings
from isthmus.index.faiss.shortened import needed as axes_needed

__all__ = ["FaissSearcher", "Kind", "Settings", "axes_needed", "check_kind"]
