"""Promises 15 and 16: nothing that strangers send is answered with a 500, and no key opens what it must not."""

import structlog

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.faults.proof import Losses, Proof, Tell
from tests.harness.ground import Ground
from tests.security.fuzzing import fuzz_parsers
from tests.security.matrix import try_every_route
from tests.security.schema_cases import MANIFEST, run_schema_cases

INPUTS_A_CASE = 100
"""A case drawn from the schema costs as much as so many broken inputs at a parser."""

SPOOL_BYTES = 1 << 20


def prove_no_failure(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` inputs: one in a hundred and one is a request drawn from our own schema, the others are fuzz."""
    cases = max(trials // (INPUTS_A_CASE + 1), 1)
    shelf = SpoolShelf(ground.place(), SPOOL_BYTES)
    drawn = run_schema_cases(in_memory_engine([("quick.toml", MANIFEST)]), shelf, cases, told=tell)
    fuzzed = fuzz_parsers(trials - cases, told=lambda done: tell(cases + done))
    losses = Losses()
    for found in (drawn, fuzzed):
        losses.count += found.failures
        losses.notes += found.notes
    return losses.proof(drawn.cases + fuzzed.inputs)


def prove_no_open_door(trials: int, ground: Ground, tell: Tell) -> Proof:
    """The whole matrix, as often as it takes: every route, set of scopes, method and spelling of a path."""
    proof = Proof(trials=0, losses=0)
    while proof.trials < trials:
        engine = in_memory_engine([("quick.toml", MANIFEST)])
        silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
        app = create_app(engine, Settings(), silent, Metrics(), SpoolShelf(ground.place(), SPOOL_BYTES))
        found = try_every_route(app, engine, told=lambda done, before=proof.trials: tell(before + done))
        proof += Proof(trials=found.trials, losses=found.open, notes=tuple(found.notes))
    return proof
