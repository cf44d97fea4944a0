"""The work of `cxi-bandit replay`."""

from collections.abc import Mapping
from typing import Any

import rich_click as click
from rich.console import Console

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.gate import Ruling, Verdict
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom
from cxi_bandit.settings import read_settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates import Parts, parse_candidate
from simulator.datasets.imported import read_imported
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.progress import Track, bars
from simulator.replay import ReplaySettings
from simulator.replay import replay as evaluated
from simulator.report import NO_GATE, print_report
from simulator.report import as_json as json_of

EXIT_DONE, EXIT_REFUSED, EXIT_WAIT = 0, 1, 3


def run(
    log: str,
    candidate: str,
    settings: ReplaySettings,
    train_fraction: float,
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> int:
    """Replays, prints the report, and returns the exit code."""
    track = bars(Console(stderr=True))
    with open_store(read_settings(**options)) as store:
        room = VowpalRoom()
        parts = Parts(registry=store.registry, room=room, train_fraction=train_fraction)
        # The candidate first: a mistyped SPEC is found before a long log is read.
        contender = parse_candidate(candidate, parts)
        rounds = _log(store, room, log, track)
    # Outside: a long evaluation must not keep a service from starting on this data directory.
    outcome = evaluated(rounds, contender, settings, track)
    if as_json:
        click.echo(json_of(outcome))
    else:
        print_report(outcome, Console())
    return exit_code(outcome.report.verdict)


def exit_code(verdict: Verdict) -> int:
    """A refusal is 1; a gate's wait is 3; where no gate was asked the evaluation itself is all there was to do."""
    if verdict.decision is Ruling.REFUSE:
        return EXIT_REFUSED
    ungated = any(reason.code == NO_GATE for reason in verdict.reasons)
    return EXIT_WAIT if verdict.decision is Ruling.WAIT and not ungated else EXIT_DONE


def _log(store: PostgresStore, room: ModelRoom, name: str, track: Track) -> ReplayLog:
    if any(known.name == name for known in store.imported.list()):
        return read_imported(store.imported, name)
    policy = PolicyName(name)
    if not store.registry.versions(policy):
        imported = ", ".join(known.name for known in store.imported.list()) or "none"
        policies = ", ".join(dict.fromkeys(version.policy for version in store.registry.versions())) or "none"
        raise NotFound("log", f"{name} (imported logs: {imported}; policies: {policies})")
    manifests = Manifests(store.registry)
    audit = DecisionAudit(store.registry, manifests, store.keyring, room)
    return read_live_log(policy, store.outcomes, manifests, audit, track)
