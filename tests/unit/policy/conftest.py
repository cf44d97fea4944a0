from pathlib import Path

import pytest

from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest


@pytest.fixture(scope="session")
def text() -> str:
    return (Path(__file__).parent / "shelf.toml").read_text("utf-8")


@pytest.fixture(scope="session")
def manifest(text: str) -> Manifest:
    return parse_manifest(text, "shelf.toml")
