from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.clusters import lay_cluster
from tests.harness.service import MANIFEST, Service


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services on one data directory, whose database is there already; the README's test begins with nothing."""
    started: list[Service] = []

    def start(*options: str, workers: int = 1, manifest: str = MANIFEST) -> Service:
        data_dir = tmp_path / "data"
        if not data_dir.exists():
            data_dir.mkdir()
            lay_cluster(data_dir / "database")
        service = Service(data_dir, workers, *options, manifest=manifest)
        started.append(service)
        return service

    yield start
    for service in reversed(started):
        service.close()
