"""What scientists do daily, on a live log in PostgreSQL by the command line: cuts, rewards, horizons, sweeps."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore
from simulator.manifests import shipped_texts, with_value

START = datetime(2026, 1, 5, tzinfo=UTC)
ROUNDS = 1200
DEVICES = ("desktop", "mobile", "tablet")


@dataclass
class Shop:
    """A policy's engine over PostgreSQL, and a clock of its own."""

    store: PostgresStore

    def __post_init__(self) -> None:
        self.now = START
        self.engine = build_engine(self.store, clock=lambda: self.now)
        install(self.store.registry, [("search.toml", shipped_texts()["search.toml"])], self.now, "test")
        self.engine.serving.refresh()
        self.draw = random.Random(5)
        self.served = next(iter(self.engine.serving.policies))
        self.horizon = timedelta(seconds=self.served.manifest.reward.horizon_seconds)

    def decide(self, number: int) -> Decision:
        self.now += timedelta(seconds=30)
        defects = sorted(self.served.manifest.defects)
        request = DecisionRequest(
            surface="search",
            defect=Defect(type=defects[number % 2], severity=0.5, confidence=0.9),
            context={"device": self.draw.choice(DEVICES)},
            subject=f"shopper-{number // 2}",
        )
        served = self.engine.serving.route(request)
        name = self.engine.mint.mint(self.now)
        return decide(request, admit(request, served), served, name, self.engine.draw_key, self.engine.subject_key)

    def event(self, decision: Decision, metric: str, value: float, after: timedelta) -> RewardEvent:
        return RewardEvent(
            source=Source("shop"),
            reward_id=RewardId(f"{metric}-{decision.decision_id}"),
            decision_id=decision.decision_id,
            metric=metric,
            value=value,
            occurred_at=decision.decided_at + after,
        )

    def trade(self, rounds: int) -> list[Decision]:
        """Decisions with a click now and then, more often after help, and a purchase that comes after the window."""
        made = [self.decide(number) for number in range(rounds)]
        self.store.decisions.append([DecisionEntry(decision) for decision in made])
        events = []
        for decision in made:
            helped = decision.intervention != "hold"
            if self.draw.random() < (0.5 if helped else 0.25):
                events.append(self.event(decision, "result_click", 1.0, timedelta(minutes=5)))
            if helped and self.draw.random() < 0.3:
                events.append(self.event(decision, "purchase", 1.0, 1.5 * self.horizon))
        self.record(events)
        return made

    def record(self, events: list[RewardEvent]) -> None:
        record(events, self.now, self.store.decisions, self.store.ledger, self.engine.manifests)

    def settle(self, later: timedelta) -> None:
        self.now += later
        while not join(self.store.outcomes, self.engine.manifests, self.now, timedelta(0)).idle:
            pass

    def learn(self) -> None:
        version = self.store.registry.versions()[0]
        learner = Learner(self.store.registry, self.store.outcomes, self.engine.manifests, self.engine.room)
        while learner.step(version, self.now) is not None:
            pass
        self.engine.serving.refresh()


