"""All ports over one PostgreSQL database and one pool of connections."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from cxi_bandit.store.postgres.access import PostgresAccess
from cxi_bandit.store.postgres.budgets import PostgresBudgets
from cxi_bandit.store.postgres.connection import Database
from cxi_bandit.store.postgres.decision_log import PostgresDecisionLog
from cxi_bandit.store.postgres.deliveries import PostgresDeliveries
from cxi_bandit.store.postgres.election import Election
from cxi_bandit.store.postgres.evaluations import PostgresEvaluations
from cxi_bandit.store.postgres.imported_logs import ImportedLogs
from cxi_bandit.store.postgres.keyring import PostgresKeyring
from cxi_bandit.store.postgres.outcome_log import PostgresOutcomeLog
from cxi_bandit.store.postgres.partitions import Partitions
from cxi_bandit.store.postgres.permits import PostgresPermits
from cxi_bandit.store.postgres.privacy import PostgresPrivacy
from cxi_bandit.store.postgres.rebuilds import PostgresRebuilds
from cxi_bandit.store.postgres.registry import PostgresRegistry
from cxi_bandit.store.postgres.releases import PostgresReleases
from cxi_bandit.store.postgres.retention import Retention
from cxi_bandit.store.postgres.reward_ledger import PostgresRewardLedger
from cxi_bandit.store.postgres.tallies import PostgresTallies
from cxi_bandit.store.postgres.trail import PostgresTrail
from cxi_bandit.store.postgres.visits import PostgresVisits


@dataclass(frozen=True)
class PostgresStore:
    """The engine's ports, with the store's own upkeep and the shelf of imported logs beside them."""

    database: Database
    decisions: PostgresDecisionLog
    ledger: PostgresRewardLedger
    outcomes: PostgresOutcomeLog
    visits: PostgresVisits
    registry: PostgresRegistry
    releases: PostgresReleases
    keyring: PostgresKeyring
    access: PostgresAccess
    deliveries: PostgresDeliveries
    trail: PostgresTrail
    evaluations: PostgresEvaluations
    rebuilds: PostgresRebuilds
    privacy: PostgresPrivacy
    budgets: PostgresBudgets
    permits: PostgresPermits
    tallies: PostgresTallies
    imported: ImportedLogs
    partitions: Partitions
    retention: Retention
    election: Election

    @classmethod
    def open(cls, dsn: str, *, max_connections: int = 8, wait: timedelta = timedelta(seconds=2)) -> Self:
        """Connects to a database that has been migrated. Open it after forking: connections are not shared.

        Args:
            wait: How long a call waits for a free connection before it raises Unavailable.

        Raises:
            Unavailable: The database does not answer.
        """
        database = Database(dsn, max_size=max_connections, wait=wait)
        database.open()
        partitions = Partitions(database)
        return cls(
            database=database,
            decisions=PostgresDecisionLog(database),
            ledger=PostgresRewardLedger(database),
            outcomes=PostgresOutcomeLog(database),
            visits=PostgresVisits(database),
            registry=PostgresRegistry(database),
            releases=PostgresReleases(database),
            keyring=PostgresKeyring(database),
            access=PostgresAccess(database),
            deliveries=PostgresDeliveries(database),
            trail=PostgresTrail(database),
            evaluations=PostgresEvaluations(database),
            rebuilds=PostgresRebuilds(database),
            privacy=PostgresPrivacy(database),
            budgets=PostgresBudgets(database),
            permits=PostgresPermits(database),
            tallies=PostgresTallies(database),
            imported=ImportedLogs(database),
            partitions=partitions,
            retention=Retention(database, partitions),
            election=Election(database),
        )

    def close(self) -> None:
        """Closes every connection."""
        self.election.stand_down()
        self.registry.stand_down()
        self.database.close()
