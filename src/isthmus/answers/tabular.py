"""Objects that can be read as Arrow tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from isthmus.errors import MissingLibraryError


class Tabular(ABC):
    """An object that is also a table: pyarrow, pandas, polars and DuckDB can read it directly.

    Only pyarrow is imported. Not a ``collections.abc.Sequence``, which polars would read row by row.
    """

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """The table in Arrow format, created at every call."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table by the Arrow PyCapsule interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:
        """The table as a pandas ``DataFrame``.

        Raises:
            MissingLibraryError: pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise MissingLibraryError("to_pandas() without pandas", remedy="pip install pandas, or use to_arrow()")
        return self.to_arrow().to_pandas()
