"""What is asked of a text autoencoder, checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from isthmus.actions.requests import AtMostBatch, Request
from isthmus.serve.autoencoders import EmbeddingRequest, Sample, SearchRequest, Seed

LETTERS = 100_000
"""Most letters of one text; a model reads the first few hundred tokens."""

MOST_DECODED = 64

Text = Annotated[StrictStr, Field(max_length=LETTERS)]
Texts = Annotated[list[Text], Field(min_length=1), AtMostBatch]
FewTexts = Annotated[list[Text], Field(min_length=1, max_length=MOST_DECODED)]
TokenIds = Annotated[list[StrictInt], Field(min_length=1), AtMostBatch]
Strategy = Literal["beam", "greedy", "nucleus"]


class Embed(EmbeddingRequest):
    """Codes of texts, in the form of OpenAI's interface."""

    input: Text | Texts | TokenIds | Annotated[list[TokenIds], Field(min_length=1), AtMostBatch] = Field(
        description="A text, several texts, or tokens of the model's own tokenizer."
    )


class Search(SearchRequest):
    """Texts that are nearest to a text."""

    text: Text | None = Field(None, description="The text to compare with.")
    texts: Texts | None = Field(None, description="Several of them, in place of text.")

    @property
    def queries(self) -> list[str]:
        """All texts to compare with."""
        return list(self.texts or ()) if self.text is None else [self.text]


class Anomalies(Request):
    """How unusual texts are."""

    texts: Texts


class Reconstruct(Request):
    """Texts that are encoded and written back."""

    texts: FewTexts
    strategy: Strategy = "beam"
    seed: Seed = 0


class Decode(Request):
    """Texts of codes."""

    codes: Annotated[list[list[float]], Field(min_length=1, max_length=MOST_DECODED)]
    strategy: Strategy = "beam"
    seed: Seed = 0


class Interpolate(Request):
    """Texts between two texts."""

    a: Text
    b: Text
    steps: Annotated[StrictInt, Field(ge=2, le=MOST_DECODED)] = 7
    strategy: Strategy = "beam"
    seed: Seed = 0


class SampleTexts(Sample):
    """New texts from random codes."""

    strategy: Strategy = "nucleus"
    temperature: float = Field(1.0, gt=0, le=10, description="Below 1, what is likely becomes likelier.")
