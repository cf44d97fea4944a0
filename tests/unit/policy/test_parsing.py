"""Every kind of wrong manifest is refused, with file, key and a reason a person can act on."""

from pathlib import Path

import msgspec
import pytest

from cxi_bandit.domain.errors import ManifestInvalid
from cxi_bandit.domain.gate import GateRule
from cxi_bandit.policy.explorers import SquareCB
from cxi_bandit.policy.gate import gate_rule
from cxi_bandit.policy.manifest import Manifest, NumberFeature, manifest_sha
from cxi_bandit.policy.parsing import mismatch, parse_manifest

POLICIES = Path(__file__).parents[3] / "policies"

# (what is replaced, by what, the key the error must name, words its reason must hold)
WRONG = [
    ("format = 1", "format = = 1", "(toml)", "line 1"),
    ("format = 1", "format = " + "[" * 5000, "(toml)", "nested too deeply"),
    ("format = 1", "format = " + "9" * 5000, "(toml)", "digits"),
    ("format = 1", "format = 2", "format", "2"),
    ("format = 1\n", "", "(top level)", "`format`"),
    ("format = 1", "format = 1\nsurprise = 3", "(top level)", "`surprise`"),
    ('name = "shelf"', 'name = "Shelf!"', "name", "regex"),
    ('name = "shelf"', "name = 3", "name", "`str`"),
    ('surface = "shelf"', 'surface = "top-shelf"', "surface", "regex"),
    ("[defects.empty]\n[defects.dusty]\n", "[defects]\n", "defects", "at least one"),
    ("[defects.dusty]", '[defects.dusty]\ncolour = "grey"', "defects.dusty", "`colour`"),
    ("[defects.dusty]", "[defects.Dusty]", "defects", "regex"),
    # features
    ('type = "flag"', 'type = "flog"', "context.features.member.type", "flog"),
    ('type = "flag"', "", "context.features.member", "`type`"),
    ("max = 100", "max = 100\nmaks = 3", "context.features.age", "`maks`"),
    ("max = 100", "max = -5", "context.features.age.min", "min below max"),
    ("max = 100", "max = inf", "context.features.age.min", "finite"),
    ("min = 0\nmax = 100", "min = -1e308\nmax = 1e308", "context.features.age.min", "apart"),
    ("max = 100", 'max = "many"', "context.features.age.max", "`float`"),
    ("max_length = 5", "max_length = 0", "context.features.note.max_length", ">= 1"),
    ('["desktop", "mobile"]', '["mobile", "mobile"]', "context.features.device.values", "twice"),
    # catalogue
    ('id = "smile"', 'id = "wave"', "interventions[2].id", "declared twice"),
    ('id = "hold"', 'id = "pause"', "interventions", "'hold'"),
    ('id = "hold"', 'id = "hold"\ncost = 0.1', "interventions", "cannot cost"),
    ('id = "hold"', 'id = "hold"\ndefects = ["empty"]', "interventions", "eligible always"),
    ("cost = 0.25", "cost = -1", "interventions[1].cost", ">= 0"),
    ("cost = 0.25", "cost = inf", "interventions[1].cost", "finite"),
    ('defects = ["empty"]', 'defects = ["full"]', "interventions[1].defects", "'full' is not among"),
    ("warmth = 0.5", "warmth = 7", "interventions[1].features.warmth", "must be 0 to 1"),
    ("warmth = 0.5", "warmth = true", "interventions[1].features.warmth", "must be a number"),
    ("warmth = 0.5", "warmth = 0.5, heat = 1", "interventions[1].features.heat", "is not declared"),
    ("warmth = 0.5", "warmth = [1]", "interventions[1].features.warmth", "got `array`"),
    ("features = { warmth = 0.5 }\n", "", "interventions[1].features", "'warmth' is missing"),
    # eligibility rules
    ("context.age", "context.aged", "interventions[1].when[0].field", "context.<declared feature>"),
    ("context.age", "defect.type", "interventions[1].when[0].field", "must be defect.severity"),
    ("at_least", "above", "interventions[1].when[0].comparison", "above"),
    ("value = 18", "value = 180", "interventions[1].when[0].value", "must be 0 to 100"),
    ("value = 18", 'value = ["a"]', "interventions[1].when[0].value", "one_of"),
    ('"context.age", comparison = "at_least"', '"context.age", comparison = "one_of"', "interventions[1].when[0].value",
     "goes with `one_of`"),
    ("context.age", "context.member", "interventions[1].when[0].comparison", "needs a number"),
    ('"context.age", comparison = "at_least", value = 18', '"context.device", comparison = "equals", value = "phone"',
     "interventions[1].when[0].value", "must be one of desktop, mobile"),
    ('"context.age", comparison = "at_least", value = 18', '"context.note", comparison = "equals", value = "lengthy"',
     "interventions[1].when[0].value", "at most 5 characters"),
    ('"context.age", comparison = "at_least", value = 18', '"context.member", comparison = "equals", value = "yes"',
     "interventions[1].when[0].value", "true or false"),
    # reward
    ("horizon_seconds = 60", "horizon_seconds = 0", "reward.horizon_seconds", "> 0"),
    ("horizon_seconds = 60", "horizon_seconds = 1e9", "reward.horizon_seconds", "<="),
    ("max = 2\ndefault = 0", "max = -3\ndefault = 0", "reward.min", "min below max"),
    ("max = 2\ndefault = 0", "max = nan\ndefault = 0", "reward.min", "finite"),
    ("min = -1\nmax = 2", "min = -1e308\nmax = 1e308", "reward.min", "apart"),
    ("default = 0", "default = 3", "reward.default", "within [-1, 2]"),
    ("default = 0", 'closes_on = "sunset"', "reward.closes_on", "sunset"),
    ("weight = 0.5", "weight = inf", "reward.metrics.spent.weight", "finite"),
    ("weight = 0.5", "", "reward.metrics.spent", "`weight`"),
    ("weight = 1\nmin = 0\nmax = 1", "weight = 1\nmin = 1\nmax = 1", "reward.metrics.sale.min", "min below max"),
    ('aggregate = "last"', 'aggregate = "mean"', "reward.metrics.mood.aggregate", "mean"),
    # exploration
    ("\nfloor = 0.05", "\nfloor = 0", "exploration.floor", "> 0"),
    ("hold_floor = 0.1", "hold_floor = 0.9", "exploration.floor", "add up to 1"),
    ("hold_floor = 0.1", "hold_floor = 0.4", "exploration.cold_start.hold", "at least hold_floor"),
    ("hold_floor = 0.1", "hold_floor = 0.1\ncold_start = { hold = 0.95 }", "exploration.cold_start.hold",
     "less than their floor"),
    ("hold_floor = 0.1", 'hold_floor = 0.1\nexplorer = { algorithm = "guess" }', "exploration.explorer.algorithm",
     "guess"),
    ("hold_floor = 0.1", 'hold_floor = 0.1\nexplorer = { algorithm = "squarecb", epsilon = 0.1 }',
     "exploration.explorer", "`epsilon`"),
    ("hold_floor = 0.1", 'hold_floor = 0.1\nexplorer = { algorithm = "squarecb", gamma_scale = inf }',
     "exploration.explorer.gamma_scale", "<= 3e+38"),
    ("hold_floor = 0.1", 'hold_floor = 0.1\nexplorer = { algorithm = "softmax", inverse_temperature = 1e39 }',
     "exploration.explorer.inverse_temperature", "<= 3e+38"),
    # learning and gate
    ("[exploration]", "[learning]\nlearning_rate = 1e39\n[exploration]", "learning.learning_rate", "<= 3e+38"),
    ("[exploration]", "[learning]\nimportance_cap = 0.5\n[exploration]", "learning.importance_cap", ">= 1.0"),
    ("[exploration]", "[learning]\nimportance_cap = inf\n[exploration]", "learning.importance_cap", "<= 3e+38"),
    ("[exploration]", "[learning]\nbits = 40\n[exploration]", "learning.bits", "<= 24"),
    ("[exploration]", '[learning]\ninteractions = ["SX"]\n[exploration]', "learning.interactions[0]", "regex"),
    ("[exploration]", '[learning]\nupdates = "never"\n[exploration]', "learning.updates", "never"),
    ("[exploration]", "[gate]\nminimum_days = 3\n[exploration]", "gate.minimum_days", ">= 7"),
    ("[exploration]", "[gate]\nalpha = 0.5\n[exploration]", "gate.alpha", "< 0.5"),
    ("[exploration]", "[gate]\nwindow_days = 3\n[exploration]", "gate.window_days", "must be 0 for first_decision"),
    ("[exploration]", '[gate]\nunit = "shopper_window"\n[exploration]', "gate.window_days", "above 0"),
    ("[exploration]", "[gate]\ndecisions_per_unit = 2\n[exploration]", "gate.decisions_per_unit", "must be 1"),
    ("[exploration]", '[gate]\nunit = "row"\n[exploration]', "gate.unit", "row"),
    ("[exploration]", "[gate]\nweight_cap = inf\n[exploration]", "gate.weight_cap", "finite"),
    ("[exploration]", "[gate]\nminimum_improvement = 1.0\n[exploration]", "gate.minimum_improvement", "< 1.0"),
    # limits
    ('id = "hold"', 'id = "hold"\nprice = 1', "interventions", "'hold' must be eligible always"),
    ('id = "hold"', 'id = "hold"\nper_day = 1', "interventions", "'hold' must be eligible always"),
    ("cost = 0.25", "price = 0.0000001", "interventions[1].price", "six decimals"),
    ("cost = 0.25", "price = inf", "interventions[1].price", "<= 1000000000000.0"),
    ("cost = 0.25", "price = 1\nbudget_per_day = 1.0000001", "interventions[1].budget_per_day", "six decimals"),
    ("cost = 0.25", "budget_per_day = 10", "interventions[1].budget_per_day", "without a `price`"),
    ("cost = 0.25", "price = 3\nbudget_per_day = 2.5", "interventions[1].budget_per_day", "pay for one use at 3"),
    ("cost = 0.25", "per_day = 0", "interventions[1].per_day", ">= 1"),
    ("[exploration]", "[limits]\ncaps = [{ seconds = 60 }]\n[exploration]", "limits.caps[0]", "`most`"),
    ("[exploration]", "[limits]\ncaps = [{ most = 0, seconds = 60 }]\n[exploration]", "limits.caps[0].most", ">= 1"),
    ("[exploration]", '[limits]\ncaps = [{ interventions = ["hold"], most = 1, seconds = 60 }]\n[exploration]',
     "limits.caps[0].interventions", "cannot be capped"),
    ("[exploration]", '[limits]\ncaps = [{ interventions = ["frown"], most = 1, seconds = 60 }]\n[exploration]',
     "limits.caps[0].interventions", "'frown' is not among"),
    ("[exploration]", '[limits]\ncaps = [{ interventions = ["wave", "wave"], most = 1, seconds = 60 }]\n[exploration]',
     "limits.caps[0].interventions", "twice"),
    ("[exploration]", "[limits]\ncooldown_seconds = -1\n[exploration]", "limits.cooldown_seconds", ">= 0"),
    ("[exploration]", '[limits]\nanonymous = "hold"\n[exploration]', "limits.anonymous", "there are none"),
    ("[exploration]", '[limits]\ntime_zone = "Atlantis/Poseidonis"\n[exploration]', "limits.time_zone", "IANA"),
    ("[exploration]", '[limits]\ntime_zone = "Europe"\n[exploration]', "limits.time_zone", "IANA"),
    ("[exploration]", "[limits]\nexploration_cost_per_day = 5\n[exploration]", "limits.exploration_cost_per_day",
     "no intervention has a `price`"),
    ("[exploration]", '[[gate.guardrails]]\nmetric = "sale"\n[exploration]', "gate.guardrails[0]", "`margin`"),
    ("[exploration]", '[[gate.guardrails]]\nmetric = "sale"\nmargin = 0\n[exploration]',
     "gate.guardrails[0].margin", "> 0"),
    ("[exploration]", '[[gate.guardrails]]\nmetric = "rage"\nmargin = 0.1\n[exploration]',
     "gate.guardrails[0].metric", "'rage' is not among [reward.metrics]"),
    ("[exploration]", '[[gate.guardrails]]\nmetric = "sale"\nmargin = 0.1\n' * 2 + "[exploration]",
     "gate.guardrails[1].metric", "twice"),
    ("[exploration]", '[[gate.guardrails]]\nmetric = "sale"\nmargin = 0.1\nmin = 5\n[exploration]',
     "gate.guardrails[0].min", "min below max"),
    ("[exploration]", '[[rollout.guardrails]]\nmetric = "latency_ms"\nbound = 9\n[exploration]',
     "rollout.guardrails[0].metric", "reported as a metric"),
    ("[exploration]", '[[rollout.guardrails]]\nmetric = "sale"\nbound = 0.5\n' * 2 + "[exploration]",
     "rollout.guardrails[1].metric", "twice"),
    ("[exploration]", '[[rollout.guardrails]]\nmetric = "sale"\nbound = 0\n[exploration]',
     "rollout.guardrails[0].bound", "must lie between 0 and 1"),
    ("[exploration]", '[[rollout.guardrails]]\nmetric = "cost"\nbound = 1\nmax = inf\n[exploration]',
     "rollout.guardrails[0].min", "finite"),
    ("[exploration]", "[rollout]\nhold_rotation_days = 1e-20\n[exploration]", "rollout.hold_rotation_days", "an hour"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "reason"), WRONG)
