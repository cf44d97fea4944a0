"""A real `cxi-bandit serve` in a process of its own, and how to wait for it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.harness.ports import free_port

MANIFEST = """
format = 1
name = "quick"
surface = "cart"

[defects.slow_delivery]

[context.features.device]
type = "category"
values = ["mobile", "desktop"]

[[interventions]]
id = "hold"

[[interventions]]
id = "free_shipping"

[reward]
horizon_seconds = 3600
min = 0
max = 1
closes_on = "first_reward"

[reward.metrics.order]
weight = 1
min = 0
max = 1

[exploration.cold_start]
outcomes = 5

[learning]
publish_seconds = 0.0
"""

DECISION = {
    "surface": "cart",
    "defect": {"type": "slow_delivery", "severity": 0.5, "confidence": 1.0},
    "context": {"device": "mobile"},
}


class Service:
    """A real `cxi-bandit serve`, started at once; `await_ready` before it is asked anything.

    Args:
        options: Further words of the command line.
        settings: Environment variables, over those of this process; `DATABASE_URL` is never inherited.
        manifest: The one policy it serves.
        beside: Where its log and its policies are; beside the data directory unless that is on a disk to be filled.
    """

    def __init__(
        self,
        data_dir: Path,
        workers: int,
        *options: str,
        settings: Mapping[str, str] | None = None,
        manifest: str = MANIFEST,
        beside: Path | None = None,
    ) -> None:
        beside = beside or data_dir.parent
        policies = beside / "policies"
        policies.mkdir(exist_ok=True)
        (policies / "quick.toml").write_text(manifest)
        self.port = free_port()
        self.data_dir = data_dir
        self.policies = policies
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "CXI_BANDIT_DATA_DIR": str(data_dir),
            "CXI_BANDIT_POLICIES_DIR": str(policies),
            **(settings or {}),
        }
        self.log = beside / f"log-{self.port}"
        self.decision = DECISION
        self._command = ["serve", "--port", str(self.port), "--workers", str(workers), *options]
        self.process = self.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "cxi_bandit.cli", *self._command]
            return subprocess.Popen(command, env=self.environment, stderr=log, start_new_session=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cxi_bandit.cli", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)

    def await_ready(self, seconds: float = 60) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text())
            try:
                return httpx.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=2).status_code == 200
            except httpx.TransportError:
                return False

        until(ready, seconds)

    def decide(self, **changes: Any) -> dict[str, Any]:
        answer = self.client.post("/v1/decisions", json=DECISION | changes)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def close(self) -> None:
        """Ends all of it at once, its database too. How it ends when it is asked to is for tests of that."""
        self.client.close()
        if self.process.poll() is None:
            supervisor = psutil.Process(self.process.pid)
            # The supervisor first: nobody is left to start anything again.
            for process in (supervisor, *supervisor.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()
        EmbeddedPostgres(self.data_dir / "database").stop(immediate=True)


def until(happened: Callable[[], bool], seconds: float) -> float:
    """Waits for something; how long it took."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started
