"""Options that several commands take, each also an environment variable, and how answers are shown."""

import getpass
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from cxi_bandit.cli.completing import MODELS, VERSIONS
from cxi_bandit.domain.errors import InvalidInput


class _Number(click.ParamType[int]):
    """Counted from 1, within what the database's column holds; help texts need not say how far that is."""

    name = "integer"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's signature
        """The number. Fails where it is none, or beyond the range."""
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number <= self._most:
            self.fail(f"{value!r} is no number of one: they are counted from 1", param, ctx)
        return number


IDENTIFIER: Final = _Number(2**63 - 1)
"""The id of something in the database, or a model's version."""

VERSION: Final = _Number(2**31 - 1)
"""The version of a manifest, or the revision of a roll-out."""

OF_VERSION: Final = click.option(
    "--version", type=VERSION, required=True, shell_complete=VERSIONS, help="Of the policy's manifest."
)


def starting_model(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--model`, of a version that stands in a roll-out."""
    return click.option(
        "--model",
        type=IDENTIFIER,
        shell_complete=MODELS,
        help=words,
        show_default="the head of a version that learns continuously, or else the cold start",
    )


_DATABASE: Final = "Where the data is"
DATA_DIR: Final = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Holds the embedded database.",
    show_default=".cxi-bandit",
    panel=_DATABASE,
)
DATABASE_URL: Final = click.option(
    "--database-url",
    envvar="DATABASE_URL",
    help="A PostgreSQL to use instead of the embedded one.",
    panel=_DATABASE,
)
AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")


def _operator(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    actor = value or _account()
    if not actor.isprintable() or not actor.strip():
        raise click.BadParameter("must be printable text")
    return actor


def _account() -> str:
    """The user's name; a container may run as a number that nobody has named."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


ACTOR: Final = click.option(
    "--actor",
    callback=_operator,
    help="Who does it, for the audit trail.",
    show_default="the operating system's user",
)


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--data-dir` and `--database-url`."""
    return DATA_DIR(DATABASE_URL(command))


def say_new(directory: Path) -> None:
    """Tells people that a command makes a database: they may have meant another directory."""
    sys.stderr.write(f"cxi-bandit: {directory} holds no database yet; a new one is made there\n")


def show_json(document: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people; a missing value is a dash."""
    from rich.console import Console  # noqa: PLC0415 - help and completion need none of it
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row))
    Console().print(table)


def moment(text: str | None, option: str) -> datetime | None:
    """An aware time from ISO 8601.

    Raises:
        InvalidInput: It is none, or has no time zone.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(option, f"{text!r} is no ISO 8601 time such as 2026-11-20T08:00+01:00") from error
    if moment.tzinfo is None:
        raise InvalidInput(option, f"{text!r} has no time zone; write 2026-11-20T08:00+01:00, or Z for UTC")
    return moment
