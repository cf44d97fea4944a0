"""`cxi-bandit backup`: all data of a service in one directory, checked, beside its work."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from cxi_bandit.bootstrap.backup import back_up
from cxi_bandit.cli.copying import progress_of, rows_of
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.settings import read_settings


def backup(to: Path | None, as_dump: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit backup`."""
    directory = (to or Path(f"cxi-bandit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")).expanduser().absolute()
    with progress_of(as_json=as_json) as told:
        made = back_up(read_settings(**options), directory, told, as_dump=as_dump)
    if as_json:
        show_json({"backup": str(directory), **msgspec.to_builtins(made, builtin_types=(datetime,))})
    else:
        show_table(f"Backup, checked: {directory}", ("", ""), rows_of(made, made.inventory))
