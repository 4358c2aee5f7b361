"""A stand-in for the HTTP interface of the Hugging Face hub: repositories with commits, as far as bundles need them."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Hub:
    """Repositories by name, each with its commits, the newest last.

    Attributes:
        address: of the server.
        commits: files of each commit.
        private: whether each repository was made private.
        asked: paths of files that were downloaded.
    """

    address: str = ""
    commits: dict[str, list[Files]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def files(self, repo: str, revision: str) -> tuple[str, Files] | None:
        """The files of a commit, and its name."""
        commits = self.commits.get(repo, [])
        number = len(commits) - 1 if revision == "main" else int(revision, 16) if revision.startswith("0") else -1
        return (f"{number:040x}", commits[number]) if 0 <= number < len(commits) else None


@contextmanager
def running() -> Iterator[Hub]:
    """A hub at an address of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            self._info("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main", parts[4] if len(parts) > 4 else "")
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._answer(404, {"error": "no such path"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            if repo in self.hub.commits:
                self._answer(409, {"error": "exists", "url": f"{self.hub.address}/{repo}"})
                return
            self.hub.commits[repo] = [{".gitattributes": b"", "notes.txt": b"mine"}]
            self.hub.private[repo] = (
                asked.get("visibility", "private" if asked.get("private") else "public") == "private"
            )
            self._answer(200, {"url": f"{self.hub.address}/{repo}", "name": repo})
        elif parts[-2] == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif parts[-2] == "commit":
            self._commit("/".join(parts[2:4]), body)
        elif parts == ["api", "validate-yaml"]:
            self._answer(200, {"errors": [], "warnings": []})
        else:
            self._answer(404, {"error": "no such path"})

    def _info(self, repo: str, revision: str, what: str) -> None:
        found = self.hub.files(repo, revision)
        if found is None:
            code = "RevisionNotFound" if repo in self.hub.commits else "RepoNotFound"
            self._answer(404, {"error": "not found"}, {"X-Error-Code": code})
            return
        commit, files = found
        if what == "tree":
            tree = [
                {"type": "file", "path": name, "size": len(text), "oid": _etag(text)} for name, text in files.items()
            ]
            self._answer(200, tree)
            return
        siblings = [{"rfilename": name} for name in files]
        self._answer(200, {"id": repo, "sha": commit, "private": True, "tags": [], "siblings": siblings})

    def _file(self, repo: str, revision: str, name: str) -> None:
        found = self.hub.files(repo, revision)
        if found is None or name not in found[1]:
            self._answer(404, {"error": "not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        commit, files = found
        if self.command == "GET":
            self.hub.asked.append(name)
        self._answer(200, files[name], {"ETag": f'"{_etag(files[name])}"', "X-Repo-Commit": commit})

    def _commit(self, repo: str, body: bytes) -> None:
        files = dict(self.hub.commits[repo][-1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        self.hub.commits[repo].append(files)
        commit = f"{len(self.hub.commits[repo]) - 1:040x}"
        address = f"{self.hub.address}/{repo}/commit/{commit}"
        self._answer(200, {"success": True, "commitOid": commit, "commitUrl": address, "hookOutput": ""})

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        if not isinstance(content, bytes):
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
