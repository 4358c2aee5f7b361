"""Every error that isthmus raises on purpose::

    IsthmusError
    ├── InputError            what was given cannot be used (also a ValueError)
    │   ├── SourceError       a file or table that cannot be read, or holds nothing
    │   ├── ColumnError       a column that is missing or ambiguous
    │   ├── ValueRangeError   a cell, a row or an array with values that have no meaning here
    │   ├── UnknownIdError    an id that the vocabulary does not hold
    │   ├── DuplicateIdError  an id that is there already, or given twice
    │   ├── BudgetError       what was asked for does not fit the time or the memory that were granted
    │   └── SettingError      a setting outside its range, or unknown to the builder
    ├── BundleError           a saved directory that is truncated, altered, foreign or too new
    ├── PluginError           plugins as installed
    │   ├── MissingPluginError    no installed plugin has that name
    │   ├── MissingLibraryError   announced, but a library that it needs is not installed
    │   └── NameClashError        two distributions announce one name
    └── TrainingError         training cannot go on
        └── NonFiniteLossError    the loss became NaN or infinite

    UserWarning
    ├── FewRowsKeptWarning        a rule for values removed almost all rows
    ├── ModelQualityWarning       a fitted model does no better than no model
    └── UnknownIdWarning          ids that the vocabulary does not hold, where the rest could be answered
        └── UnknownHistoryWarning     nothing of a history is known, so that something else was answered

Each message says what was given, what was expected and what to do about it.
"""


class IsthmusError(Exception):
    """The root of the tree.

    Args:
        given: what was found, with the name of the row, column, file or setting.
        expected: what would have been right.
        remedy: what the reader can do now.
        option: the remedy in options of the command line, where it is another than in Python.
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
    """What was given cannot be used."""


class SourceError(InputError):
    """A file or table that cannot be read, or holds nothing."""


class ColumnError(InputError):
    """A column that is missing or ambiguous."""


class ValueRangeError(InputError):
    """A cell, a row or an array with values that have no meaning here."""


class UnknownIdError(InputError):
    """An id that the vocabulary does not hold."""


class DuplicateIdError(InputError):
    """An id that is there already, or given twice."""


class BudgetError(InputError):
    """What was asked for does not fit the time or the memory that were granted."""


class SettingError(InputError):
    """A setting outside its range, or unknown to the builder."""


class BundleError(IsthmusError):
    """A saved directory that is truncated, altered, foreign or too new."""


class PluginError(IsthmusError):
    """An installed plugin cannot be loaded, or two of them register the same name."""


class MissingPluginError(PluginError):
    """No installed plugin has that name."""


class MissingLibraryError(PluginError):
    """The plugin is installed, but a library that it needs is not."""


class NameClashError(PluginError):
    """Two installed distributions register the same name."""


class TrainingError(IsthmusError):
    """Training cannot go on."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class FewRowsKeptWarning(UserWarning):
    """A rule for values removed almost all rows: the message says which rule it was, and how to keep every row."""


class ModelQualityWarning(UserWarning):
    """A fitted model does no better than no model: the message says what was measured, against what, and what to
    change."""


class UnknownIdWarning(UserWarning):
    """Ids that the vocabulary does not hold were left out; the rest was answered."""


class UnknownHistoryWarning(UnknownIdWarning):
    """Nothing of a history is known, so that something else was answered, such as the most popular items."""
