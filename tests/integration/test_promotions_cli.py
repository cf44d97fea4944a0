"""The commands that change who answers, on a real database: what they print, and with which exit code they end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.errors import RolloutConflict
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.install import install
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.releases import PostgresReleases
from tests.harness.evidence import file_report

MANIFEST = Path(__file__).parents[2] / "policies" / "detail-page.toml"
POLICY = PolicyName("detail-page")
BAD_INPUT: list[tuple[tuple[str | int, ...], str]] = [
    (("propose", "nobody", "--version", 1, "--evaluation", 1), "no policy 'nobody'"),
    (("propose", POLICY, "--version", 7, "--evaluation", 1), "no policy version 'detail-page version 7'"),
    (("propose", POLICY, "--version", 2, "--evaluation", 77), "no evaluation '77'"),
    (("approve", 77), "no promotion '77'"),
    (("rollback", POLICY, "--to", 77), "no roll-out 'detail-page revision 77'"),
    (("rollback",), "POLICY: name one policy, or --all"),
    (("rollback", POLICY, "--all"), "POLICY: name one policy, or --all"),
    (("promotions", "nobody"), "no policy 'nobody'"),
    (("watches", "nobody"), "no policy 'nobody'"),
    (("shadow", POLICY, "--version", 2, "--model", 1, "--leave"), "--model: a version leaves the shadows"),
    (("shadow", POLICY, "--version", 2, "--leave"), "version 2 does not shadow on detail-page"),
    (("halt",), "--reason: say why"),
    (("halt", "--lift", 1, "--reason", "x"), "--lift: a halt is lifted by its id alone"),
    (("halt", "--lift", 77), "no override '77'"),
    (("override", POLICY, "--reason", "x"), "--intervention: is needed to pin"),
    (("override", POLICY, "--lift", 1), "--lift: an override is lifted by its id alone; leave out policy"),
    (("override", POLICY, "--intervention", "hold", "--reason", "x", "--until", "soon"), "--until: 'soon' is no"),
]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def engine(postgres_store: PostgresStore) -> Engine:
    engine, text = build_engine(postgres_store), MANIFEST.read_text().replace("approvals = 1", "approvals = 2")
    text = text.replace(
        "[context.features.device]", '[context.features.member]\ntype = "flag"\n[context.features.device]'
    )
    for version in (text, text + "# changed\n"):
        install(postgres_store.registry, [("detail-page.toml", version)], engine.clock(), "test")
    return engine


@pytest.fixture
def run(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("COLUMNS", "250")

    def command(*arguments: str | int) -> Done:
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return command


def report(engine: Engine, ruling: Ruling = Ruling.GO) -> int:
    return file_report(engine.promoting[:3], POLICY, 2, None, at=engine.clock(), ruling=ruling)


def test_from_the_proposal_to_the_rollback_by_name(run: Run, engine: Engine) -> None:
    propose = ("propose", POLICY, "--version", 2, "--evaluation", report(engine), "--actor", "ann")
    proposed = run(*propose, "--json")
    assert (proposed.code, proposed.document["step"], proposed.document["proposed_by"]) == (0, "proposed", "ann")
    number = proposed.document["promotion_id"]
    alone = run("approve", number, "--actor", "ann")
    assert (alone.code, alone.out) == (1, "")
    assert alone.err.startswith("cxi-bandit: the gate says refuse: ann proposed it")
    approved = run("approve", number, "--actor", "bob")
    assert approved.code == 0
    assert "a canary with 0.05 of the shoppers" in approved.out
    again = run("approve", number, "--actor", "bob")
    assert (again.code, again.err) == (
        2,
        f"cxi-bandit: promotion {number} was decided on already: canary, a canary with 0.05 of the shoppers\n",
    )
    shown = run("policies", "--json").document
    assert [(arm["arm"], arm["share"]) for arm in shown["arms"][POLICY]] == [("live", 0.95), ("canary", 0.05)]
    assert [version["stage"] for version in shown["policies"]] == ["live", "canary"]
    assert "5.00%" in run("policies").out
    assert [one["promotion_id"] for one in run("promotions", "--json").document["promotions"]] == [number]
    assert "0.31 in [0.2, 0.4] (dr)" in run("promotions", POLICY).out
    watched = run("watches", POLICY, "--json").document
    assert (watched["policy"], watched["revision"], watched["calibrations"]) == (POLICY, 2, [])
    assert run("watches", POLICY).code == 0
    back = run("rollback", POLICY, "--reason", "complaints", "--actor", "eve", "--json")
    assert (back.code, back.document["canary"], back.document["made_by"]) == (0, None, "eve")
    assert run("rollback", "--all", "--json").document == {"made": [], "untouched": [POLICY]}
    assert "nothing was live before" in run("rollback", "--all").out
    nothing = run("rollback", POLICY)
    assert (nothing.code, nothing.err) == (
        2,
        "cxi-bandit: nothing was live before on detail-page; `halt` sends everything to hold\n",
    )
    trail = [(entry.action, entry.actor) for entry in engine.store.registry.trail(POLICY)][2:]
    assert trail == [
        ("promotion propose", "ann"),
        ("promotion turned down", "ann"),
        ("promotion approve", "bob"),
        ("rollback", "eve"),
    ]


@pytest.mark.parametrize(("ruling", "code"), [(Ruling.WAIT, 3), (Ruling.REFUSE, 1)])
def test_what_the_gate_says_is_the_exit_code(run: Run, engine: Engine, ruling: Ruling, code: int) -> None:
    propose = ("propose", POLICY, "--version", 2, "--evaluation", report(engine, ruling))
    told = run(*propose, "--json")
    assert (told.code, told.err) == (code, "")
    assert told.document == {
        "decision": ruling.value,
        "reasons": [{"code": "few_units", "message": "9 shoppers are too few"}],
    }
    plain = run(*propose)
    assert (plain.code, plain.err) == (code, f"cxi-bandit: the gate says {ruling.value}: 9 shoppers are too few\n")
    assert engine.store.releases.promotions() == []


def test_what_cannot_be_is_bad_input_in_one_line(run: Run, engine: Engine) -> None:
    for arguments, complaint in BAD_INPUT:
        told = run(*arguments)
        assert (told.code, told.out) == (2, "")
        assert told.err.startswith(f"cxi-bandit: {complaint}"), told.err
        assert told.err.count("\n") == 1
    assert engine.store.releases.rollout(POLICY).revision == 1


def test_a_pin_is_typed_by_the_manifest_listed_and_lifted(run: Run, engine: Engine) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    pin = ("override", POLICY, "--intervention", "price_match", "--reason", "a wrong feed", "--until", until)
    segment = ("--segment", "device=mobile", "--segment", "price=40", "--segment", "member=true")
    made = run(*pin, *segment, "--defect", "price_jump", "--actor", "ann", "--json")
    assert made.code == 0, made.err
    assert made.document["segment"] == {"device": "mobile", "price": 40.0, "member": True}
    assert made.document["author"] == "ann"
    number = made.document["override_id"]
    assert [one["override_id"] for one in run("overrides", "--json").document["overrides"]] == [number]
    assert "price_match" in run("overrides", POLICY).out
    for wrong, complaint in (
        ("device", "--segment: 'device' has no `=`; write device=mobile"),
        ("price=dear", "--segment: price is a number; 'dear' is none"),
        ("device=toaster", "/segment/device: "),
        ("shoe=44", "/segment/shoe: is not a context feature of policy detail-page; known: "),
    ):
        told = run(*pin, "--segment", wrong)
        assert (told.code, told.err.startswith(f"cxi-bandit: {complaint}")) == (2, True), told.err
    assert run("override", "--lift", number, "--json").document["lifted_by"]
    assert run("overrides", "--json").document == {"overrides": []}
    assert len(run("overrides", "--all", "--json").document["overrides"]) == 1
    assert run("override", "--lift", number).code == 2


def test_a_halt_is_about_one_policy_or_all(run: Run, engine: Engine) -> None:
    assert run("halt", POLICY, "--reason", "complaints", "--json").document["policy"] == POLICY
    everything = run("halt", "--reason", "a flood", "--json").document
    assert (everything["policy"], everything["intervention"], everything["expires_at"]) == (None, "hold", None)
    assert "hold (halt)" in run("overrides").out
    assert run("halt", "--lift", everything["override_id"]).code == 0
    assert [one.policy for one in engine.store.releases.overrides()] == [POLICY]


def test_who_comes_too_late_twice_may_try_again(run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise RolloutConflict("a rival was faster")

    assert engine.store.releases.rollout(POLICY).revision == 1
    monkeypatch.setattr(PostgresReleases, "roll_out", late)
    assert run("shadow", POLICY, "--version", 2).code == 69
