"""What a shell may offer for an option: names from the manifests, and from the database where it is at hand.

A completion must not be waited for and must not do anything: it starts no database, and offers nothing where one is
away. Whatever goes wrong is no business of somebody who is typing.
"""

import tomllib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import rich_click as click
from click.shell_completion import CompletionItem

from cxi_bandit.settings import Settings, read_settings
from cxi_bandit.store.glance import Named, glance

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]
Offer = tuple[str, str]

_CANDIDATES: Final = (
    ("uniform", "every intervention alike"),
    ("table:", "FILE.json of probabilities"),
    ("manifest:", "FILE.toml, learned from the first part of the log"),
    ("model:", "POLICY@VERSION"),
)


def _settings(context: click.Context) -> Settings:
    given = {name: context.params.get(name) for name in ("data_dir", "database_url", "policies_dir")}
    return read_settings(**given)


def _completing(offers: Callable[[click.Context, str], Iterable[Offer]]) -> Complete:
    """A completion of what begins as the word does; nothing where the offers cannot be had."""

    def complete(context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem[str]]:
        try:
            return [
                CompletionItem(value, help=says)
                for value, says in dict(offers(context, word)).items()
                if value.startswith(word)
            ]
        except Exception:  # noqa: BLE001 - a traceback between two keystrokes helps nobody
            return []

    return complete


def _policy(context: click.Context) -> str | None:
    """The policy that was typed: before an option that has no value yet, click leaves it among what it has not read."""
    if all(parameter.name != "policy" for parameter in context.command.params):
        return None
    given: str | None = context.params.get("policy")
    return given or next((word for word in context.args if not word.startswith("-")), None)


def _manifests(context: click.Context) -> list[dict[str, Any]]:
    return [tomllib.loads(text) for _, text in _settings(context).manifest_texts()]


def _stored(named: Named, context: click.Context, _word: str = "") -> list[Offer]:
    """From the database that is named, or that a running service tells of; none is started for it."""
    settings = _settings(context)
    dsn = settings.database_url
    if dsn is None:
        if not settings.dsn_file.is_file():
            return []
        dsn = settings.dsn_file.read_text("utf-8").strip()
    return glance(dsn, named, _policy(context))


def _policies(context: click.Context, _word: str) -> Iterable[Offer]:
    yield from ((one["name"], one.get("description", "policy")) for one in _manifests(context))
    yield from _stored(Named.POLICY, context)


def _logs(context: click.Context, _word: str) -> Iterable[Offer]:
    yield from ((one["name"], "live log") for one in _manifests(context))
    yield from _stored(Named.LOG, context)


def _of_policy(context: click.Context) -> list[dict[str, Any]]:
    policy = _policy(context)
    return [one for one in _manifests(context) if policy in (None, one["name"])]


def _interventions(context: click.Context, _word: str) -> Iterable[Offer]:
    for one in _of_policy(context):
        yield from ((action["id"], action.get("description", one["name"])) for action in one["interventions"])


def _defects(context: click.Context, _word: str) -> Iterable[Offer]:
    for one in _of_policy(context):
        yield from ((name, about.get("description", one["name"])) for name, about in one["defects"].items())


def _surfaces(context: click.Context, _word: str) -> Iterable[Offer]:
    return ((one["surface"], one["name"]) for one in _of_policy(context))


def _features(context: click.Context) -> Iterable[tuple[str, dict[str, Any]]]:
    for one in _of_policy(context):
        yield from one.get("context", {}).get("features", {}).items()


def _segments(context: click.Context, _word: str) -> Iterable[Offer]:
    for name, feature in _features(context):
        values = feature.get("values", ["true", "false"] if feature["type"] == "flag" else [""])
        yield from ((f"{name}={value}", feature["type"]) for value in values)


def _fields(context: click.Context, _word: str) -> Iterable[Offer]:
    yield from (("surface", "where the shopper is"), ("defect", "what went wrong"))
    yield from ((f"context.{name}", feature["type"]) for name, feature in _features(context))


def _candidates(context: click.Context, word: str) -> Iterable[Offer]:
    if not word.startswith("model:"):
        return _CANDIDATES
    models = _stored(Named.MODEL, context)
    return [(f"model:{says.partition(' ')[0]}@{number}", says) for number, says in models]


POLICIES: Final = _completing(_policies)
LOGS: Final = _completing(_logs)
INTERVENTIONS: Final = _completing(_interventions)
DEFECTS: Final = _completing(_defects)
SURFACES: Final = _completing(_surfaces)
SEGMENTS: Final = _completing(_segments)
FIELDS: Final = _completing(_fields)
CANDIDATES: Final = _completing(_candidates)
VERSIONS: Final = _completing(partial(_stored, Named.VERSION))
MODELS: Final = _completing(partial(_stored, Named.MODEL))
REVISIONS: Final = _completing(partial(_stored, Named.REVISION))
KEYS: Final = _completing(partial(_stored, Named.KEY))
SOURCES: Final = _completing(partial(_stored, Named.SOURCE))
WEBHOOK_SOURCES: Final = _completing(partial(_stored, Named.WEBHOOK_SOURCE))
PROMOTIONS: Final = _completing(partial(_stored, Named.PROMOTION))
EVALUATIONS: Final = _completing(partial(_stored, Named.EVALUATION))
PINS: Final = _completing(partial(_stored, Named.PIN))
HALTS: Final = _completing(partial(_stored, Named.HALT))
