"""How copying is shown: bytes as they come, and what the copy holds."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import DownloadColumn, TransferSpeedColumn

from cxi_bandit.bootstrap.backup import Backup, Told
from cxi_bandit.cli.progress import shown
from cxi_bandit.store.postgres.inventory import Inventory


@contextmanager
def progress_of(*, as_json: bool) -> Iterator[Told]:
    """A bar for each thing that is done, in bytes."""
    with shown(DownloadColumn(), TransferSpeedColumn(), as_json=as_json) as progress:
        tasks = {}

        def told(doing: str, done: int, total: int | None) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing, total=total)
            progress.update(tasks[doing], completed=done, total=total)

        yield told


def rows_of(backup: Backup, inventory: Inventory) -> list[tuple[str, object]]:
    """What is in the copy, for people."""
    waiting = f"{backup.spooled} decisions, to enter the database at the next start" if backup.spooled else "empty"
    return [
        ("kind", backup.kind),
        ("holds everything until", f"{backup.began_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("size", f"{backup.size_bytes / 1e6:.1f} MB"),
        ("PostgreSQL", inventory.server),
        ("schema", inventory.revision),
        ("spool", waiting),
        *((f"position of {name}", last) for name, last in inventory.positions.items()),
    ]
