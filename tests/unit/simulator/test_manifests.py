import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.policy.explorers import Softmax
from cxi_bandit.policy.parsing import parse_manifest
from simulator.demo.run import HORIZON_SECONDS, demo_manifests
from simulator.manifests import shipped_texts, with_explorer, with_value


def test_demo_manifests_differ_from_the_shipped_ones_by_one_line() -> None:
    shipped = shipped_texts()
    for name, text in demo_manifests().items():
        assert parse_manifest(text, name).reward.horizon_seconds == HORIZON_SECONDS
        changed = [
            pair for pair in zip(shipped[name].splitlines(), text.splitlines(), strict=True) if len(set(pair)) > 1
        ]
        assert len(changed) == 1


def test_a_key_that_is_not_there_once_is_refused() -> None:
    text = shipped_texts()["search.toml"]
    with pytest.raises(InvalidInput):
        with_value(text, "horizon_minutes", "3")
    with pytest.raises(InvalidInput):
        with_value(text, "weight", "3")


def test_a_comment_behind_a_value_is_kept() -> None:
    text = with_value(shipped_texts()["search.toml"], "hold_floor", "0.05")
    line = next(line for line in text.splitlines() if line.startswith("hold_floor"))
    assert line.startswith("hold_floor = 0.05 # ")


def test_another_explorer_replaces_the_whole_table() -> None:
    text = with_explorer(shipped_texts()["cart.toml"], 'algorithm = "softmax"\ninverse_temperature = 3.0')
    assert parse_manifest(text, "cart.toml").exploration.explorer == Softmax(inverse_temperature=3.0)
