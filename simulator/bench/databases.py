"""A database of the harness's own, without a service, and the engine over it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.data_dir import owned
from cxi_bandit.bootstrap.database import running_database
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.learn import Learner
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.supervisor import prepare
from simulator.bench.filling import fill
from simulator.bench.plan import manifest_of
from simulator.bench.taught import decided, live

_COPIED: Final = 2000
"""Different decisions in a filled log; as a rule each is in a segment a few times."""


@dataclass(frozen=True)
class Filled:
    """One policy's log of closed decisions, and those who work on it."""

    store: PostgresStore
    engine: Engine
    manifest: Manifest
    version: PolicyVersion
    learner: Learner


@contextmanager
def filled(policy: Path, folder: Path, count: int) -> Iterator[Filled]:
    """A new database in `folder`, with so many closed decisions that nothing has learned yet.

    Args:
        folder: A service may take it over afterwards, as its data directory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(data_dir=folder / "data", policies_dir=folder / "policies")
    (folder / "policies").mkdir()
    (folder / "policies" / policy.name).write_text(policy.read_text("utf-8"), "utf-8")
    with owned(settings), running_database(settings) as database:
        prepare(database.dsn, settings)
        store = PostgresStore.open(database.dsn)
        try:
            engine, manifest = build_engine(store), manifest_of(policy)
            engine.serving.refresh()
            fill(store, manifest, decided(engine, manifest, _COPIED, seed=1), count)
            learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
            yield Filled(store, engine, manifest, live(store.registry, manifest.policy), learner)
        finally:
            store.close()
