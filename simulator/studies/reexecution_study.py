"""Does every receipt execute again? `python -m simulator.studies.reexecution_study --decisions 100000`.

The shop is run through the real engine while everything that can choose for a shopper chooses for some: cold start and
model, a second version live for one defect type, canary, previous policy, shadow, shoppers who are left alone, an
apprentice, a pinned intervention and a halt. Then every decision is executed again from its row, its model and its
manifest, and must come to the same vector and the same draw, bit for bit.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD
from cxi_bandit.domain.identifiers import InterventionId, ModelVersion, PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import Canary, Previous, Rollout, Split, Stand
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.explain import explain
from cxi_bandit.engine.install import install
from simulator.in_process import InProcess
from simulator.loop import Loop, LoopResult, Pace
from simulator.manifests import by_surface, shipped_texts, with_explorer, with_value

DECISIONS: Final = 100_000
AUTHOR: Final = "study"
_EXPLORERS: Final = (
    'algorithm = "bag"\nmodels = 3',
    'algorithm = "cover"\npolicies = 3',
    'algorithm = "rnd"\nnetworks = 2',
    'algorithm = "softmax"\ninverse_temperature = 8.0',
)
_PASSES: Final = 24


class Reexecuted(msgspec.Struct, frozen=True, kw_only=True):
    """A run executed again: how many decisions came to which verdict, by who gave the vector.

    Attributes:
        beside: Vectors of those who did not answer, logged beside.
        weighed: Decisions of a model, whose weights were asked what moved them.
    """

    decisions: int
    verdicts: dict[str, int]
    sources: dict[str, int]
    arms: dict[str, int]
    beside: int
    weighed: int

    @property
    def identical(self) -> bool:
        """Whether all did."""
        return self.verdicts == {"identical": self.decisions}


class Operators:
    """What people do to the shop's policies while it runs: one scene after the other, the same for every policy."""

    def __init__(self, texts: Mapping[str, str], passes: int, seconds_per_pass: float) -> None:
        self._texts = texts
        self._policies = [manifest.policy for manifest in by_surface(texts).values()]
        self._scenes = (self._hold, self._second_live, self._pin, self._canary, self._apprentice)
        self._each = max(passes // (len(self._scenes) + 1), 1)
        self._scene_length = timedelta(seconds=self._each * seconds_per_pass)
        self._pass = 0

    def __call__(self, engine: InProcess, now: datetime) -> None:
        """A pass: now and then the next scene."""
        self._pass += 1
        scene, rest = divmod(self._pass, self._each)
        if not rest and scene <= len(self._scenes):
            self._scenes[scene - 1](engine, now)

    def _hold(self, engine: InProcess, now: datetime) -> None:
        """Some are left alone; a second version, with another explorer and other rules, scores beside."""
        install(engine.store.registry, _variants(self._texts).items(), now, AUTHOR)
        for policy in self._policies:
            self._roll_out(engine, now, policy, hold=Split(share=0.1, salt="hold"), shadow=(Stand(version=2),))

    def _second_live(self, engine: InProcess, now: datetime) -> None:
        for policy in self._policies:
            defect = next(iter(engine.manifests.by_sha(_second(engine, policy).manifest_sha).defects))
            second = Stand(version=2, follows_head=True)
            self._roll_out(engine, now, policy, by_defect={defect: second}, shadow=())

    def _pin(self, engine: InProcess, now: datetime) -> None:
        """One intervention for mobile shoppers, at one surface; a halt of one policy."""
        pinned, halted = self._policies[0], self._policies[-1]
        catalogue = engine.manifests.by_sha(_second(engine, pinned).manifest_sha).catalogue
        chosen = next(name for name in reversed(catalogue) if name != HOLD)
        self._override(engine, now, pinned, chosen, self._scene_length, segment={"device": "mobile"})
        self._override(engine, now, halted, HOLD, self._scene_length / 2)

    def _canary(self, engine: InProcess, now: datetime) -> None:
        """The second version as canary, the first as it was then as the previous policy, and a cold shadow."""
        for policy in self._policies:
            first = engine.store.registry.head(policy, 1)
            if first is None:
                continue
            self._roll_out(
                engine,
                now,
                policy,
                by_defect={},
                canary=Canary(
                    stand=Stand(version=2, follows_head=True),
                    split=Split(share=0.3, salt="canary"),
                    promotion_id=1,
                    since=now,
                ),
                previous=Previous(
                    stand=Stand(version=1, model=ModelVersion(first.lineage.version)),
                    split=Split(share=0.15, salt="previous"),
                    since=now,
                ),
                shadow=(Stand(version=1),),
            )

    def _apprentice(self, engine: InProcess, now: datetime) -> None:
        self._roll_out(engine, now, self._policies[0], apprentice=True)

    def _roll_out(self, engine: InProcess, now: datetime, policy: PolicyName, **changes: object) -> None:
        standing: Rollout = engine.store.releases.rollout(policy)
        made = {"revision": standing.revision + 1, "made_at": now, "made_by": AUTHOR, "reason": "the next scene"}
        rollout = msgspec.structs.replace(standing, **changes, **made)
        engine.store.releases.roll_out(rollout, _noted(now, "roll out", policy))

    def _override(
        self,
        engine: InProcess,
        now: datetime,
        policy: PolicyName,
        intervention: InterventionId,
        length: timedelta,
        segment: dict[str, bool | float | str] | None = None,
    ) -> None:
        override = Override(
            intervention=intervention,
            author=AUTHOR,
            reason="the scene wants it",
            made_at=now,
            expires_at=now + length,
            policy=policy,
            segment=segment or {},
        )
        engine.store.releases.override(override, _noted(now, "override", policy))


def _variants(texts: Mapping[str, str]) -> dict[str, str]:
    """Second versions: another explorer each, and another floor."""
    return {
        file: with_value(with_explorer(text, _EXPLORERS[place % len(_EXPLORERS)]), "floor", "0.02")
        for place, (file, text) in enumerate(texts.items())
    }


def _second(engine: InProcess, policy: PolicyName) -> PolicyVersion:
    return engine.store.registry.versions(policy)[-1]


def _noted(now: datetime, action: str, policy: PolicyName) -> AuditEntry:
    return AuditEntry(at=now, actor=AUTHOR, action=action, policy=policy, detail={})


def eventful_run(decisions: int, seed: int) -> LoopResult:
    """The shop with everything going on; each scene has an equal part of the run."""
    pace = Pace(seconds_per_pass=decisions * Pace.seconds_per_decision / _PASSES)
    texts = shipped_texts()
    return Loop(texts, seed, pace=pace).run(decisions, Operators(texts, _PASSES, pace.seconds_per_pass))


def executed_again(ran: LoopResult, seen: Callable[[], None] = lambda: None) -> Reexecuted:
    """Every decision of the run, explained from the log; `seen` is called after each."""
    audit = DecisionAudit(ran.store.registry, ran.store.releases, ran.manifests, ran.keyring, ran.room)
    verdicts: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    arms: Counter[str] = Counter()
    beside = weighed = 0
    for decision in ran.decisions:
        found = explain(decision, audit, ran.store.releases)
        verdicts[found.verdict] += 1
        assignment = decision.assignment
        arms[(Arm.LIVE if assignment is None else assignment.arm).value] += 1
        beside += 0 if assignment is None else len(assignment.beside)
        if found.why is not None:
            sources[found.why.source.value] += 1
            weighed += found.why.taken is not None
        seen()
    return Reexecuted(
        decisions=len(ran.decisions),
        verdicts=dict(verdicts),
        sources=dict(sources),
        arms=dict(arms),
        beside=beside,
        weighed=weighed,
    )


@click.command(context_settings={"show_default": True})
@click.option("--decisions", default=DECISIONS, help="Decisions of the run.")
@click.option("--seed", default=1, help="Same seed, same run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else.")
def main(decisions: int, seed: int, as_json: bool) -> None:
    """Runs the study; exits with 1 where any decision comes out otherwise than it was logged."""
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("deciding", total=None)
        ran = eventful_run(decisions, seed)
        progress.update(task, description="executing again", total=decisions)
        found = executed_again(ran, lambda: progress.advance(task))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        table = Table("", "decisions")
        for title, counted in (("verdict", found.verdicts), ("vector by", found.sources), ("arm", found.arms)):
            for name, number in sorted(counted.items()):
                table.add_row(f"{title}: {name}", f"{number:,}")
        Console().print(table)
    sys.exit(0 if found.identical else 1)


if __name__ == "__main__":
    main()
