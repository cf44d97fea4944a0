"""docs/reference/manifest.md names every key of the manifest with its default, and no other."""

import re
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from cxi_bandit.policy import explorers, limit_rules, release_rules
from cxi_bandit.policy import manifest as rooms
from cxi_bandit.policy.manifest import Manifest

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "manifest.md").read_text("utf-8")

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "Top level": rooms.Manifest,
    "`[defects.<name>]`": rooms.DefectType,
    "`[context]` and `[intervention_features]`": rooms.Schema,
    '`type = "number"`': rooms.NumberFeature,
    '`type = "category"`': rooms.CategoryFeature,
    '`type = "flag"`': rooms.FlagFeature,
    "`[[interventions]]`": rooms.Intervention,
    "`when`": rooms.Condition,
    "`[reward]`": rooms.Reward,
    "`[reward.attribution]`": rooms.Attribution,
    "`[reward.metrics.<name>]`": rooms.Metric,
    "`[exploration]`": rooms.Exploration,
    "`[exploration.cold_start]`": rooms.ColdStart,
    "`[learning]`": rooms.Learning,
    "`[learning.checkpoints]`": rooms.Checkpoints,
    "`[gate]`": release_rules.Gate,
    "`[[gate.guardrails]]`": release_rules.Guardrail,
    "`[serving]`": rooms.ServingRules,
    "`[rollout]`": release_rules.RolloutRules,
    "`[[rollout.guardrails]]`": release_rules.Bound,
    "`[limits]`": limit_rules.Limits,
    "`[[limits.caps]]`": limit_rules.Cap,
}
EXPLORERS = (
    explorers.SquareCB,
    explorers.EpsilonGreedy,
    explorers.Softmax,
    explorers.Cover,
    explorers.Bag,
    explorers.RegCB,
    explorers.RND,
)


def section(title: str) -> str:
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def shown_item(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def shown(default: object) -> str:
    if isinstance(default, Enum | str):
        return f'`"{default}"`'
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "`[" + ", ".join(map(shown_item, default)) + "]`"
    return f"`{default}`"


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_has_every_key_with_its_default_in_order_of_the_struct(title: str) -> None:
    fields = msgspec.structs.fields(SECTIONS[title])
    listed = rows(section(title))
    assert sorted(row[0].strip("`") for row in listed) == sorted(field.encode_name for field in fields)
    default_of = {row[0].strip("`"): row[2] for row in listed}
    for field in fields:
        said = default_of[field.encode_name]
        if field.required:
            assert said == "-", field.name
        elif field.default is not msgspec.NODEFAULT:
            wanted = "`{}`" if field.default == {} else shown(field.default)
            assert said == wanted, field.name
        elif field.default_factory is not msgspec.NODEFAULT and field.default_factory() in ({}, ()):
            assert said in ("`{}`", "`[]`", "none"), field.name
        else:
            assert said, field.name


def test_every_explorer_is_listed_with_its_parameter_and_default() -> None:
    listed = [row for row in rows(section("`[exploration.explorer]`")) if row[0].startswith('`"')]
    wanted = []
    for kind in EXPLORERS:
        fields = msgspec.structs.fields(kind)
        tag = f'`"{kind.__struct_config__.tag}"`'
        wanted += [[tag, f"`{field.name}`", shown(field.default)] for field in fields] or [[tag, "-", ""]]
    assert [[row[0], row[1], row[3]] for row in listed] == wanted


def test_no_struct_of_the_manifest_is_missing_from_the_page() -> None:
    structs = {
        value
        for room in (rooms, explorers, release_rules, limit_rules)
        for value in vars(room).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
    }
    assert structs == {*SECTIONS.values(), *EXPLORERS}
    assert Manifest in structs


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert anchor in anchors, anchor
