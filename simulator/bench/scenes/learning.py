"""The learner's own step, from the database to a committed model, beside a bare loop over the same outcomes."""

import tempfile
import time
from pathlib import Path
from typing import Final

from cxi_bandit.domain.errors import ModelInvalid, Unavailable
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.engine.fingerprint import sha256
from cxi_bandit.engine.learn import verified_bytes
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.vowpal.arguments import workspace_arguments
from cxi_bandit.vowpal.encoding import ACTION, SHARED, Encoding
from cxi_bandit.vowpal.workspace import example, open_workspace, saved_bytes
from simulator.bench.databases import Filled, filled
from simulator.bench.figures import Row, Sample, at_least
from simulator.bench.plan import Plan, Samples, Scene

_ROW: Final = Row(
    name="learning",
    title="outcomes learned, database to committed model",
    unit="/s",
    beside="bare loop",
    targets=(at_least(0.70), at_least(15_000.0, of="measured")),
)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    samples = []
    segment = plan.manifest.learning.segment_outcomes
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-") as folder:
        plan.tell("learning: filling the log")
        # One segment more, to warm up.
        with filled(plan.policy, Path(folder), segment * (plan.rounds + 1)) as log:
            step(log)
            for _ in plan.each_round("learning"):
                head = log.learner.start(log.version, log.engine.clock())
                seconds, model = step(log)
                samples.append(Sample(model.lineage.learned / seconds, _bare(log, head, model)))
    return {_ROW.name: samples}


def step(log: Filled) -> tuple[float, Model]:
    """One step of the learner; how long it took.

    Raises:
        Unavailable: Nothing was left to be learned.
    """
    started = time.perf_counter()
    model = log.learner.step(log.version, log.engine.clock())
    if model is None:
        raise Unavailable("the next segment of the log")
    return time.perf_counter() - started, model


def _bare(log: Filled, head: Model, model: Model) -> float:
    """Outcomes a second of the loop alone: the rows in memory, the model before them open, nothing saved.

    Raises:
        ModelInvalid: It learned something else than the learner did.
    """
    lineage = model.lineage
    rows = log.store.outcomes.segment(lineage.policy, lineage.after, lineage.up_to, lineage.ledger_cut).rows
    parent = verified_bytes(log.store.registry, head)
    seconds, data = bare_loop(log.manifest, parent, rows)
    if sha256(data) != model.sha256:
        raise ModelInvalid(f"the bare loop learned another model than {lineage.policy}@{lineage.version}")
    return len(rows) / seconds


def bare_loop(manifest: Manifest, parent: bytes, rows: list[Lesson]) -> tuple[float, bytes]:
    """Builds each row's shared and drawn example and learns it with the catalogue's, built once.

    Returns:
        Seconds of the loop, and the model that came of it: the learner's own, or the loop did something else.
    """
    workspace, encoding = open_workspace(workspace_arguments(manifest), parent), Encoding(manifest)
    catalogue = {name: example(workspace, {ACTION: features}) for name, features in encoding.catalogue.items()}
    started = time.perf_counter()
    for row in rows:
        situation, drawn = row.situation, row.intervention
        examples = [example(workspace, {SHARED: encoding.shared(situation.defect, situation.context)}, "shared")]
        for name in situation.eligible:
            if name == drawn:
                label = f"0:{encoding.cost(row.reward):.9g}:{row.propensity:.9g}"
                examples.append(example(workspace, {ACTION: encoding.action(situation, name)}, label))
            else:
                examples.append(catalogue[name])
        workspace.learn(examples)
    return time.perf_counter() - started, saved_bytes(workspace)


SCENE: Final = Scene("learning", (_ROW,), _measure)
