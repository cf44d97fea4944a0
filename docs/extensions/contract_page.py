"""The OpenAPI document as a page for people: every route, then every type."""

import inspect
import json
from collections.abc import Iterator
from typing import Any, Final

_REFERENCE: Final = "#/components/schemas/"
_NO_PROBLEM: Final = "2"


def contract_page(document: dict[str, Any]) -> str:
    """Markdown for all of it."""
    lines = ["## Routes"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += ["", f"### `{method.upper()} {path}`", "", f"{operation['summary']}.", *_route(operation)]
    lines += ["", "## Types"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += ["", f"(contract-{name.lower()})=", f"### {name}", *_type(schema)]
    return "\n".join(lines)


def _route(operation: dict[str, Any]) -> Iterator[str]:
    yield from ("", operation.get("description", "Needs no key."))
    if parameters := operation.get("parameters"):
        yield from ("", "| parameter | in | type | |", "|---|---|---|---|")
        for one in parameters:
            needed = "required" if one["required"] else ""
            yield f"| `{one['name']}` | {one['in']} | {_kind(one['schema'])} | {needed} |"
    body = operation.get("requestBody")
    yield from ("", "| | |", "|---|---|")
    if body is not None:
        yield f"| body | {_kind(_schema(body))} |"
    for status, answer in operation["responses"].items():
        if status.startswith(_NO_PROBLEM):
            shape = _kind(_schema(answer)) if "content" in answer else "nothing"
            yield f"| `{status}` | {shape} |"
    problems = ", ".join(f"`{status}`" for status in operation["responses"] if not status.startswith(_NO_PROBLEM))
    yield f"| {problems} | {_kind({'$ref': _REFERENCE + 'Problem'})} |"


def _schema(message: dict[str, Any]) -> dict[str, Any]:
    (found,) = message["content"].values()
    schema: dict[str, Any] = found["schema"]
    return schema


def _type(schema: dict[str, Any]) -> Iterator[str]:
    if words := inspect.cleandoc(schema.get("description", "")):
        # What a docstring says of single fields stands in the Python reference; a table has no room for it.
        yield from ("", words.partition("\nAttributes:")[0].strip())
    if "enum" in schema:
        yield from ("", "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".")
    if "prefixItems" in schema or schema.get("type") == "array":
        yield from ("", f"A list: {_kind(schema)}.")
    if properties := schema.get("properties"):
        yield from ("", "| field | type | default |", "|---|---|---|")
        required = schema.get("required", [])
        for name, kind in properties.items():
            default = "required" if name in required else _default(kind)
            yield f"| `{name}` | {_kind(kind)} | {default} |"


def _default(schema: dict[str, Any]) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else "may be left out"


def _kind(schema: dict[str, Any]) -> str:  # noqa: PLR0911 - one answer for each of JSON Schema's own cases
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return f"[{name}](#contract-{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_kind(one) for one in schema[union])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return "list of " + ", ".join(_kind(one) for one in schema["prefixItems"])
    if schema.get("type") == "array":
        return "list of " + (_kind(schema["items"]) if schema.get("items") else "anything") + _bounds(schema)
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"table of {_kind(schema['additionalProperties'])}"
    if not schema.get("type"):
        return "anything"
    return f"{schema['type']}{_bounds(schema)}" + (f" ({schema['format']})" if "format" in schema else "")


def _bounds(schema: dict[str, Any]) -> str:
    found = [
        _range(schema.get("minLength"), schema.get("maxLength"), " characters"),
        _range(schema.get("minItems"), schema.get("maxItems"), ""),
        _range(schema.get("minimum"), schema.get("maximum"), ""),
        *(f"above {schema[key]}" for key in ("exclusiveMinimum",) if key in schema),
        *(f"below {schema[key]}" for key in ("exclusiveMaximum",) if key in schema),
    ]
    words = [one for one in found if one]
    return f" ({', '.join(words)})" if words else ""


def _range(low: object, high: object, unit: str) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}{unit}"
    if low is not None:
        return f"at least {low}{unit}"
    return "" if high is None else f"at most {high}{unit}"