def test_a_wrong_manifest_is_refused_with_file_key_and_reason(
    text: str, old: str, new: str, key: str, reason: str
) -> None:
    assert text.count(old) >= 1
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(text.replace(old, new, 1), "shelf.toml")
    assert caught.value.file == "shelf.toml"
    assert caught.value.key == key
    assert reason in caught.value.reason


def test_an_empty_catalogue_beside_hold_is_refused(text: str) -> None:
    start, end = text.index('[[interventions]]\nid = "wave"'), text.index("[reward]")
    with pytest.raises(ManifestInvalid, match="beside 'hold'"):
        parse_manifest(text[:start] + text[end:], "shelf.toml")


def test_a_reward_without_metrics_is_refused(text: str) -> None:
    start, end = text.index("[reward.metrics.sale]"), text.index("[exploration]")
    with pytest.raises(ManifestInvalid, match=r"reward\.metrics: declare at least one"):
        parse_manifest(text[:start] + "[reward.metrics]\n" + text[end:], "shelf.toml")


def test_defaults_are_the_documented_ones(manifest: Manifest) -> None:
    assert manifest.exploration.explorer == SquareCB(gamma_scale=1000.0)
    assert manifest.learning.updates == "continuous"
    assert manifest.reward.closes_on == "horizon"
    assert manifest.context.unknown_features == "drop"
    assert manifest.gate.alpha == 0.05


