"""Answers over HTTP are those of the Python faces."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import asking, opened, post, served
from tiny_faces import TEXTS, numbers, pictures

from isthmus_interactions.recommend.find_items import find_items

LATE = ("detector", "compressor")


def face(name: str) -> Any:
    return opened(name).face


def found(name: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
    app, _ = served(name)
    response = post(app, f"/v1/{path}", document)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.pop("model") == name
    return answer


def pairs(document: dict[str, Any]) -> list[tuple[Any, float]]:
    return [(one["id"], one["score"]) for one in document["items"]]


@pytest.mark.parametrize("name", ["ease", pytest.param("mult-vae", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"k": 3, "exclude_seen": False},
        {"exclude": [4, 5]},
        {"allow": [1, 2, 3, 99]},
        {"diversity": 0.5, "k": 4},
    ],
)
def test_recommendations_are_those_of_the_face(name: str, settings: dict[str, Any]) -> None:
    answer = found(name, "recommend", {"history": [1, 2, 77], **settings})
    expected = face(name).recommend([[1, 2, 77]], **{"k": 10, **settings})[0]
    assert pairs(answer) == list(zip(expected.ids, expected.scores, strict=True))
    assert answer["unknown"] == expected.unknown == [77]
    assert [one["id"] for one in answer["understood"]] == [1, 2]


def test_users_items_and_explanations() -> None:
    ease = face("ease")
    expected = ease.recommend_users([5], 4)[0]
    answer = found("ease", "recommend", {"user": 5, "k": 4, "explain": True})
    assert pairs(answer) == list(zip(expected.ids, expected.scores, strict=True))
    reasons = ease.explain_user(5, expected.ids[0], 3)
    assert [(one["id"], one["score"]) for one in answer["items"][0]["because"]] == [one[:2] for one in reasons]
    near = ease.similar_items([3], 5)[0]
    assert pairs(found("ease", "similar", {"item": 3, "k": 5})) == [one[:2] for one in near]
    scores = ease.score([[1, 2]], [3, 4])[0]
    assert pairs(found("ease", "score", {"history": [1, 2], "items": [3, 4, 99]})) == [
        (3, float(scores[0])),
        (4, float(scores[1])),
        (99, None),
    ]
    parts = ease.explain([1, 2], 3)
    assert pairs(found("ease", "explain", {"history": [1, 2], "item": 3})) == [one[:2] for one in parts]
    listed = find_items(ease, "1", 3)
    assert [one["id"] for one in found("ease", "items", {"text": "1", "k": 3})["items"]] == [one.id for one in listed]


def test_a_part_of_the_popular_items_is_left_out() -> None:
    ease = face("ease")
    popular = [one.id for one in find_items(ease, "", 5)]
    expected = ease.recommend([[1, 2]], 5, exclude=popular)[0]
    assert pairs(found("ease", "recommend", {"history": [1, 2], "k": 5, "without_popular": 0.25})) == [
        one[:2] for one in expected
    ]


def test_texts() -> None:
    text = face("text")
    embedded = found("text", "embeddings", {"input": TEXTS[:2]})
    codes = text.encode(TEXTS[:2])
    assert [one["embedding"] for one in embedded["data"]] == codes.astype(float).tolist()
    as_bytes = found("text", "embeddings", {"input": TEXTS[0], "encoding_format": "base64"})
    assert base64.b64decode(as_bytes["data"][0]["embedding"]) == text.encode(TEXTS[:1])[0].astype("<f4").tobytes()
    tokens = text.adapter.input.tokenizer.encode([TEXTS[0]])[0]
    by_tokens = found("text", "embeddings", {"input": tokens})
    assert by_tokens["data"][0]["embedding"] == text.encode(TEXTS[:1])[0].astype(float).tolist()
    assert embedded["usage"]["prompt_tokens"] == sum(map(len, text.adapter.input.tokenizer.encode(TEXTS[:2])))
    hits = text.search(TEXTS[0], 3)[0]
    answers = found("text", "search", {"text": TEXTS[0], "k": 3})["answers"]
    assert [(one["item"], one["score"]) for one in answers[0]["found"]] == [(hit.item, hit.score) for hit in hits]
    scores = found("text", "anomalies", {"texts": TEXTS[:3]})
    assert [one["score"] for one in scores["records"]] == text.anomaly_scores(TEXTS[:3]).tolist()


@pytest.mark.slow
def test_texts_are_written() -> None:
    text = face("text")
    codes = text.encode(TEXTS[:2])
    assert found("text", "reconstruct", {"texts": TEXTS[:2]})["texts"] == text.reconstruct(TEXTS[:2])
    assert found("text", "decode", {"codes": codes.tolist()})["texts"] == text.decode(codes)
    between = text.interpolate(TEXTS[0], TEXTS[1], 3)
    assert found("text", "interpolate", {"a": TEXTS[0], "b": TEXTS[1], "steps": 3})["texts"] == between
    assert found("text", "sample", {"n": 2, "seed": 1})["texts"] == text.sample(2, seed=1)


def png(picture: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def pixels(url: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_images() -> None:
    image, picture = face("image"), pictures()[0]
    sent = "data:image/png;base64," + base64.b64encode(png(picture)).decode()
    app, _ = served("image")

    async def upload(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/search?k=3", content=png(picture), headers={"content-type": "image/png"})

    hits = image.search(picture[None], 3)[0]
    for response in (asking(app, upload), post(app, "/v1/search", {"images": [sent], "k": 3, "pictures": True})):
        answers = response.json()["answers"][0]["found"]
        assert [(one["row"], one["score"]) for one in answers] == [(hit.row, hit.score) for hit in hits]
    assert pixels(answers[0]["image"]).shape == (8, 8)
    made = image.reconstruct(picture[None])[0]
    assert np.array_equal(pixels(found("image", "reconstruct", {"images": [sent]})["images"][0]), np.round(made * 255))
    denoised = found("image", "denoise", {"images": [sent]})
    assert np.array_equal(pixels(denoised["read"][0]), picture)
    embedded = found("image", "embeddings", {"input": [sent]})["data"][0]["embedding"]
    assert embedded == image.encode(picture[None])[0].astype(float).tolist()
    assert len(found("image", "sample", {"n": 2})["images"]) == 2
    scores = found("image", "anomalies", {"images": [sent]})["records"]
    assert scores[0]["score"] == image.anomaly_scores(picture[None])[0]
    assert len(found("image", "interpolate", {"a": sent, "b": sent, "steps": 3})["images"]) == 3


def test_rows_of_numbers() -> None:
    vector, rows = face("vector"), numbers(3, seed=1).astype(float)
    table = "a,b,c,d,e,f\n" + "\n".join(",".join(map(repr, row)) for row in rows.tolist()) + "\n"
    expected = vector.anomaly_scores(rows)
    app, _ = served("vector")

    async def upload(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/anomalies", content=table.encode(), headers={"content-type": "text/csv"})

    for answer in (asking(app, upload).json(), found("vector", "anomalies", {"vectors": rows.tolist()})):
        assert [one["score"] for one in answer["records"]] == expected.tolist()
        assert [one["anomaly"] for one in answer["records"]] == vector.is_anomaly(rows).tolist()
    hits = vector.search(rows, 2)
    answers = found("vector", "search", {"vectors": rows.tolist(), "k": 2})["answers"]
    assert [one["row"] for own in answers for one in own["found"]] == [hit.row for own in hits for hit in own]
    embedded = found("vector", "embeddings", {"input": rows.tolist()})["data"]
    assert [one["embedding"] for one in embedded] == vector.encode(rows).astype(float).tolist()
    assert found("vector", "reconstruct", {"vectors": rows.tolist()})["vectors"] == vector.reconstruct(rows).tolist()


@pytest.mark.slow
def test_detectors_tell_columns_and_compressors_bytes() -> None:
    detector, rows = face("detector"), numbers(2, seed=1).astype(float)
    answer = found("detector", "anomalies", {"vectors": rows.tolist(), "explain": True, "columns": 2})
    assert [one["score"] for one in answer["records"]] == detector.anomaly_scores(rows).tolist()
    worst = np.argsort(-detector.explain(rows)[0], kind="stable")[:2]
    assert [one["column"] for one in answer["records"][0]["because"]] == [str(place) for place in worst]
    vectors = numbers(2, 8, 1).astype(float)
    codes = found("compressor", "encode", {"vectors": vectors.tolist()})["codes"]
    assert [base64.b64decode(one) for one in codes] == [row.tobytes() for row in face("compressor").encode(vectors)]


@pytest.mark.parametrize(
    "name",
    [
        "ease",
        "text",
        "image",
        "vector",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("detector", "compressor")),
    ],
)
def test_the_page_can_draw_every_model(name: str) -> None:
    course = found(name, "course", {})
    assert isinstance(course["records"], list)
    if name in ("ease", "text", "image", "vector"):
        points = found(name, "map", {"most": 10})
        assert 2 <= len(points["points"]) <= 10
        assert len(points["points"]) == len(points["names"]) == len(points["ids"])
    opened(name).offer.warm()


def test_requests_at_the_same_time_are_answered_together_and_alike() -> None:
    app, service = served("ease", window=0.02)
    histories = [[place % 20, (place + 7) % 20] for place in range(24)]
    questions: list[dict[str, Any]] = [
        {"history": history, "k": 3 + place % 2} for place, history in enumerate(histories)
    ]
    # One that cannot be answered, and one about a user, among them.
    questions += [{"history": [[1, "no time"]], "k": 3}, {"user": 4, "k": 3}]

    async def all_at_once(client: httpx.AsyncClient) -> list[httpx.Response]:
        return list(await asyncio.gather(*(client.post("/v1/recommend", json=one) for one in questions)))

    answers = asking(app, all_at_once, service)
    ease = face("ease")
    for place, history in enumerate(histories):
        expected = ease.recommend([history], 3 + place % 2)[0]
        answer = answers[place].json()
        assert [one["id"] for one in answer["items"]] == expected.ids
        assert [one["score"] for one in answer["items"]] == pytest.approx(expected.scores, rel=1e-5)
    assert pairs(answers[-1].json()) == [one[:2] for one in ease.recommend_users([4], 3)[0]]
    figures = service.metrics.text().decode()
    groups = float(
        next(line for line in figures.splitlines() if line.startswith("isthmus_answered_together_count")).split()[-1]
    )
    assert groups < len(questions)
