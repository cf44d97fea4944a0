"""The work of `cxi-bandit export`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json
from cxi_bandit.cli.progress import bars
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.settings import read_settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.vowpal import VowpalRoom
from simulator.datasets.stored import read_log
from simulator.exchange import LogFrames, frames_of_live, frames_of_stored, write_dsjson, write_parquet
from simulator.exchange.foreign import file_digest
from simulator.progress import Track


def run(name: str, form: Literal["parquet", "dsjson"], out: Path, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Writes the file and says what is in it."""
    if not out.absolute().parent.is_dir():
        # Known before a long log is read.
        raise InvalidInput("--out", f"there is no directory {out.parent}")
    track = bars(as_json=as_json)
    with open_store(read_settings(**options)) as store:
        log = _frames(store, name, track)
    try:
        rows = write_parquet(log, out) if form == "parquet" else write_dsjson(log, out)
    except OSError as error:
        raise InvalidInput("--out", f"cannot write {out.name}: {error.strerror or error}") from error
    summary = {"log": name, "format": form, "rows": rows, "actions": len(log.declared.actions), "file": str(out)}
    if as_json:
        show_json({**summary, "sha256": file_digest(out)})
    else:
        Console().print(f"Exported {rows:,} rows of log [bold]{escape(name)}[/] to {escape(str(out))} ({form}).")


def _frames(store: PostgresStore, name: str, track: Track) -> LogFrames:
    for known in store.imported.list():
        if known.name == name:
            return frames_of_stored(known, store.imported.read(name), track)
    return frames_of_live(read_log(store, VowpalRoom(), name, track), track)