def test_the_gates_rule_takes_a_guardrails_range_from_its_metric(text: str) -> None:
    guarded = '[[gate.guardrails]]\nmetric = "spent"\nmargin = 0.1\n[exploration]'
    manifest = parse_manifest(text.replace("[exploration]", guarded, 1), "shelf.toml")
    spent = manifest.reward.metrics["spent"]
    (bound,) = gate_rule(manifest).guardrails
    assert (bound.metric, bound.margin, bound.low, bound.high) == ("spent", 0.1, spent.min, spent.max)
    widened = guarded.replace("margin = 0.1", "margin = 0.1\nmax = 900")
    (bound,) = gate_rule(parse_manifest(text.replace("[exploration]", widened, 1), "shelf.toml")).guardrails
    assert (bound.low, bound.high) == (spent.min, 900.0)


@pytest.mark.parametrize("file", sorted(path.name for path in POLICIES.glob("*.toml")))
def test_every_shipped_policy_guards_a_harm(file: str) -> None:
    rule = gate_rule(parse_manifest((POLICIES / file).read_text("utf-8"), file))
    assert [(guardrail.margin, guardrail.low, guardrail.high) for guardrail in rule.guardrails] == [(0.02, 0.0, 1.0)]
    assert rule == msgspec.convert(msgspec.to_builtins(rule), GateRule)