@pytest.fixture
def shop(postgres_store: PostgresStore) -> Shop:
    return Shop(postgres_store)


Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def replayed(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`cxi-bandit replay --log search`, as JSON or as people see it."""
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)

    def run(*arguments: object, words: bool = False) -> tuple[int, Any]:
        extra = [] if words else ["--json"]
        code = main(["replay", "--log", "search", *map(str, arguments), *extra])
        captured = capsys.readouterr()
        if code not in (0, 1):
            return code, captured.err
        return code, captured.out if words else json.loads(captured.out)

    return run


def test_the_same_position_and_cut_give_the_same_numbers_whatever_comes_later(shop: Shop, replayed: Run) -> None:
    made = shop.trade(400)
    shop.settle(shop.horizon)
    code, today = replayed("--candidate", "uniform")
    assert code == 0
    stood = today["diagnostics"]["provenance"]["as_of"]
    as_of = f"{stood['outcome_position']},{stood['ledger_cut']}"
    assert stood["outcome_position"] == 400

    # Late clicks for old decisions, activations, and new decisions.
    shop.record([shop.event(decision, "margin", 50.0, timedelta(minutes=1)) for decision in made[:200]])
    for decision in made[:50]:
        shop.store.decisions.activate(decision.decision_id, shop.now)
    shop.trade(100)
    shop.settle(shop.horizon)
    later = replayed("--candidate", "uniform")[1]
    assert later["diagnostics"]["n"] == 500
    assert later["estimates"] != today["estimates"]
    assert replayed("--candidate", "uniform", "--as-of", as_of)[1] == today
    # A position alone stands for the cut it was written at.
    assert replayed("--candidate", "uniform", "--as-of", stood["outcome_position"])[1] == today
    text = replayed("--candidate", "uniform", "--as-of", as_of, words=True)[1]
    assert f"As of {as_of}" in text


@pytest.mark.parametrize(
    ("as_of", "words"),
    [
        ("soon", "POSITION"),
        ("101", "outcome positions 1 to 100"),
        ("100,999999", "could still change"),
        ("0", "1 to 100"),
    ],
)
def test_a_cut_that_is_not_there_yet_is_refused(shop: Shop, replayed: Run, as_of: str, words: str) -> None:
    shop.trade(100)
    shop.settle(shop.horizon)
    code, error = replayed("--candidate", "uniform", "--as-of", as_of)
    assert code == 2
    assert words in error


def test_rewards_are_settled_again_under_another_definition(shop: Shop, replayed: Run, tmp_path: Path) -> None:
    shop.trade(600)
    shop.settle(shop.horizon * 2.5)
    plain = replayed("--candidate", "uniform")[1]
    same = tmp_path / "same.toml"
    same.write_text(shipped_texts()["search.toml"])
    again = replayed("--candidate", "uniform", "--reward", f"manifest:{same}")[1]
    assert again["estimates"] == plain["estimates"]
    assert any("settled again under policy search" in note for note in again["diagnostics"]["notes"])

    longer = tmp_path / "longer.toml"
    longer.write_text(with_value(shipped_texts()["search.toml"], "horizon_seconds", "14400"))
    moved = replayed("--candidate", "uniform", "--reward", f"manifest:{longer}")[1]
    assert moved["estimates"]["ips"]["value"] > plain["estimates"]["ips"]["value"] + 0.05
    code, error = replayed("--candidate", "uniform", "--reward", str(longer))
    assert code == 2
    assert "manifest:FILE.toml" in error


def test_a_window_that_ends_before_the_effect_is_warned_of(shop: Shop, replayed: Run) -> None:
    shop.trade(600)
    shop.settle(shop.horizon * 2.5)
    found = replayed("--candidate", "uniform", "--horizon-sensitivity")[1]["horizon_sensitivity"]
    assert found["rows"] + found["left_out"] == 600
    assert found["horizon_seconds"] == [7200.0, 7200.0]
    ips = found["estimates"]["ips"]
    assert ips["difference"] == pytest.approx(ips["at_double"] - ips["at_horizon"])
    assert ips["differs"]
    assert any("ips moves" in warning for warning in found["warnings"])
    assert "Warning: " in replayed("--candidate", "uniform", "--horizon-sensitivity", words=True)[1]


def test_segments_are_shrunken_and_counted_aloud(shop: Shop, replayed: Run) -> None:
    shop.trade(800)
    shop.settle(shop.horizon)
    asked = ("--candidate", "uniform", "--segment", "defect", "--segment", "context.device", "--segment", "surface")
    found = replayed(*asked)[1]["segments"]
    by_field: dict[str, list[dict[str, Any]]] = {}
    for segment in found["segments"]:
        by_field.setdefault(segment["field"], []).append(segment)
    assert set(by_field) == {"defect", "context.device", "surface"}
    assert [segment["segment"] for segment in by_field["surface"]] == ["search"]
    assert sum(segment["rows"] for segment in by_field["context.device"]) == 800
    assert "6 segments were looked at" in found["statement"]
    assert "Bonferroni" in replayed(*asked, words=True)[1]
    code, error = replayed("--candidate", "uniform", "--segment", "colour")
    assert code == 2
    assert "surface, defect or context.FIELD" in error


def test_pooled_versions_make_balanced_real_and_are_spoken_of(shop: Shop, replayed: Run) -> None:
    shop.trade(400)
    shop.settle(shop.horizon)
    shop.learn()
    shop.trade(400)
    shop.settle(shop.horizon)
    pooled = replayed("--candidate", "uniform")[1]
    notes = " ".join(pooled["diagnostics"]["notes"])
    assert "while its policy learned" in notes
    assert "each re-scored on every row" in notes
    ips, balanced = (pooled["estimates"][name]["interval"] for name in ("ips", "balanced"))
    assert balanced[1] - balanced[0] < ips[1] - ips[0]
    apart = replayed("--candidate", "uniform", "--no-pool-versions")[1]
    assert apart["estimates"]["balanced"]["value"] == pytest.approx(apart["estimates"]["ips"]["value"])
    assert "which makes it ips" in " ".join(apart["diagnostics"]["notes"])


def test_an_interval_by_row_gives_way_where_shoppers_return(shop: Shop, replayed: Run) -> None:
    shop.trade(400)
    shop.settle(shop.horizon)
    found = replayed("--candidate", "uniform", "--interval", "cressie_read")[1]
    assert found["estimates"]["ips"]["interval_method"] == "gaussian"
    assert "subjects are independent" in found["estimates"]["ips"]["assumptions"]
    assert any("by shopper stand in" in note for note in found["diagnostics"]["notes"])


def test_a_sweep_chooses_on_some_rows_and_judges_on_others(shop: Shop, replayed: Run, tmp_path: Path) -> None:
    shop.trade(ROUNDS)
    shop.settle(shop.horizon)
    (tmp_path / "search.toml").write_text(shipped_texts()["search.toml"])
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'manifests = ["search.toml"]\ntrain = 0.4\nchoose = 0.3\n[grid]\n'
        '"learning.learning_rate" = [0.05, 0.5]\n'
        '"exploration.explorer" = [{ algorithm = "epsilon_greedy", epsilon = 0.3 }, { algorithm = "softmax" }]\n'
    )
    code, found = replayed("--sweep", grid)
    swept = found["sweep"]
    assert code in (0, 1)
    assert (swept["k"], swept["rows"]) == (4, {"train": 480, "choose": 360, "judge": 360})
    assert "k = 4" in swept["statement"]
    assert found["candidate"] == swept["winner"]
    assert found["diagnostics"]["n"] == 360
    assert any("best of k = 4" in note for note in found["diagnostics"]["notes"])
    comparable = [each for each in swept["candidates"] if each["verdict"]["decision"] != "refuse"]
    best = max(comparable, key=lambda each: each["estimates"]["dr"]["value"])
    assert best["candidate"] == swept["winner"]

    # The winner's text, put into a file, is the very manifest that was judged.
    winner = tmp_path / "winner.toml"
    winner.write_text(swept["winner_manifest"])
    alone = replayed("--candidate", f"manifest:{winner}")[1]
    assert alone["diagnostics"]["provenance"]["manifest_sha"] == best["manifest_sha"]
    text = replayed("--sweep", grid, words=True)[1]
    assert text.index("rows of choosing") < text.index("k = 4") < text.index("Verdict")
    assert replayed("--sweep", grid, "--candidate", "uniform")[0] == 2


NOTEBOOK = (Path(__file__).parents[2] / "docs" / "howto" / "notebook.md").read_text("utf-8")


def test_the_notebook_page_runs_as_it_stands(
    shop: Shop,
    postgres_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop.trade(ROUNDS)
    shop.settle(shop.horizon * 2.5)
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "search.toml").write_text(shipped_texts()["search.toml"])
    (grid,) = re.findall(r"```toml\n(.*?)```", NOTEBOOK, re.DOTALL)
    (tmp_path / "grid.toml").write_text(grid)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", NOTEBOOK, re.DOTALL):
        exec(block, names)  # noqa: S102 - the page's own text
    capsys.readouterr()
    frames = {
        "rounds_frame": names["rounds"],
        "estimates_frame": names["estimates_frame"](names["found"].report),
        "diagnostics_frame": names["diagnostics_frame"](names["found"].report),
        "segments_frame": names["segments_frame"](names["found"].segments),
        "horizon_frame": names["horizon_frame"](names["found"].horizon),
        "sweep_frame": names["sweep_frame"](names["swept"]),
    }
    assert len(frames["rounds_frame"]) == ROUNDS
    assert len(frames["sweep_frame"]) == names["swept"].statement.count("k = 4") * 4
    # The page's table names the columns that are there.
    for name, frame in frames.items():
        (row,) = [line for line in NOTEBOOK.splitlines() if line.startswith(f"| `{name}(")]
        told = [column for column in re.findall(r"`([a-z_.*]+)`", row.split("|")[3]) if column != "context.*"]
        assert [c for c in frame.columns if not c.startswith(("context.", "learning.", "exploration."))] == told
