"""The bench runs as it is run, only very short; and a log that the database filled is one the engine agrees with."""

import json
import subprocess
import sys
from pathlib import Path

from cxi_bandit.policy.settlement import settle
from simulator.bench.databases import filled
from simulator.bench.filling import REWARDED
from simulator.bench.scenes.learning import bare_loop, step
from simulator.bench.servers import POLICY


def test_it_measures_and_says_where(tmp_path: Path) -> None:
    rows = ["decision-cpu", "rewards", "client-cpu"]
    options = ["--rounds", "1", "--seconds", "0.5", "--json", "--output", str(tmp_path / "bench.json")]
    command = [sys.executable, "-m", "simulator.bench", *rows, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=160, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert json.loads((tmp_path / "bench.json").read_text()) == report
    figures = {figure["row"]["name"]: figure for figure in report["figures"]}
    assert set(figures) == set(rows)
    assert all(figure["measured"] > 0 and figure["against"] > 0 for figure in figures.values())
    assert report["versions"]["litestar"]
    assert int(report["machine"]["processors"]) >= 1


def test_a_filled_log_is_settled_as_the_engine_would(servers_directory: Path) -> None:
    with filled(POLICY, servers_directory / "bench", 300) as log:
        store, policy = log.store, log.manifest.policy
        assert store.outcomes.head(policy) == 300
        closes = store.outcomes.closes(policy, 0, 1000)
        assert [close.position for close in closes] == list(range(1, 301))
        names = [close.decision_id for close in closes]
        assert sorted(names) == names
        decisions = store.decisions.find(names)
        entries = store.ledger.known_at(names, store.outcomes.ledger_cut())
        assert len(entries) == 300 // REWARDED
        for close in closes:
            decision = decisions[close.decision_id]
            window = (decision.decided_at, decision.closes_at)
            mine = entries.get(close.decision_id, [])
            assert settle(log.manifest, decision.intervention, window, mine) == close.settlement
        log.learner.start(log.version, log.engine.clock())
        _, model = step(log)
        assert (model.lineage.learned, model.lineage.up_to) == (300, 300)
        segment = store.outcomes.segment(policy, 0, 300, store.outcomes.ledger_cut())
        start = store.registry.model_bytes(policy, model.lineage.parent)
        _, data = bare_loop(log.manifest, start, segment.rows)
        assert data == store.registry.model_bytes(policy, model.lineage.version)
