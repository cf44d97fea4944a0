"""A grid of manifests: every combination of the values given for their keys, each a manifest text of its own."""

import copy
import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ManifestSha
from cxi_bandit.policy.manifest import Manifest, manifest_sha
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.settings import read_text

MOST_VARIANTS = 200
_Fraction = Annotated[float, Meta(gt=0.0, lt=1.0)]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """grid.toml."""

    manifests: Annotated[tuple[str, ...], Meta(min_length=1)]
    train: _Fraction = 0.5
    choose: _Fraction = 0.25
    grid: dict[str, Annotated[list[Any], Meta(min_length=1)]] = {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Variant:
    """One manifest of the grid.

    Args:
        label: File and changed keys, unique within the grid.
        changes: Values by dotted key, as they differ from the file.
        text: The manifest's whole text: what to put into policies/ to have exactly this one.
    """

    label: str
    changes: dict[str, Any]
    text: str
    manifest: Manifest
    sha: ManifestSha


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """What a sweep tries, and which parts of the log it does what on.

    Args:
        train: First share of the log, learned by every variant.
        choose: Share after it, on which one is chosen; the rest estimates that one again.
    """

    variants: tuple[Variant, ...]
    train: float
    choose: float


def read_grid(path: Path) -> Grid:
    """Reads grid.toml; its manifests are named relative to it.

    Raises:
        InvalidInput: A file cannot be read, a key is unknown or mistyped, the shares leave nothing, or there are more
            than `MOST_VARIANTS` combinations.
        ManifestInvalid: A combination is no valid manifest.
    """
    try:
        given = msgspec.convert(tomllib.loads(read_text(path, "sweep")), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInput("sweep", f"{path}: {error}") from error
    if given.train + given.choose >= 1.0:
        raise InvalidInput("sweep", f"train {given.train:g} and choose {given.choose:g} leave no rows to judge on")
    combinations = [dict(zip(given.grid, values, strict=True)) for values in itertools.product(*given.grid.values())]
    count = len(given.manifests) * len(combinations)
    if count > MOST_VARIANTS:
        raise InvalidInput("sweep", f"{count} combinations; at most {MOST_VARIANTS} are tried at once")
    variants = tuple(_variant(path.parent / name, changes) for name in given.manifests for changes in combinations)
    if len({variant.label for variant in variants}) < count:
        raise InvalidInput("sweep", "two combinations are the same")
    return Grid(variants=variants, train=given.train, choose=given.choose)


def _variant(path: Path, changes: Mapping[str, Any]) -> Variant:
    text = read_text(path, "sweep")
    if changes:
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput("sweep", f"{path}: {error}") from error
        for key, value in changes.items():
            _put(document, key, value)
        text = toml(document)
    label = ", ".join([path.name, *(f"{key} = {_inline(value)}" for key, value in changes.items())])
    return Variant(
        label=label,
        changes=dict(changes),
        text=text,
        manifest=parse_manifest(text, label),
        sha=manifest_sha(text),
    )


def toml(document: Mapping[str, Any]) -> str:
    """A TOML text with one line for each top-level key; read again, it gives the same document."""
    return "".join(f"{_quoted(key)} = {_inline(value)}\n" for key, value in document.items())


def _inline(value: Any) -> str:  # noqa: ANN401 - TOML is anything until it is checked
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case int() | float():
            return repr(value)
        case list():
            return f"[{', '.join(_inline(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{_quoted(key)} = {_inline(item)}" for key, item in value.items()) + "}"
        case _:
            raise InvalidInput("sweep", f"{value!r} is of a kind that no manifest holds")


def _quoted(text: str) -> str:
    """A basic string: JSON's, but that TOML wants characters beyond the first plane as they are and DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _put(document: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401 - as above
    *above, last = key.split(".")
    for name in above:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            raise InvalidInput("sweep", f"{key!r} names nothing in a manifest: {name!r} is no table")
    document[last] = copy.deepcopy(value)
