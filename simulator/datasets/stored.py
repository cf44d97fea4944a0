"""A log by its name, from the store: imported, or a policy's live one, read as far and under the reward asked for."""

from dataclasses import dataclass

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom
from cxi_bandit.store.postgres import PostgresStore
from simulator.datasets.imported import ImportedParts, imported_parts, read_imported
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.datasets.snapshot import Reach
from simulator.datasets.versions import POOLING_BUDGET
from simulator.progress import Track, silent


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read a live log.

    Args:
        reach: How far; None reads as far as there is.
        events: Whether to bring the raw reward events along.
        pooling: Most scorings (versions x rows) done for `balanced`.
    """

    reach: Reach | None = None
    events: bool = False
    pooling: float = POOLING_BUDGET


def read_parts(store: PostgresStore, name: str) -> ImportedParts | None:
    """The imported log of that name, to be read part by part.

    None where there is no such imported log, or where it must be sorted first, which takes all of its rows: `read_log`
    then reads it whole.
    """
    known = any(log.name == name for log in store.imported.list())
    return imported_parts(store.imported, name) if known else None


def read_log(
    store: PostgresStore, room: ModelRoom, name: str, track: Track = silent, reading: Reading | None = None
) -> ReplayLog:
    """The imported log of that name, else the live log of the policy.

    Raises:
        NotFound: There is neither; says what there is.
        InvalidInput: An imported log is asked for what only a live one has.
    """
    reading = reading or Reading()
    if any(known.name == name for known in store.imported.list()):
        if reading.reach is not None:
            raise InvalidInput("as_of", f"log {name} is imported and never changes")
        return read_imported(store.imported, name)
    policy = PolicyName(name)
    if not store.registry.versions(policy):
        imported = ", ".join(known.name for known in store.imported.list()) or "none"
        policies = ", ".join(dict.fromkeys(version.policy for version in store.registry.versions())) or "none"
        raise NotFound("log", name, f"; imported logs: {imported}; policies: {policies}")
    manifests = Manifests(store.registry)
    audit = DecisionAudit(store.registry, store.releases, manifests, store.keyring, room, store.outcomes)
    return read_live_log(
        policy,
        store.outcomes,
        manifests,
        audit,
        track,
        reach=reading.reach,
        ledger=store.ledger if reading.events else None,
        pooling=reading.pooling,
    )
