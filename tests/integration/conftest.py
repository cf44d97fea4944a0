from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.service import MANIFEST, Service


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*options: str, workers: int = 1, manifest: str = MANIFEST) -> Service:
        service = Service(tmp_path / "data", workers, *options, manifest=manifest)
        started.append(service)
        return service

    yield start
    for service in reversed(started):
        service.close()
