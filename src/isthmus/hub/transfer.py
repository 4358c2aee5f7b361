"""Uploads and downloads, by the client of ``huggingface_hub``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus import bundle, faces
from isthmus.bundle.manifest import CARD, MANIFEST, Manifest, peek
from isthmus.checked.arguments import flag
from isthmus.disk import private_folder, replaced
from isthmus.errors import IsthmusError, MissingLibraryError, SettingError, SourceError
from isthmus.reprs import one_line

PATTERNS = [MANIFEST, CARD, "weights.safetensors", "documents/*", "cache/*"]
"""Files of a bundle in a repository; others in it stay as they are."""


def push(
    model: Any,
    repo: str,
    *,
    private: bool = True,
    revision: str | None = None,
    message: str = "A bundle of isthmus",
    card: bool = True,
    api: Any = None,
) -> str:
    """Upload a bundle to the hub, in one commit. Files of an older bundle in that repository are removed.

    Args:
        model: the path of a bundle, or a fitted model.
        repo: such as "name/shop"; it is created if it does not exist.
        private: whether a repository that is created is private.
        revision: the branch to commit to; by default ``main``.
        message: of the commit.
        card: whether to upload the model card; without it, a card that is there stays.
        api: a ``huggingface_hub.HfApi`` with the token and the endpoint to use; by default those of the environment.

    Returns:
        The address of the commit.

    Raises:
        MissingLibraryError: the extra ``hub`` is not installed.
        BundleError: the bundle is damaged; nothing is uploaded then.
        SettingError: no name of a repository, or no model.
        SourceError: the hub cannot be reached or refuses.
    """
    client, private, card = _client(api), flag("private", private), flag("card", card)
    _check_repo(repo)
    patterns = [name for name in PATTERNS if card or name != CARD]
    with _on_disk(model) as place:
        bundle.read(place)
        with _refusals(repo):
            client.create_repo(repo, private=private, exist_ok=True)
            done = client.upload_folder(
                repo_id=repo,
                folder_path=place,
                commit_message=message,
                revision=revision,
                allow_patterns=patterns,
                delete_patterns=patterns,
            )
    return str(done.commit_url)


def pull(
    repo: str, *, revision: str | None = None, path: str | Path | None = None, device: str = "cpu", api: Any = None
) -> Any:
    """Download a bundle from the hub, verify it, and load it.

    Only the files that its manifest names are downloaded, all of one commit. They are kept in the cache of
    ``huggingface_hub``, so that the next call is fast.

    Args:
        repo: such as "name/shop".
        revision: a branch, a tag or a commit; by default ``main``. A commit always gives the same model.
        path: where to keep the bundle, for ``isthmus.load``; an older bundle there is replaced. None keeps only the
            cache.
        device: as in ``isthmus.load``.
        api: a ``huggingface_hub.HfApi`` with the token and the endpoint to use; by default those of the environment.

    Returns:
        The fitted model, as ``isthmus.load`` returns it.

    Raises:
        MissingLibraryError: the extra ``hub`` is not installed.
        BundleError: what was downloaded is no bundle, or is not what its manifest says.
        PluginError: the plugin that saved it is not installed.
        SourceError: the hub cannot be reached, or has no such repository or revision.
        InputError: something else stands at ``path``.
    """
    client = _client(api)
    _check_repo(repo)
    if path is not None:
        bundle.check_target(path)
    with _refusals(repo):
        commit = client.repo_info(repo, revision=revision).sha
    with private_folder("isthmus-hub") as scratch:
        place = _downloaded(client, repo, commit, Path(scratch) / "bundle")
        if path is None:
            return faces.load(place, device=device)
        bundle.read(place)
        with replaced(path) as kept:
            shutil.copytree(place, kept, dirs_exist_ok=True)
    return faces.load(path, device=device)


def _downloaded(client: Any, repo: str, commit: str, place: Path) -> Path:
    """A bundle as plain files: the cache consists of links, which a bundle must not have."""
    place.mkdir()
    _fetch(client, repo, commit, MANIFEST, place)
    for name in _named(peek(place)):
        _fetch(client, repo, commit, name, place)
    with _refusals(repo):
        if client.file_exists(repo, CARD, revision=commit):
            _fetch(client, repo, commit, CARD, place)
    return place


def _named(manifest: Manifest) -> Iterator[str]:
    # Names were checked when the manifest was read: plain files below the bundle.
    yield from sorted(manifest.files)


def _fetch(client: Any, repo: str, commit: str, name: str, place: Path) -> None:
    with _refusals(repo):
        found = client.hf_hub_download(repo, name, revision=commit)
    target = place / name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(found, target)


@contextmanager
def _on_disk(model: Any) -> Iterator[Path]:
    """The bundle of a model, saved for the moment if it is not a path."""
    if isinstance(model, str | Path):
        yield Path(model)
        return
    if not hasattr(model, "save"):
        raise SettingError(f"a {type(model).__name__} to push", expected="the path of a bundle, or a fitted model")
    with private_folder("isthmus-hub") as scratch:
        model.save(Path(scratch) / "bundle")
        yield Path(scratch) / "bundle"


def _check_repo(repo: object) -> None:
    if not isinstance(repo, str) or repo.count("/") != 1 or not all(repo.split("/")):
        raise SettingError(f"repo={one_line(repr(repo))}", expected='the name of a repository, such as "name/shop"')


def _client(api: Any) -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingLibraryError(
            f"the hub needs huggingface_hub, which cannot be imported ({error})", remedy='pip install "isthmus[hub]"'
        ) from error
    return HfApi(library_name="isthmus") if api is None else api


@contextmanager
def _refusals(repo: str) -> Iterator[None]:
    """Whatever the hub or the network says, as one error. Their libraries have no common class of errors.

    Raises:
        SourceError: in place of theirs.
    """
    try:
        yield
    except (IsthmusError, MemoryError):
        raise
    except Exception as error:
        raise SourceError(
            f"the hub refuses {repo!r}: {one_line(error, 300)} ({type(error).__name__})",
            expected="a repository that exists and that you may use",
            remedy="log in with hf auth login, or check the name and the connection",
        ) from error
