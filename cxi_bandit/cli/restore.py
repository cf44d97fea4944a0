"""`cxi-bandit restore`: a backup becomes the data of a service again, in a place where there is none."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from cxi_bandit.bootstrap import backup as backups
from cxi_bandit.cli.copying import progress_of, rows_of
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.settings import read_settings


def restore(source: Path, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit restore`."""
    settings = read_settings(**options)
    with progress_of(as_json=as_json) as told:
        made, inventory = backups.restore(settings, source.absolute(), told)
    if as_json:
        kept = msgspec.to_builtins(made, builtin_types=(datetime,))
        show_json({"data_dir": str(settings.data_dir), "backup": kept, "restored": inventory})
    else:
        show_table(f"Restored to {settings.data_dir}", ("", ""), rows_of(made, inventory))
