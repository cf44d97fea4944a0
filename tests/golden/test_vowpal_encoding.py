"""What the room encodes is what VW's own text format says: the same probabilities and the same model bytes.

Numbers here are multiples of 1/4: VW's text parser reads 0.125 as 0.12499999, example objects carry it exactly.
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
import pytest

from cxi_bandit.domain.decision import Decision, Defect, Situation, Stage
from cxi_bandit.domain.errors import InvalidInput, ModelInvalid
from cxi_bandit.domain.identifiers import DecisionIdMint, InterventionId, ManifestSha, PolicyName
from cxi_bandit.domain.outcome import Lesson, TrainingRow
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.vowpal import VowpalRoom
from cxi_bandit.vowpal.arguments import workspace_arguments
from cxi_bandit.vowpal.encoding import Encoding
from cxi_bandit.vowpal.workspace import open_workspace, saved_bytes

EXPLORERS = {
    "squarecb": 'algorithm = "squarecb"',
    "epsilon_greedy": 'algorithm = "epsilon_greedy"',
    "softmax": 'algorithm = "softmax"',
    "cover": 'algorithm = "cover"',
    "bag": 'algorithm = "bag"',
    "regcb": 'algorithm = "regcb"',
    "rnd": 'algorithm = "rnd"',
}

MANIFEST = """
format = 1
name = "golden"
surface = "search"
[defects.zero_results]
[context.features.query]
type = "category"
[context.features.depth]
type = "number"
min = 0.0
max = 1.0
[context.features.returning]
type = "flag"
[intervention_features.features.strength]
type = "number"
min = 0.0
max = 1.0
[[interventions]]
id = "hold"
[[interventions]]
id = "relax_query"
features = {{ strength = 0.25 }}
[[interventions]]
id = "show_bestsellers"
features = {{ strength = 0.75 }}
[reward]
horizon_seconds = 60.0
min = 0.0
max = 1.0
metrics.click = {{ weight = 1.0, min = 0.0, max = 1.0 }}
[exploration.explorer]
{explorer}
[learning]
bits = 12
"""

QUERIES = ["red shoes", "a|b:2", "1:0.5", "tab\tnew\nline", "ünïcode 靴", "shared |S x", ""]
STRENGTH = {"hold": None, "relax_query": 0.25, "show_bestsellers": 0.75}


@pytest.fixture(params=EXPLORERS)
def manifest(request: pytest.FixtureRequest) -> Manifest:
    return parse_manifest(MANIFEST.format(explorer=EXPLORERS[request.param]), "golden.toml")


def decisions(count: int) -> list[Decision]:
    seeded, mint, made = random.Random(7), DecisionIdMint(), []
    eligible = tuple(InterventionId(name) for name in STRENGTH)
    for index in range(count):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=index)
        chosen = seeded.choice(eligible)
        offered = {InterventionId("relax_query"): {"strength": 0.5}} if index % 3 == 0 else {}
        situation = Situation(
            defect=Defect("zero_results", seeded.choice([0.25, 0.5, 1.0]), 0.75),
            context={
                "query": seeded.choice(QUERIES),
                "depth": seeded.choice([0.0, 0.25, 0.5]),
                "returning": seeded.random() < 0.5,
            },
            eligible=eligible,
            offered=offered,
        )
        made.append(
            Decision(
                decision_id=mint.mint(now),
                decided_at=now,
                closes_at=now,
                policy=PolicyName("golden"),
                policy_version=1,
                manifest_sha=ManifestSha("0" * 64),
                model_version=None,
                stage=Stage.LIVE,
                surface="search",
                subject=None,
                situation=situation,
                excluded={},
                probabilities=(0.25, 0.25, 0.5),
                intervention=chosen,
                propensity=0.5 if chosen == eligible[2] else 0.25,
                draw_key_id="k",
                u=0.5,
            )
        )
    return made


def lessons(logged: list[Decision]) -> list[Lesson]:
    """Every other one was rewarded."""
    return [
        TrainingRow(position=index + 1, decision=row, reward=float(index % 2)).lesson
        for index, row in enumerate(logged)
    ]


def as_text(decision: Decision, reward: float | None) -> list[str]:
    """The same situation written by hand in VW's text format, names and values percent-encoded."""
    situation = decision.situation
    context = situation.context
    lines = [
        (
            f"shared |S defect={situation.defect.type} severity:{situation.defect.severity} "
            f"confidence:{situation.defect.confidence} query={quote(str(context['query']), safe='')} "
            f"depth:{context['depth']} returning={'true' if context['returning'] else 'false'}"
        )
    ]
    for name in situation.eligible:
        offered = situation.offered.get(name)
        strength = STRENGTH[name] if offered is None else offered["strength"]
        label = f"0:{-reward}:{decision.propensity} " if reward is not None and name == decision.intervention else ""
        described = "" if strength is None else f" strength:{strength}"
        lines.append(f"{label}|A id={name}{described}")
    return lines


