"""The contract as OpenAPI 3.1, made from what the routes themselves declare, so that it cannot say anything else."""

import re
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from cxi_bandit.domain.access import Scope
from cxi_bandit.service.auth import SIGNED
from cxi_bandit.service.wire import (
    DecisionAnswer,
    DecisionBatchAnswer,
    DecisionBody,
    DecisionsAnswer,
    Problem,
)

_REFERENCE: Final = "#/components/schemas/{name}"
_PATH_PARAMETER: Final = re.compile(r"\{(?P<name>\w+)(?::\w+)?\}")
_PROBLEMS: Final = {
    "400": "The body is not JSON",
    "401": "No valid key or signature",
    "403": "The key lacks the scope",
    "404": "No such thing",
    "409": "Not now: the gate does not say go, it was changed meanwhile, or the first request is still being answered",
    "413": "The body is too long",
    "422": "A field cannot be accepted",
    "429": "This caller asks too much at once; see Retry-After",
    "503": "Full or away; see Retry-After",
}
_ITEMS: Final = (Problem, DecisionBody, DecisionAnswer, DecisionsAnswer)
_QUERY: Final = {
    "dry_run": {"type": "string", "enum": ["true", "false"]},
    "before": {"type": "integer", "minimum": 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
}


def openapi(app: Litestar) -> dict[str, Any]:
    """The document for the routes of `app` that programs call: pages for people are no contract, and say no summary."""
    handlers = [
        (_PATH_PARAMETER.sub(r"{\g<name>}", route.path_format), str(method).lower(), handler.opt)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in sorted(handler.http_methods)
        if "summary" in handler.opt
    ]
    types: list[Any] = list(_ITEMS)
    types += [opt[part] for _, _, opt in handlers for part in ("body", "answer") if _is_type(opt[part])]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    _name_batch_items(components)
    following = iter(schemas[len(_ITEMS) :])
    paths: dict[str, dict[str, Any]] = {}
    for path, method, opt in handlers:
        body = next(following) if _is_type(opt["body"]) else None
        answer = next(following) if _is_type(opt["answer"]) else _one_of(opt["answer"])
        paths.setdefault(path, {})[method] = _operation(path, opt, body, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": "cxi-bandit", "version": version("cxi-bandit")},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _is_type(message: Any) -> bool:  # noqa: ANN401 - a message type, a tuple of several, or None
    return message is not None and not isinstance(message, tuple)


def _one_of(messages: tuple[type, ...] | None) -> dict[str, Any] | None:
    """Untagged messages of which one travels: msgspec has no words for their union. Each must be in `_ITEMS`."""
    return None if messages is None else {"anyOf": [_reference(message) for message in messages]}


def _name_batch_items(components: dict[str, Any]) -> None:
    """A batch's items are answered one by one, so its own type does not name theirs."""
    # Of two fields that exclude each other msgspec has no words either.
    components[DecisionBody.__name__]["oneOf"] = [{"required": [name]} for name in ("defect", "defects")]
    components[DecisionBatchAnswer.__name__]["properties"]["decisions"]["items"] = {
        "anyOf": [_reference(DecisionAnswer), _reference(DecisionsAnswer), _reference(Problem)]
    }


def _reference(message: type) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=message.__name__)}


def _operation(path: str, opt: dict[str, Any], body: Any, answer: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON schemas
    success: dict[str, Any] = {"description": "Done"}
    if answer is not None:
        media = "text/plain" if opt["answer"] is str else "application/json"
        success["content"] = {media: {"schema": answer}}
    problem = {"application/problem+json": {"schema": _reference(Problem)}}
    responses = {
        str(opt["status"]): success,
        **{status: {"description": words, "content": problem} for status, words in _PROBLEMS.items()},
    }
    operation: dict[str, Any] = {"summary": opt["summary"], "responses": responses}
    if isinstance(opt["access"], Scope):
        operation["security"] = [{"key": []}]
        operation["description"] = f"Needs a key with the scope `{opt['access'].value}`."
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(path)
    ]
    for name in opt["parameters"]:
        place = "query" if name in _QUERY else "header"
        parameters.append(
            {
                "name": name,
                "in": place,
                "required": opt["access"] == SIGNED,
                "schema": _QUERY.get(name, {"type": "string"}),
            }
        )
    if parameters:
        operation["parameters"] = parameters
    return operation
