"""Tables in files: delimited text in any dialect, JSON, Parquet. The format of text files is detected."""

from isthmus.files.delimited import INFERRED, DelimitedTable
from isthmus.files.encodings import EncodingError, as_utf8, guessed, say_guessed
from isthmus.files.find_out import encoding_of
from isthmus.files.opening import Contents, opened
from isthmus.files.options import NOTHING_TOLD, FileOptions, Told, told_in
from isthmus.files.table import FileTable, TypedTable, column_names, open_alike, open_beside, open_table, read_table

__all__ = [
    "INFERRED",
    "NOTHING_TOLD",
    "Contents",
    "DelimitedTable",
    "EncodingError",
    "FileOptions",
    "FileTable",
    "Told",
    "TypedTable",
    "as_utf8",
    "column_names",
    "encoding_of",
    "guessed",
    "open_alike",
    "open_beside",
    "open_table",
    "opened",
    "read_table",
    "say_guessed",
    "told_in",
]
