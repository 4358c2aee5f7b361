"""The FAISS kinds of index, on the CPU. No other package imports FAISS, and FAISS reads and writes no file."""

from isthmus.index.faiss.kinds import Name as Kind
from isthmus.index.faiss.kinds import check_kind
from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.searcher import FaissSearcher

__all__ = ["FaissSearcher", "FaissSettings", "Kind", "SearchSettings", "check_kind"]
