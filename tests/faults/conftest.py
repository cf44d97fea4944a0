from collections.abc import Iterator

import pytest

from tests.harness.ground import Ground
from tests.harness.leftovers import directory_of_this_run


@pytest.fixture(scope="session")
def _grounds() -> Iterator[Ground]:
    with directory_of_this_run() as directory:
        yield Ground(directory)


@pytest.fixture
def ground(_grounds: Ground) -> Iterator[Ground]:
    with _grounds.part() as own:
        yield own
