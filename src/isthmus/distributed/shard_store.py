"""Checkpoints that several processes write together, as PyTorch's distributed checkpoints in safetensors files.

DIRECTORY/
  epoch-000010/
    parts.json        epoch, plan, history, and of every tensor its shape and whether it is cut by rows; size and
                      SHA-256 of every file
    tensors/          one safetensors file for each process that wrote
  best-000008/        the same for the weights of the best epoch so far

They can be resumed with another number of processes. PyTorch's usual metadata file, which is pickled, is not written:
the safetensors files contain the positions of their parts. Checkpoints are written atomically. All methods are called
by all processes, with the same folder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from isthmus.bundle.tensors import load_state, own_tensors
from isthmus.core.placement import cut_tables
from isthmus.disk import remove, replaced, sweep_folder
from isthmus.distributed import parts
from isthmus.distributed.talk import Talk
from isthmus.errors import BundleError, SettingError
from isthmus.training.checkpoint import KEPT, PARTS, TrainingState, all_damaged, check_plan, not_empty, restore
from isthmus.training.history import History

TENSORS = "tensors"
DAMAGE = (AttributeError, BundleError, KeyError, TypeError, ValueError)
"""Errors that a damaged checkpoint can cause."""

logger = logging.getLogger(__name__)


class ShardStore:
    """A directory of checkpoints and best weights; the methods are those of ``isthmus.training.checkpoint.Store``.

    Args:
        directory: created if it does not exist.
        model: the model that is trained; its parts declare which tensors are distributed by rows.
        talk: connection to all other processes.
        of_group: connection to the processes that have all rows together; None if these are all.
        writes: whether this group writes; the others have the same tensors.
    """

    def __init__(
        self, directory: Path, model: nn.Module, talk: Talk, of_group: Talk | None = None, *, writes: bool = True
    ) -> None:
        self.directory, self._talk, self._group, self._writes = directory, talk, of_group or talk, writes
        self._cut = {name: rows.width for name, rows in cut_tables(model).items()}
        talk.by_leader(self._prepare)

    def check_empty(self) -> None:
        """Check the directory before a training that does not resume.

        Raises:
            SettingError: it contains checkpoints of an earlier training.
        """
        if self._talk.by_leader(lambda: bool(self._checkpoints())):
            raise not_empty(self.directory)

    def save(self, epoch: int, state: TrainingState, history: History) -> None:
        """Write a checkpoint; only the last two are kept.

        Args:
            epoch: number of finished epochs.
            state: the state to save, of which each process has some rows.
            history: history so far.

        Raises:
            OSError, TrainingError: it could not be written; earlier checkpoints are kept.
        """
        about = {"epoch": epoch, "plan": state.plan, "history": history.to_json()}
        self._write(self.directory / f"epoch-{epoch:06d}", *self._tensors(state), about)
        self._talk.by_leader(lambda: self._forget(history.best_epoch))

    def resume(self, state: TrainingState) -> tuple[int, History]:
        """Load the newest undamaged checkpoint into the state; without checkpoints, return 0 epochs and an empty
        history.

        Raises:
            TrainingError: there are checkpoints, but all are damaged.
            SettingError: they belong to another plan, or were written by a training in one process.
        """
        found = self._talk.by_leader(lambda: self._newest(state.plan))
        if found is None:
            return 0, History()
        about = found["about"]
        tensors = parts.read(Path(found["folder"]) / TENSORS, about["tensors"], self._group)
        restore(state, tensors)
        return int(about["epoch"]), History.from_json(about["history"])

    def keep_best(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights of the best epoch so far; earlier ones that no checkpoint needs are deleted."""
        self._write(self._best(epoch), tensors, self._cut, {"epoch": epoch})
        self._talk.by_leader(lambda: self._forget(epoch))

    def load_best(self, epoch: int, model: nn.Module) -> None:
        """Load the weights of that epoch into the model.

        Raises:
            TrainingError: they are missing or were altered.
        """
        about = self._talk.by_leader(lambda: parts.checked(self._best(epoch), PARTS, TENSORS))
        load_state(model, parts.read(self._best(epoch) / TENSORS, about["tensors"], self._group))

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        sweep_folder(self.directory)

    def _write(
        self, place: Path, tensors: Mapping[str, Tensor], cut: Mapping[str, int], about: Mapping[str, Any]
    ) -> None:
        with ExitStack() as stack:

            def begin() -> str:
                scratch = stack.enter_context(replaced(place))
                (scratch / TENSORS).mkdir()
                return str(scratch)

            scratch = Path(self._talk.by_leader(begin))
            files = parts.write(scratch / TENSORS, tensors, cut, self._group) if self._writes else {}

            def end() -> None:
                said = {**about, "tensors": parts.described(tensors, cut), "files": files}
                (scratch / PARTS).write_text(json.dumps(said), encoding="utf-8")
                stack.close()

            self._talk.by_leader(end)

    def _tensors(self, state: TrainingState) -> tuple[dict[str, Tensor], dict[str, int]]:
        """All tensors that change in a training, by name, and the total number of rows of the distributed ones."""
        model = own_tensors(state.model)
        tensors = {f"model.{name}": tensor.cpu() for name, tensor in model.items()}
        cut = {f"model.{name}": width for name, width in self._cut.items() if name in model}
        widths = {id(state.model.get_parameter(name)): self._cut[name] for name in self._cut if _trains(state, name)}
        parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
        for index, values in state.optimizer.state_dict()["state"].items():
            for key, value in values.items():
                name = f"optimizer.{index}.{key}"
                tensors[name] = value.cpu()
                if value.ndim and id(parameters[index]) in widths:
                    cut[name] = widths[id(parameters[index])]
        tensors |= {f"generator.{name}": g.get_state() for name, g in state.generators.items()}
        return tensors, cut

    def _newest(self, plan: str) -> dict[str, Any] | None:
        found = self._checkpoints()
        for folder in found:
            if not (folder / PARTS).exists() and (folder / "manifest.json").exists():
                raise SettingError(
                    f"{folder} was written by a training in one process",
                    expected="a checkpoint of a training with tables cut by rows",
                    remedy="resume without shard",
                    option="resume without --shards",
                )
            try:
                about = parts.checked(folder, PARTS, TENSORS)
                best = History.from_json(about["history"]).best_epoch
                if best is not None:
                    parts.checked(self._best(best), PARTS, TENSORS)
            except (OSError, *DAMAGE) as error:
                logger.warning("checkpoint %s is damaged: %s", folder.name, error)
                continue
            check_plan(folder, about, plan)
            return {"folder": str(folder), "about": about}
        if found:
            raise all_damaged(self.directory)
        return None

    def _forget(self, best: int | None) -> None:
        """Delete all checkpoints except the last ones, and the best weights that none of them needs."""
        for old in self._checkpoints()[KEPT:]:
            remove(old)
        needed = {best}
        for folder in self._checkpoints():
            about = json.loads((folder / PARTS).read_text(encoding="utf-8"))
            needed.add(about["history"].get("best_epoch"))
        for old in self.directory.glob("best-??????"):
            if int(old.name.removeprefix("best-")) not in needed:
                remove(old)

    def _best(self, epoch: int) -> Path:
        return self.directory / f"best-{epoch:06d}"

    def _checkpoints(self) -> list[Path]:
        return sorted(self.directory.glob("epoch-??????"), reverse=True)


def _trains(state: TrainingState, name: str) -> bool:
    return name in dict(state.model.named_parameters(remove_duplicate=False))
