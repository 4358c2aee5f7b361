"""All errors that isthmus raises on purpose::

    IsthmusError
    ├── InputError            an input cannot be used (also a ValueError)
    │   ├── SourceError       a file or table that cannot be read, or is empty
    │   ├── ColumnError       a column that is missing or ambiguous
    │   ├── ValueRangeError   a cell, a row or an array with invalid values
    │   ├── UnknownIdError    an id that is not in the vocabulary
    │   ├── DuplicateIdError  an id that already exists, or is given twice
    │   ├── BudgetError       a request that exceeds its limits of time or memory
    │   └── SettingError      a setting outside its range, or unknown to the builder
    ├── BundleError           a saved directory that is truncated, altered, not a bundle, or too new
    ├── JobError              parts of a batch job failed
    ├── PartError             a part of an index that lives elsewhere does not answer
    ├── PluginError           a problem with installed plugins
    │   ├── MissingPluginError    no installed plugin has that name
    │   ├── MissingLibraryError   a library that the plugin needs is not installed
    │   └── NameClashError        two distributions register the same name
    └── TrainingError         training cannot continue
        └── NonFiniteLossError    the loss became NaN or infinite

    UserWarning
    ├── FewRowsKeptWarning        a rule for values removed almost all rows
    ├── ModelQualityWarning       a fitted model is no better than a trivial one
    └── UnknownIdWarning          unknown ids that were ignored
        └── UnknownHistoryWarning     all ids of a history are unknown, so a fallback was used

Each message says what was given, what was expected, and what to do.
"""


class IsthmusError(Exception):
    """Base class of all errors.

    Args:
        given: what was found, with the name of the row, column, file or setting.
        expected: what would have been valid.
        remedy: what the reader can do.
        option: the remedy on the command line, if it differs from that in Python.
    """

    def __init__(self, given: str, *, expected: str = "", remedy: str = "", option: str = "") -> None:
        self.given, self.expected, self.remedy, self.option = given, expected, remedy, option
        super().__init__(self._text(remedy))

    def on_command_line(self) -> str:
        """The message as the command line prints it."""
        return self._text(self.option) if self.option else str(self)

    def _text(self, remedy: str) -> str:
        parts = [self.given, f"expected {self.expected}" if self.expected else "", remedy]
        return "; ".join(part for part in parts if part)


class InputError(IsthmusError, ValueError):
    """An input cannot be used."""


class SourceError(InputError):
    """A file or table cannot be read, or is empty."""


class ColumnError(InputError):
    """A column is missing or ambiguous."""


class ValueRangeError(InputError):
    """A cell, a row or an array contains invalid values."""


class UnknownIdError(InputError):
    """An id is not in the vocabulary."""


class DuplicateIdError(InputError):
    """An id already exists, or is given twice."""


class BudgetError(InputError):
    """A request exceeds its limits of time or memory."""


class SettingError(InputError):
    """A setting is outside its range, or unknown to the builder."""


class BundleError(IsthmusError):
    """A saved directory is truncated, altered, not a bundle, or from a newer version."""


class PluginError(IsthmusError):
    """An installed plugin cannot be loaded, or two of them register the same name."""


class MissingPluginError(PluginError):
    """No installed plugin has that name."""


class MissingLibraryError(PluginError):
    """The plugin is installed, but a library that it needs is not."""


class NameClashError(PluginError):
    """Two installed distributions register the same name."""


class JobError(IsthmusError):
    """Parts of a batch job failed; the others are complete, and the same call computes the missing ones."""


class PartError(IsthmusError):
    """A part of an index that lives in another process or on another machine does not answer, or failed there."""


class TrainingError(IsthmusError):
    """Training cannot continue."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class FewRowsKeptWarning(UserWarning):
    """A rule for values removed almost all rows: the message says which rule it was, and how to keep every row."""


class ModelQualityWarning(UserWarning):
    """A fitted model is no better than a trivial one: the message contains the measured value, the value it is compared
    with, and what to change."""


class UnknownIdWarning(UserWarning):
    """Unknown ids were ignored; the result is based on the others."""


class UnknownHistoryWarning(UnknownIdWarning):
    """All ids of a history are unknown, so a fallback was used, such as the most popular items."""