@pytest.mark.golden
def test_probabilities_and_model_bytes_equal_vw_text(manifest: Manifest):
    room, logged = VowpalRoom(), decisions(300)
    seeded = random.Random(3)
    rows = [
        TrainingRow(position=index + 1, decision=decision, reward=seeded.choice([0.0, 0.25, 1.0]))
        for index, decision in enumerate(logged)
    ]
    data = room.learn(manifest, room.start(manifest), [row.lesson for row in rows])

    by_text = open_workspace(workspace_arguments(manifest), room.start(manifest))
    for row in rows:
        # Never handed back to VW: that would count them in the header, which example objects are not.
        by_text.learn(by_text.parse(as_text(row.decision, row.reward)))
    assert saved_bytes(by_text) == data

    scorer = room.load(manifest, data)
    reader = open_workspace(workspace_arguments(manifest), data)
    for decision in logged[:60]:
        expected = reader.predict(reader.parse(as_text(decision, None)))
        assert list(scorer.probabilities(decision.situation)) == expected


def test_predicting_leaves_no_trace(manifest: Manifest):
    room, logged = VowpalRoom(), decisions(200)
    rows = lessons(logged)
    data = room.learn(manifest, room.start(manifest), rows)
    there, back = room.load(manifest, data), room.load(manifest, data)
    forwards = [tuple(there.probabilities(row.situation)) for row in logged]
    backwards = [tuple(back.probabilities(row.situation)) for row in reversed(logged)]
    assert forwards == backwards[::-1]


def test_an_example_filled_again_is_as_good_as_a_new_one(manifest: Manifest):
    room, logged = VowpalRoom(), decisions(24)
    rows = lessons(logged)
    data = room.learn(manifest, room.start(manifest), rows)
    varied = []
    for index, row in enumerate(logged):
        names = list(row.situation.context)[: index % 4]
        context = {name: row.situation.context[name] for name in names}
        eligible = row.situation.eligible[: 2 + index % 2]
        offered = {name: {"strength": index / 64} for name in eligible[: index % 3]}
        varied.append(
            Situation(defect=row.situation.defect, context=context, eligible=eligible, offered=offered),
        )
    used = room.load(manifest, data)
    for situation in varied:
        assert used.probabilities(situation) == room.load(manifest, data).probabilities(situation)


def test_together_each_model_gives_what_it_gives_alone(manifest: Manifest):
    room, logged = VowpalRoom(), decisions(200)

    def taught(best: InterventionId) -> bytes:
        rows = [
            TrainingRow(position=index + 1, decision=row, reward=float(row.intervention == best))
            for index, row in enumerate(logged)
        ]
        return room.learn(manifest, room.start(manifest), [row.lesson for row in rows])

    models = [taught(name) for name in logged[0].situation.eligible]
    first, *others = [room.load(manifest, data) for data in models]
    differ = 0
    for index, row in enumerate(logged[:40]):
        situation = msgspec.structs.replace(row.situation, eligible=row.situation.eligible[: 2 + index % 2])
        alone = [room.load(manifest, data).probabilities(situation) for data in models]
        assert first.together(situation, others) == alone
        assert [one.probabilities(situation) for one in (first, *others)] == alone
        differ += len(set(map(tuple, alone))) > 1
    assert differ > 10


