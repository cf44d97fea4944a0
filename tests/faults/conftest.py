import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.ground import Ground


@pytest.fixture(scope="session")
def _grounds() -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-faults-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Ground(Path(directory))


@pytest.fixture
def ground(_grounds: Ground) -> Iterator[Ground]:
    with _grounds.part() as own:
        yield own
