"""`cxi-bandit explain`: one decision laid open, executed again on the spot and compared with the log."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rich.console import Console
from rich.table import Table

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.explanation import Weighed
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.audit import AuditVerdict
from cxi_bandit.service.receipts import Receipt, receipt
from cxi_bandit.settings import read_settings

_REFUSED: Final = 1


def explain(decision: UUID, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit explain`."""
    with open_store(read_settings(**options)) as store:
        found = receipt(build_engine(store), DecisionId(decision), derive=True)
    if as_json:
        show_json(found)
    else:
        console = Console()
        for table in _tables(found):
            console.print(table)
    return _REFUSED if found.explanation.verdict == AuditVerdict.DIFFERENT else 0


def _tables(found: Receipt) -> Iterator[Table]:
    why = found.explanation.why
    yield _table(f"Decision {found.decision.decision_id}", ("", ""), _facts(found))
    yield _table("Context", ("feature", "value"), _context(found.decision))
    yield _table(
        "Interventions", ("", "intervention", "before floors", "floor", "drawn from", "removed by"), _actions(found)
    )
    if why is not None and why.taken is not None:
        for title, weighed in (("Taken", why.taken), ("Runner-up", why.runner_up)):
            if weighed is not None:
                yield _table(
                    f"{title}: {_expectation(weighed)}", ("feature", "value", "weight", "adds"), _moved(weighed)
                )
    if found.decision.assignment is not None and found.decision.assignment.beside:
        columns = ("place", "policy version", "model", "would have drawn from")
        yield _table("Beside", columns, _beside(found.decision))
    if found.rewards:
        events = ("occurred", "source", "reward", "metric", "value", "amends", "via", "share", "quarantined")
        yield _table("Rewards", events, _rewards(found))
    if found.outcomes:
        revisions = ("revision", "position", "reward", "events", "standing", "ledger cut", "closed")
        yield _table("Outcome", revisions, _outcomes(found))


def _facts(found: Receipt) -> Iterator[tuple[str, object]]:
    decision, explanation, why = found.decision, found.explanation, found.explanation.why
    yield "executed again", explanation.verdict
    yield "decided", decision.decided_at
    yield "surface", decision.surface
    yield "policy", f"{decision.policy} version {decision.policy_version}, {decision.stage.value}"
    yield "manifest", decision.manifest_sha
    yield "model", _model(found)
    yield "intervention", f"{decision.intervention}, with probability {decision.propensity:.6g}"
    if why is not None:
        yield "chosen by", why.source.value
    if why is not None and why.reads is not None:
        yield "expectations read from", why.reads
    if decision.fallback is not None:
        yield "fallback", decision.fallback.value
    yield "draw", f"u = {decision.u!r}, key {decision.draw_key_id}"
    if (assignment := decision.assignment) is not None:
        salt = f", salt {assignment.salt}" if assignment.salt else ""
        yield "arm", f"{assignment.arm.value}, share {assignment.share:g}{salt}, roll-out {assignment.revision}"
    if (override := explanation.override) is not None:
        yield "override", f"{override.override_id} by {override.author}: {override.reason}"
    if decision.request_id is not None:
        yield "request", decision.request_id
    yield "learned by", ", ".join(map(str, found.learned_by)) or "no model"


def _model(found: Receipt) -> str:
    lineage = found.model
    if lineage is None:
        return "none"
    parent = "" if lineage.parent is None else f" of {lineage.parent}"
    learned = f"outcomes {lineage.after + 1} to {lineage.up_to} at ledger cut {lineage.ledger_cut}"
    return f"{lineage.version} ({lineage.branch.value}{parent}, {learned}; {lineage.learned_total} learned in all)"


def _context(decision: Decision) -> Iterator[tuple[str, object]]:
    defect = decision.situation.defect
    yield "defect", f"{defect.type}, severity {defect.severity:g}, confidence {defect.confidence:g}"
    yield from decision.situation.context.items()
    for name, features in decision.situation.offered.items():
        yield f"offered {name}", ", ".join(f"{key} = {value}" for key, value in features.items())


def _actions(found: Receipt) -> Iterator[tuple[object, ...]]:
    decision, why = found.decision, found.explanation.why
    eligible = decision.situation.eligible
    before = None if why is None else why.before_floors
    floors = None if why is None else why.floors
    for place, name in enumerate(eligible):
        mark = "->" if name == decision.intervention else ""
        yield mark, name, _at(before, place), _at(floors, place), _at(decision.probabilities, place), None
    for name, rule in decision.excluded.items():
        yield "", name, None, None, None, rule


def _moved(weighed: Weighed) -> Iterator[tuple[object, ...]]:
    for one in weighed.contributions:
        yield one.feature, f"{one.value:g}", f"{one.weight:+.4f}", f"{one.amount:+.4f}"
    yield "all others", None, None, f"{weighed.others:+.4f}"
    yield "least reward there is", None, None, f"{weighed.base:+.4f}"


def _beside(decision: Decision) -> Iterator[tuple[object, ...]]:
    for one in decision.assignment.beside if decision.assignment is not None else ():
        names = one.eligible or decision.situation.eligible
        yield one.place, one.policy_version, one.model_version, _vector(names, one.probabilities)


def _rewards(found: Receipt) -> Iterator[tuple[object, ...]]:
    for one in found.rewards:
        event = one.event
        told = (event.occurred_at, event.source, event.reward_id, event.metric, event.value)
        yield *told, _amendment(event.corrects, event.retracts), one.via.value, f"{one.share:g}", one.quarantined


def _outcomes(found: Receipt) -> Iterator[tuple[object, ...]]:
    for one in found.outcomes:
        settled = one.settlement
        came = (one.revision, one.position, f"{settled.reward:g}", settled.counted)
        yield *came, one.standing.value, one.ledger_cut, one.closed_at


def _expectation(weighed: Weighed) -> str:
    spread = "" if weighed.spread is None else f" (its models differ by {weighed.spread:.4f})"
    return f"{weighed.intervention}, expected reward {weighed.expected:.4f}{spread}"


def _vector(names: Sequence[str], probabilities: Sequence[float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(names, probabilities, strict=True))


def _amendment(corrects: str | None, retracts: str | None) -> str | None:
    if corrects is not None:
        return f"corrects {corrects}"
    return None if retracts is None else f"retracts {retracts}"


def _at(vector: Sequence[float] | None, place: int) -> str | None:
    return None if vector is None else f"{vector[place]:.6f}"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(*columns, title=title, title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*("-" if value is None else _words(value) for value in row))
    return table


def _words(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
