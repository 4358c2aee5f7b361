"""The OpenAPI document of a server: its paths depend on the models that are served."""

from __future__ import annotations

from typing import Any

from isthmus import __version__
from isthmus.actions import Action
from isthmus.serve.bodies import JSON
from isthmus.serve.problems import CONTENT_TYPE
from isthmus.serve.settings import ServerSettings
from isthmus.serve.shelf import Shelf

DESCRIPTION = """Fitted models of isthmus over HTTP. Every request is a JSON object; "model" is only needed where
several models answer the same path. Errors are problem documents (RFC 9457)."""

PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status"],
}
REFUSALS = {
    "400": "The body is not a JSON object.",
    "413": "The body is too large.",
    "415": "A body of another type.",
    "422": "The request cannot be answered.",
    "429": "Too many requests are waiting.",
}
FIXED = {
    "/v1/models": "The served models and what they can do.",
    "/health": "Whether the process answers.",
    "/ready": "Whether the models are loaded and the server takes requests.",
    "/metrics": "Figures for Prometheus.",
}


def document(shelf: Shelf, settings: ServerSettings) -> dict[str, Any]:
    """The OpenAPI document of the models that are served now."""
    schemas: dict[str, Any] = {"Problem": PROBLEM}
    paths: dict[str, Any] = {path: {"get": _plain(summary)} for path, summary in FIXED.items()}
    if settings.reload_over_http:
        paths["/v1/reload"] = {"post": _plain("Load the bundles again.")}
    found: dict[str, dict[str, Action]] = {}
    for model in shelf.models.values():
        for action in model.offer.actions:
            found.setdefault(action.name, {})[model.domain] = action
    for name, actions in found.items():
        references = []
        for domain, action in actions.items():
            title = f"{domain}-{action.request.__name__}"
            own = action.request.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(own.pop("$defs", {}))
            schemas[title] = {**own, "title": title}
            references.append({"$ref": f"#/components/schemas/{title}"})
        paths[f"/v1/{name}"] = {"post": _operation(name, list(actions.values()), references)}
    components: dict[str, Any] = {"schemas": schemas}
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "isthmus", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": components,
    }
    if settings.token is not None:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    return whole


def _plain(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "The answer."}}}


def _operation(name: str, actions: list[Action], references: list[dict[str, str]]) -> dict[str, Any]:
    body = references[0] if len(references) == 1 else {"anyOf": references}
    content: dict[str, Any] = {JSON: {"schema": body}}
    for action in actions:
        for kind in action.request.uploads:
            file = f"{kind}*" if kind.endswith("/") else kind
            content[file] = {"schema": {"type": "string", "format": "binary"}}
    problem = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "operationId": name,
        "summary": " ".join(dict.fromkeys(action.about for action in actions)),
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "The answer.", "content": {JSON: {"schema": {"type": "object"}}}},
            **{status: {"description": text, "content": problem} for status, text in REFUSALS.items()},
        },
    }
