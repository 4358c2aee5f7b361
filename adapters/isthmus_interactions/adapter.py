"""The adapter for interactions, which are bags of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.batch import Bag
from isthmus.errors import BundleError
from isthmus.reprs import counted, described
from isthmus.sources import BagSource
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.interactions import Interactions


@dataclass(frozen=True, eq=False, repr=False)
class InteractionsAdapter:
    """The vocabularies of items, whose rows are the columns of all bags, and of users.

    Attributes:
        items: the catalogue.
        users: the users of the training data; models can also be used for others.
    """

    items: Vocabulary
    users: Vocabulary

    def __repr__(self) -> str:
        return described(self, f"{counted(len(self.users), 'user')}, {counted(len(self.items), 'item')}")

    @property
    def signal(self) -> Bag:
        """Bags as wide as the catalogue."""
        return Bag(len(self.items))

    @classmethod
    def read(cls, source: Any, **options: Any) -> Interactions:
        """Interactions from a file or table; see ``Interactions.read``."""
        return Interactions.read(source, **options)

    @classmethod
    def fit(cls, records: Interactions) -> InteractionsAdapter:
        """Take the vocabularies of the interactions."""
        return cls(records.items, records.users)

    def prepare(self, records: Interactions) -> BagSource:
        """One row for each user of ``records``, in order; interactions with unknown items are dropped."""
        return BagSource.from_csr(records.with_items(self.items).matrix)

    def state(self) -> dict[str, str]:
        """Both vocabularies as JSON documents."""
        return {"items.json": self.items.to_json(), "users.json": self.users.to_json()}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> InteractionsAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: a document is missing.
            InputError: a document is not a vocabulary.
        """
        missing = [name for name in ("items.json", "users.json") if name not in state]
        if missing:
            raise BundleError(
                f"the bundle contains no {' and no '.join(missing)}", expected="items.json and users.json"
            )
        return cls(Vocabulary.from_json(state["items.json"]), Vocabulary.from_json(state["users.json"]))
