"""Conversion of dense numeric input: arrays, tensors, nested lists, pandas columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError, ValueRangeError
from isthmus.reprs import one_line


def real_numbers(source: Any, expected: str = "rows of numbers") -> npt.NDArray[np.generic]:
    """Dense numbers as an array of NumPy: booleans, whole numbers or floats, of any shape and precision.

    Args:
        source: a NumPy array or anything that can be converted to one, such as nested lists and pandas columns; or a
            torch tensor, on any device, with or without gradients.
        expected: what was expected, for error messages.

    Returns:
        An array in the byte order of the machine. It may share memory with the source.

    Raises:
        InputError: not real numbers, for example complex numbers, times or texts.
        ValueRangeError: a masked array with masked cells.
    """
    if isinstance(source, np.ma.MaskedArray):
        if np.ma.getmaskarray(source).any():
            raise ValueRangeError(
                "an array with masked cells", expected="numbers in all cells", remedy="fill them with array.filled(...)"
            )
        source = source.data
    if isinstance(source, str | bytes | dict | set | frozenset) or source is None:
        raise InputError(f"{one_line(repr(source))} of type {type(source).__name__}", expected=expected)
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(_held(source))
            numbers = _unboxed(array) if array.dtype.kind == "O" else array
    except (TypeError, ValueError, OverflowError, RuntimeError, AttributeError) as error:
        raise InputError(f"{type(source).__name__} ({one_line(error, 200)})", expected=expected) from None
    if numbers.dtype.kind not in "fiub":
        raise InputError(f"an array of {numbers.dtype}", expected="real numbers")
    return numbers if numbers.dtype.isnative else numbers.astype(numbers.dtype.newbyteorder("="))


def as_float(
    numbers: npt.NDArray[np.generic], kind: type[np.float32] | type[np.float64], *, copied: bool = True
) -> npt.NDArray[Any]:
    """Convert numbers to another precision, in C order. Overflow becomes infinity, which the caller must reject.

    Args:
        numbers: real numbers.
        kind: the precision.
        copied: always copy; otherwise only if necessary.

    Returns:
        A writable array.
    """
    with np.errstate(over="ignore"):
        found = np.array(numbers, dtype=kind, order="C", copy=True if copied else None)
        return found if found.flags.writeable else found.copy()


def _unboxed(objects: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Convert an array of Python objects: integers stay integers, other numbers become floats."""
    found = np.asarray(objects.tolist())
    return found if found.dtype.kind in "iuf" and found.shape == objects.shape else objects.astype(np.float64)


def _held(source: Any) -> Any:
    """A torch tensor in a form that NumPy can read; other objects unchanged."""
    if not callable(getattr(source, "detach", None)):
        return source
    tensor = source.detach().cpu()
    return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
