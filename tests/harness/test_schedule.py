"""How the tests are shared out, and ports that nobody else is given."""

import itertools
import random
import socket

import pytest

from tests.harness import ports
from tests.harness.ports import free_port
from tests.harness.schedule import WholeFiles, turn

ROOMS = ["tests/unit/policy/test_pmf.py::test_a", "tests/golden/test_b.py::test_b", "tests/faults/test_c.py::test_c"]


def test_long_rooms_come_first_units_last_and_a_room_nobody_spoke_of_between() -> None:
    assert sorted(random.Random(1).sample(ROOMS, 3), key=turn) == ROOMS[::-1]
    assert turn("tests/docs/test_a.py::test_a") < turn("tests/new/test_a.py::test_a") < turn("tests/unit/a.py::test_a")


def test_files_stay_whole_and_the_proofs_by_faults_together() -> None:
    share = object.__new__(WholeFiles)._split_scope
    assert share("tests/docs/test_a.py::test_a[x::y]") == share("tests/docs/test_a.py::Test::test_b")
    assert share("tests/docs/test_a.py::test_a") != share("tests/docs/test_b.py::test_a")
    assert share("tests/faults/test_a.py::test_a") == share("tests/faults/test_b.py::test_b")


def test_a_port_is_given_once_and_never_one_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [free_port() for _ in range(20)]
    assert len(set(given)) == 20
    with socket.create_server(("127.0.0.1", given[0])):
        monkeypatch.setattr(ports, "_numbers", itertools.count(given[0] - ports._FIRST))
        assert free_port() != given[0]