def test_threads_may_share_a_scorer():
    manifest = parse_manifest(MANIFEST.format(explorer=EXPLORERS["squarecb"]), "golden.toml")
    room, logged = VowpalRoom(), decisions(200)
    rows = lessons(logged)
    scorer = room.load(manifest, room.learn(manifest, room.start(manifest), rows))
    alone = [tuple(scorer.probabilities(row.situation)) for row in logged]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda row: tuple(scorer.probabilities(row.situation)), logged * 8))
    finally:
        sys.setswitchinterval(interval)
    assert together == alone * 8


def test_values_are_spelled_alike_however_many_there_were():
    encoding = Encoding(parse_manifest(MANIFEST.format(explorer=EXPLORERS["squarecb"]), "golden.toml"))
    defect = Defect("zero_results", 0.5, 0.5)
    for value in [*(f"a|b {number}" for number in range(5000)), "a|b 1", "a|b 4999"]:
        assert encoding.shared(defect, {"query": value})[-1] == f"query={quote(value, safe='')}"


def test_a_row_that_would_poison_the_learner_is_refused(manifest: Manifest):
    room, row = VowpalRoom(), decisions(1)[0]
    start = room.start(manifest)
    for propensity in (0.0, -1.0, float("nan"), 1.5):
        poisoned = msgspec.structs.replace(row, propensity=propensity)
        with pytest.raises(InvalidInput, match="propensity"):
            room.learn(manifest, start, [TrainingRow(position=1, decision=poisoned, reward=0.0).lesson])
    for reward in (float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="reward"):
            room.learn(manifest, start, [TrainingRow(position=1, decision=row, reward=reward).lesson])


def test_bytes_of_another_manifest_are_refused():
    room = VowpalRoom()
    cover = parse_manifest(MANIFEST.format(explorer=EXPLORERS["cover"]), "cover.toml")
    squarecb = parse_manifest(MANIFEST.format(explorer=EXPLORERS["squarecb"]), "squarecb.toml")
    bits = parse_manifest(MANIFEST.replace("bits = 12", "bits = 13").format(explorer=EXPLORERS["cover"]), "bits.toml")
    with pytest.raises(ModelInvalid):
        room.load(bits, room.start(cover))
    with pytest.raises(ModelInvalid):
        room.load(squarecb, b"not a model")


@pytest.mark.golden
@pytest.mark.parametrize("explorer", EXPLORERS)
def test_a_rare_draw_counts_for_no_more_than_the_manifest_says(explorer: str) -> None:
    def taught(settings: str, propensity: float) -> list[float]:
        manifest = parse_manifest(MANIFEST.format(explorer=EXPLORERS[explorer]) + settings, "golden.toml")
        rows = [msgspec.structs.replace(row, propensity=propensity) for row in lessons(decisions(40))]
        scorer = room.load(manifest, room.learn(manifest, room.start(manifest), rows))
        asked = [one.situation for one in decisions(4)]
        found = [value for situation in asked for vector in scorer.estimates(situation) for value in vector]
        if explorer != "cover":
            # Its further policies VW weighs by the propensity as it is.
            found += [value for situation in asked for value in scorer.probabilities(situation)]
        return found

    room = VowpalRoom()
    capped = "importance_cap = 5.0\n"
    assert taught(capped, 0.02) == taught(capped, 0.2) == taught("", 0.2)
    assert taught("", 0.02) != taught("", 0.2)
    assert taught(capped, 0.25) == taught("", 0.25)
    assert taught("importance_cap = 1000.0\n", 0.02) == taught("", 0.02)
