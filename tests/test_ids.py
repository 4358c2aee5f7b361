"""One id in its forms: what is accepted where ids are read is found where they are asked for."""

from __future__ import annotations

import enum
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError
from isthmus.ids import integer_of, plain_id, without_surrogates
from isthmus.vocabulary import Vocabulary

UUID = uuid.UUID("12345678-1234-5678-1234-56781234567a")


class Colour(str, enum.Enum):  # noqa: UP042 (the older form is what is tried)
    RED = "red"


class Number(enum.IntEnum):
    NINE = 9


class Plain(enum.Enum):
    NINE = 9
    RED = "red"


class Name(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


NINES = [9, "9", 9.0, "9.0", " 9 ", np.int64(9), np.uint8(9), np.float32(9), np.str_("9"), Number.NINE, Plain.NINE]
NINES += [Decimal(9), Decimal("9.0"), Fraction(9), torch.tensor(9), pa.scalar(9), b"9", np.bytes_(b"9")]


@pytest.mark.parametrize("form", NINES, ids=repr)
def test_one_integer_in_all_its_forms(form: object) -> None:
    for numbers in (Vocabulary([7, 9]), Vocabulary([7, 9, 2**63])):
        assert numbers.find(form) == 1
        assert form in numbers
        assert numbers.held(form) == 9
        assert type(numbers.held(form)) is int
    if not isinstance(form, str | bytes) or str(plain_id(form)) == "9":
        assert Vocabulary(["a", "9"]).find(form) == 1


@pytest.mark.parametrize("form", ["009", "+9", "9,0", "9.5", 9.5, "", "nine", None, float("nan"), pd.NA, "9_0", "1e1"])
def test_what_no_integer_equals(form: object) -> None:
    assert Vocabulary([7, 9, 10]).find(form) is None
    rows, unknown = Vocabulary([7, 9, 10]).split([form, 9])
    assert rows.tolist() == [1]
    assert all(isinstance(one, int | str) for one in unknown)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (UUID, str(UUID)),
        (UUID.bytes, str(UUID)),
        (Colour.RED, "red"),
        (Plain.RED, "red"),
        (Name("red"), "red"),
        (b"red", "red"),
        (np.str_("red"), "red"),
        (bytearray(b"red"), "red"),
        (pa.scalar("red"), "red"),
    ],
    ids=lambda form: type(form).__name__,
)
def test_other_forms_of_texts(form: object, text: str) -> None:
    assert Vocabulary(["x", text]).find(form) == 1
    assert Vocabulary([form, "x"]).ids.tolist() == [text, "x"]
    assert type(Vocabulary([form]).ids.tolist()[0]) is str


def test_a_uuid_is_found_however_it_is_written() -> None:
    for text in (str(UUID), str(UUID).upper(), UUID.hex, UUID.hex.upper()):
        assert Vocabulary([text]).find(UUID) == 0


@pytest.mark.parametrize(
    "odd",
    [True, np.True_, [1], {}, b"\xff\xfe", 3j, 10**50, pd.Timestamp("2020-01-01")],
    ids=lambda form: type(form).__name__,
)
def test_what_can_be_no_id(odd: object) -> None:
    with pytest.raises(InputError):
        Vocabulary([1, 2]).rows([odd])
    with pytest.raises(InputError):
        Vocabulary([odd])
    assert odd not in Vocabulary([1, 2])


@pytest.mark.parametrize("odd", [None, float("nan"), 1.5, pd.NA, "half \udc80"], ids=repr)
def test_what_no_catalogue_is_made_of(odd: object) -> None:
    with pytest.raises(InputError):
        Vocabulary([odd])


def test_lone_surrogates_are_not_found_and_can_be_printed() -> None:
    _, unknown = Vocabulary(["a"]).split(["caf\udce9"])
    assert unknown == ["caf\\udce9"]
    assert without_surrogates("é\ud800") == "é\\ud800"


def test_integers_of_64_bits() -> None:
    ids = Vocabulary([0, 2**64 - 1])
    assert (ids.kind, ids.take([1])) == ("uint64", [2**64 - 1])
    assert ids.find(str(2**64 - 1)) == 1
    assert Vocabulary.from_json(ids.to_json()) == ids
    assert Vocabulary([1]).extended([2**63]).ids.tolist() == [1, 2**63]
    for wrong in ([2**64], [-1, 2**63]):
        with pytest.raises(InputError, match="64 bits"):
            Vocabulary(wrong)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_any_integer_is_one_however_it_is_written(number: int) -> None:
    for text in (str(number), f"{number}.0", f" {number} "):
        assert integer_of(text) == number
    assert integer_of(f"0{number}") is None or number == 0
    assert Vocabulary([number]).find(np.int64(number)) == 0


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(max_size=12))
def test_any_text_that_is_taken_is_found(text: str) -> None:
    try:
        vocabulary = Vocabulary([text])
    except InputError:
        with pytest.raises(UnicodeEncodeError):
            text.encode()
        return
    assert vocabulary.find(text) == 0
    assert vocabulary.held(text) == text
    assert plain_id(plain_id(text)) == plain_id(text)
