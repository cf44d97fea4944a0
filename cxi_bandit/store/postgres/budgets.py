"""Leases of the budgets in PostgreSQL: a row for each arm of a line's day, and one for all arms together."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.engine.ports import LeaseRequest, Unspent
from cxi_bandit.policy.budgets import Amount, granted
from cxi_bandit.store.postgres.connection import Connection, Database

# All three in the key's order, so that two callers with rows in common never wait for each other in a ring.
_SEED: Final = """
INSERT INTO budget_days (policy, day, name, arm, uses, money)
SELECT policy, day, name, arm, 0, 0 FROM unnest(%b::text[], %b::date[], %b::text[], %b::text[])
  AS given (policy, day, name, arm)
ORDER BY policy COLLATE "C", day, name COLLATE "C", arm COLLATE "C"
ON CONFLICT (policy, day, name, arm) DO NOTHING
"""
_LOCK: Final = """
SELECT policy, day, name, arm, uses, money FROM budget_days
WHERE (policy, day, name, arm) IN (SELECT * FROM unnest(%b::text[], %b::date[], %b::text[], %b::text[]))
ORDER BY policy COLLATE "C", day, name COLLATE "C", arm COLLATE "C" FOR UPDATE
"""
_MOVE: Final = """
UPDATE budget_days known SET uses = known.uses + given.uses, money = known.money + given.money
FROM unnest(%b::text[], %b::date[], %b::text[], %b::text[], %b::int8[], %b::int8[])
  AS given (policy, day, name, arm, uses, money)
WHERE known.policy = given.policy AND known.day = given.day AND known.name = given.name AND known.arm = given.arm
"""
_LEASED: Final = "SELECT name, arm, uses, money FROM budget_days WHERE policy = %b AND day = %b AND arm <> ''"
_PRUNE: Final = "DELETE FROM budget_days WHERE day < %b"

_ALL: Final = ""
"""The row of all arms together."""

_Key = tuple[str, date, str, str]


class PostgresBudgets:
    """Budgets in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lease(self, asked: Sequence[LeaseRequest]) -> list[int]:
        """See the port."""
        keys = sorted({key for one in asked for key in _keys(one, one.line.name)})
        units = []
        with self._database.transaction() as connection:
            connection.execute(_SEED, _columns(keys))
            known = _locked(connection, keys)
            before = dict(known)
            for one in asked:
                of_arm, of_all = _keys(one, one.line.name)
                number = granted(one.units, one.held, one.line, known[of_arm], known[of_all])
                units.append(number)
                for key in (of_arm, of_all):
                    known[key] = _more(known[key], one.line.unit, number)
            _move(connection, {key: _more(known[key], before[key], -1) for key in keys if known[key] != before[key]})
        return units

    def give_back(self, unspent: Sequence[Unspent]) -> None:
        """See the port."""
        moves: dict[_Key, Amount] = {}
        for one in unspent:
            for key in _keys(one, one.name):
                moves[key] = _more(moves.get(key, Amount(0, 0)), one.unit, -one.units)
        with self._database.transaction() as connection:
            _locked(connection, sorted(moves))
            _move(connection, moves)

    def leased(self, policy: PolicyName, day: date) -> dict[tuple[InterventionId, Arm], Amount]:
        """See the port."""
        with self._database.connection() as connection:
            rows = connection.execute(_LEASED, [policy, day])
            return {(InterventionId(name), Arm(arm)): Amount(uses, money) for name, arm, uses, money in rows}

    def prune(self, before: date) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_PRUNE, [before])


def _keys(one: LeaseRequest | Unspent, name: InterventionId) -> tuple[_Key, _Key]:
    return (one.policy, one.day, name, one.arm.value), (one.policy, one.day, name, _ALL)


def _more(amount: Amount, unit: Amount, number: int) -> Amount:
    return Amount(amount.uses + number * unit.uses, amount.money + number * unit.money)


def _locked(connection: Connection, keys: Iterable[_Key]) -> dict[_Key, Amount]:
    rows = connection.execute(_LOCK, _columns(keys))
    return {(policy, day, name, arm): Amount(uses, money) for policy, day, name, arm, uses, money in rows}


def _move(connection: Connection, moves: Mapping[_Key, Amount]) -> None:
    if moves:
        amounts = list(moves.values())
        money = [amount.money for amount in amounts]
        connection.execute(_MOVE, [*_columns(moves), [amount.uses for amount in amounts], money])


def _columns(keys: Iterable[_Key]) -> list[list[object]]:
    return [list(column) for column in zip(*keys, strict=True)]
