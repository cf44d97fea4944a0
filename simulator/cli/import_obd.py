"""The work of `cxi-bandit import obd`, and how any imported log is kept."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import say_new, show_json
from cxi_bandit.cli.progress import bars
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from cxi_bandit.settings import read_settings
from simulator.datasets.open_bandit import OpenBanditFile

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")


def run(file: Path, items: Path | None, name: str, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Imports the file in one transaction and says what was imported."""
    check_name(name)
    source = OpenBanditFile(file, items)
    log = source.describe(name, datetime.now(UTC))
    rounds = (row.as_round() for row in source.rows(bars(as_json=as_json)))
    kept(log, rounds, options, as_json=as_json)


def check_name(name: str) -> None:
    """Raises InvalidInput unless a log may have this name."""
    if not _NAME.match(name):
        raise InvalidInput("--log", f"{name!r} must be up to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first")


def kept(log: ImportedLog, rounds: Iterable[ImportedRound], options: Mapping[str, Any], *, as_json: bool) -> None:
    """Writes a log in one transaction, all of it or nothing, and says what was imported."""
    name = log.name
    with open_store(read_settings(**options), say_new) as store:
        if store.registry.versions(PolicyName(name)):
            raise InvalidInput("--log", f"{name!r} is a policy, whose live log has that name; choose another")
        rows = store.imported.write(log, rounds)
    summary = {"log": name, "kind": log.kind, "rows": rows, "actions": len(log.actions), "sha256": log.source_sha256}
    if as_json:
        show_json(summary)
    else:
        Console().print(
            f"Imported {rows:,} rows with {len(log.actions)} actions as log [bold]{escape(name)}[/]. "
            f"Next: cxi-bandit replay --log {escape(name)} --candidate uniform"
        )
