from pathlib import Path

import pytest

from cxi_bandit.policy.advice import advice
from cxi_bandit.policy.parsing import parse_manifest

SHIPPED = sorted((Path(__file__).parents[3] / "policies").glob("*.toml"))


def advised(text: str, floor: str, learning: str) -> list[str]:
    lowered = text.replace("\nfloor = 0.05", f"\nfloor = {floor}").replace("hold_floor = 0.1", "hold_floor = 0.2")
    assert lowered != text
    return advice(parse_manifest(f"{lowered}\n[learning]\n{learning}\n", "shelf.toml"))


def test_one_outcome_that_may_count_for_a_hundred_is_told_of_with_its_remedy(text: str) -> None:
    (told,) = advised(text, "0.01", "")
    assert told.startswith("learning.importance_cap is left out, so one outcome may count for 100 (1 / the")
    assert "write importance_cap = 1" in told


@pytest.mark.parametrize(("floor", "learning"), [("0.1", ""), ("0.01", "importance_cap = 100.0")])
def test_nothing_is_advised_where_the_floors_or_a_cap_bound_it(text: str, floor: str, learning: str) -> None:
    assert advised(text, floor, learning) == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_shipped_policies_need_no_advice(file: Path) -> None:
    assert advice(parse_manifest(file.read_text("utf-8"), file.name)) == []
