"""What leaves the spool, and what does not, when the log cannot take it."""

from collections.abc import Sequence

import msgspec
import pytest

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.engine.drain import drain
from cxi_bandit.engine.ports import DecisionEntry


class Spool:
    def __init__(self, entries):
        self.entries = list(entries)
        self.damaged = 0
        self._read = 0

    def read(self, limit):
        self._read = min(limit, len(self.entries))
        return self.entries[: self._read]

    def release(self, *, damaged=0):
        self.damaged += damaged
        del self.entries[: self._read]


class Log:
    def __init__(self, **faults):
        self.faults = faults
        self.taken = []

    def adopt(self, entries: Sequence[DecisionEntry]) -> int:
        for entry in entries:
            if fault := self.faults.get(entry.decision.surface):
                raise fault
        self.taken += entries
        return 0


class Privacy:
    def __init__(self, **erased):
        self.erased = erased

    def suppressed(self, subjects):
        return {subject: self.erased[subject.hex()] for subject in subjects if subject.hex() in self.erased}


@pytest.fixture
def entries(cart):
    def make(*surfaces):
        return [DecisionEntry(msgspec.structs.replace(cart.decide(), surface=surface)) for surface in surfaces]

    return make


def test_what_is_in_the_log_leaves_the_spool_oldest_first(entries):
    given = entries("a", "b", "c")
    spool, log = Spool(given), Log()
    assert drain(spool, log, Privacy(), 2).drained == 2
    assert (log.taken, spool.entries) == (given[:2], given[2:])
    assert drain(spool, log, Privacy(), 2).drained == 1
    assert drain(spool, log, Privacy(), 2).drained == 0


def test_while_the_log_is_away_nothing_leaves(entries):
    spool = Spool(entries("a", "b"))
    with pytest.raises(Unavailable):
        drain(spool, Log(b=Unavailable("x")), Privacy(), 10)
    assert len(spool.entries) == 2


def test_what_the_log_cannot_keep_is_refused_alone(entries):
    given = entries("a", "bad", "c")
    spool, log = Spool(given), Log(bad=InvalidInput("", "holds a value the database cannot keep"))
    report = drain(spool, log, Privacy(), 10)
    assert (report.drained, spool.damaged) == (2, 1)
    assert log.taken == [given[0], given[2]]
    assert str(given[1].decision.decision_id) in report.refused[0]
    assert spool.entries == []


def test_a_fault_of_the_log_itself_is_no_entrys_fault(entries):
    spool = Spool(entries("a", "a"))
    with pytest.raises(RuntimeError):
        drain(spool, Log(a=RuntimeError("no such table")), Privacy(), 10)
    assert (len(spool.entries), spool.damaged) == (2, 0)


def test_an_entry_that_alone_fails_while_another_lands_is_refused(entries):
    given = entries("odd", "b")
    spool, log = Spool(given), Log(odd=RuntimeError("?"))
    assert drain(spool, log, Privacy(), 10).drained == 1
    assert (log.taken, spool.entries, spool.damaged) == (given[1:], [], 1)


def test_what_was_decided_before_its_shopper_was_erased_never_lands(cart, entries):
    early, late, other = entries("a", "a", "a")
    shopper = b"\x01"
    early, late = (
        msgspec.structs.replace(entry, decision=msgspec.structs.replace(entry.decision, subject=shopper))
        for entry in (early, late)
    )
    spool, log = Spool([early, late, other]), Log()
    report = drain(spool, log, Privacy(**{shopper.hex(): early.decision.decided_at}), 10)
    assert (report.drained, report.forgotten, spool.entries) == (2, 1, [])
    assert log.taken == [late, other]
