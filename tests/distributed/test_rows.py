"""Rows of a table in parts: each process, played one after the other, has its part of what all have."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Bag, Bags
from isthmus.core.placement import AllRows, cut_tables, placed
from isthmus.distributed import row_shard
from isthmus.distributed.processes import Processes
from isthmus.distributed.row_shard import RowShard, spans
from isthmus.distributed.talk import Talk
from isthmus.errors import SettingError
from isthmus.models import mult_vae, sequence_recommender
from isthmus.rowlists import RowLists

WIDTH = 103

DRAWS: dict[str, Callable[[Tensor, Generator], object]] = {
    "uniform": lambda numbers, generator: numbers.uniform_(-1, 1, generator=generator),
    "normal": lambda numbers, generator: numbers.normal_(generator=generator),
    "truncated": lambda numbers, generator: nn.init.trunc_normal_(numbers, std=0.1, generator=generator),
}


def parts(size: int, width: int = WIDTH) -> list[RowShard]:
    return [RowShard.of(width, Talk(rank, size)) for rank in range(size)]


def generator() -> Generator:
    return Generator().manual_seed(3)


@pytest.mark.parametrize("columns", [(), (1,), (7,)])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_initial_numbers_are_those_of_one_process(
    draw: Callable[[Tensor, Generator], object], columns: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_shard, "BLOCK", 112)
    one, after = generator(), []
    whole = AllRows(WIDTH).table(lambda numbers: draw(numbers, one), *columns)
    drawn = []
    for rows in parts(4):
        own = generator()
        drawn.append(rows.table(lambda numbers: draw(numbers, own), *columns))  # noqa: B023
        after.append(own.get_state())
    torch.testing.assert_close(torch.cat(drawn), whole)
    assert all(torch.equal(state, one.get_state()) for state in after)


def test_each_row_has_one_place() -> None:
    assert [(one.start, one.stop) for one in spans(10, 4)] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    with pytest.raises(SettingError, match="5 items over 4 processes"):
        spans(5, 4)


def test_entries_and_lists_are_shared_out() -> None:
    bags = Bags(torch.tensor([0, 30, 102, 51, 52, 26]), torch.tensor([0, 3, 3, 6]), torch.arange(6.0))
    dense = torch.zeros(3, WIDTH).index_put_((bags.rows(), bags.indices), bags.weights)
    lists, found = RowLists(bags.indices, bags.offsets), torch.zeros(3, WIDTH)
    for rows in parts(4):
        own, some = rows.own(bags), rows.own_lists(lists)
        found[own.rows(), own.indices + rows.start] = own.weights
        assert some.rows.equal(own.indices)
        assert some.offsets.equal(own.offsets)
        ascending = bags.indices.sort().values
        assert rows.places(ascending[rows.within(ascending)]).equal(own.indices.sort().values)
    assert found.equal(dense)


def test_models_name_what_is_cut() -> None:
    with placed(Processes(Talk(1, 4), Talk(1, 4))):
        bags = mult_vae(Bag(WIDTH), generator=generator(), hidden=8, code=4).model
        ordered = sequence_recommender(Bag(WIDTH), generator=generator(), hidden=8, length=5).model
    assert sorted(cut_tables(bags)) == ["encoder.table", "readout.bias", "readout.weight"]
    assert sorted(cut_tables(ordered)) == ["encoder.table", "readout.bias", "readout.weight"]
    assert len(bags.readout.weight) == 26
    assert cut_tables(mult_vae(Bag(WIDTH), generator=generator(), hidden=8, code=4).model) == {}
