"""What many would write first: FastAPI over ``recommender.recommend([history])``, one call for each request.

python -m benchmarks.recommendation.plain_server BUNDLE --port 0
"""

from __future__ import annotations

import socket
import sys
import warnings
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import isthmus


class Question(BaseModel):
    history: list[int]
    k: int = 10


def application(path: str) -> FastAPI:
    recommender, app = isthmus.Recommender.load(path), FastAPI()
    recommender.recommend([[]], 1)

    # Not a coroutine: FastAPI calls it in one of its threads, as for any work that takes time.
    @app.post("/v1/recommend")
    def recommend(question: Question) -> dict[str, Any]:
        answer = recommender.recommend([question.history], question.k)[0]
        return {"items": [{"id": id_, "score": score} for id_, score in zip(answer.ids, answer.scores, strict=True)]}

    return app


def main() -> None:
    warnings.simplefilter("ignore")
    app = application(sys.argv[1])
    # With the protocol named, as uvicorn itself does it: otherwise asyncio leaves small packets waiting for others.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