def test_whole_numbers_in_toml_become_floats(manifest: Manifest) -> None:
    condition = manifest.interventions[1].when[0]
    assert type(condition.value) is float
    assert type(manifest.interventions[2].features["warmth"]) is float


def test_the_catalogue_keeps_the_order_of_the_file(manifest: Manifest) -> None:
    assert manifest.catalogue == ("hold", "wave", "smile")
    assert manifest.hold.id == "hold"
    with pytest.raises(KeyError):
        manifest.intervention("frown")


def test_a_manifest_is_known_by_its_exact_text(text: str) -> None:
    assert manifest_sha(text) == manifest_sha(text)
    assert manifest_sha(text) != manifest_sha(text + "\n")


@pytest.mark.parametrize("value", [True, "3", float("nan"), float("inf"), -0.1, 3.1])
def test_a_number_is_a_finite_number_in_range(value: object) -> None:
    assert mismatch(NumberFeature(min=0.0, max=3.0), value)


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_manifest_is_valid_and_named_like_its_file(path: Path) -> None:
    manifest = parse_manifest(path.read_text("utf-8"), path.name)
    assert manifest.name == path.stem
    assert 4 <= len(manifest.interventions) <= 8
    assert all(defect.description for defect in manifest.defects.values())
    assert all(entry.description for entry in manifest.interventions)
    assert manifest.exploration.explorer == SquareCB(gamma_scale=1000.0)


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_possible_reward_of_a_shipped_manifest_lies_within_its_range(path: Path) -> None:
    manifest = parse_manifest(path.read_text("utf-8"), path.name)
    ends = [(metric.weight * metric.min, metric.weight * metric.max) for metric in manifest.reward.metrics.values()]
    dearest = max(entry.cost for entry in manifest.interventions)
    assert manifest.reward.min <= sum(min(pair) for pair in ends) - dearest
    assert sum(max(pair) for pair in ends) <= manifest.reward.max + 1e-12
