"""Manifest texts for simulations: the shipped ones, and variants derived from them, so that there is one source."""

import re
from collections.abc import Mapping

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.settings import Settings

_EXPLORER = re.compile(r"^\[exploration\.explorer\]\n(?:[^\[\n].*\n)+", re.MULTILINE)


def shipped_texts() -> dict[str, str]:
    """The shipped manifests, text by file name: from the checkout, or from inside an installed package.

    Raises:
        InvalidInput: There are none in either place.
    """
    return dict(Settings().manifest_texts())


def with_value(text: str, key: str, value: str) -> str:
    """The text with the one line `key = ...` given another value, comments and all else unchanged.

    Raises:
        InvalidInput: The key does not stand on exactly one line.
    """
    changed, count = re.subn(rf"^{re.escape(key)} = [^#\n]*", f"{key} = {value} ", text, flags=re.MULTILINE)
    if count != 1:
        raise InvalidInput(key, f"stands on {count} lines of the manifest, expected one")
    return re.sub(r" +$", "", changed, flags=re.MULTILINE)


def with_explorer(text: str, lines: str) -> str:
    """The text with the table [exploration.explorer] holding `lines` instead.

    Raises:
        InvalidInput: There is no such table.
    """
    changed, count = _EXPLORER.subn(f"[exploration.explorer]\n{lines.strip()}\n", text)
    if count != 1:
        raise InvalidInput("exploration.explorer", f"is declared {count} times in the manifest, expected once")
    return changed


def by_surface(texts: Mapping[str, str]) -> dict[str, Manifest]:
    """The manifests parsed, by surface.

    Raises:
        ManifestInvalid: One of them is wrong.
    """
    parsed = [parse_manifest(text, file) for file, text in texts.items()]
    return {manifest.surface: manifest for manifest in parsed}
