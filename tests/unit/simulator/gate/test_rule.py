"""The rule refuses what would make its promise false, and says which field."""

import msgspec
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import BetUnit, GateRule, Guardrail


@pytest.mark.parametrize(
    ("pointer", "fields"),
    [
        ("/alpha", {"alpha": 0.5}),
        ("/alpha", {"alpha": float("nan")}),
        ("/minimum_improvement", {"minimum_improvement": -0.01}),
        ("/weight_cap", {"weight_cap": 1.0}),
        ("/weight_cap", {"weight_cap": float("inf")}),
        ("/minimum_days", {"minimum_days": 6}),
        ("/decisions_per_unit", {"decisions_per_unit": 2}),
        ("/window_days", {"window_days": 1.0}),
        ("/window_days", {"unit": BetUnit.SHOPPER_WINDOW}),
        ("/decisions_per_unit", {"unit": BetUnit.SHOPPER_WINDOW, "decisions_per_unit": 0, "window_days": 1.0}),
        ("/guardrails", {"guardrails": (Guardrail(metric="returns", margin=0.1),) * 2}),
    ],
)
def test_a_bad_field_is_named(pointer: str, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        GateRule(**fields)  # type: ignore[arg-type]
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, float("nan")])
def test_a_guardrail_needs_a_margin(margin: float) -> None:
    with pytest.raises(InvalidInput, match="/guardrails/returns/margin"):
        Guardrail(metric="returns", margin=margin)


def test_a_guardrail_has_no_default_margin() -> None:
    with pytest.raises(msgspec.ValidationError, match="margin"):
        msgspec.json.decode(b'{"metric": "returns"}', type=Guardrail)


def test_a_rule_survives_json() -> None:
    rule = GateRule(
        unit=BetUnit.SHOPPER_WINDOW,
        decisions_per_unit=5,
        window_days=2.0,
        guardrails=(Guardrail(metric="r", margin=0.1),),
    )
    assert msgspec.json.decode(msgspec.json.encode(rule), type=GateRule) == rule
