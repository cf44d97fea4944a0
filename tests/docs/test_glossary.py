"""The glossary has every word of the product, and every value by which the API says a state."""

import importlib
import pkgutil
import re
from enum import StrEnum

from cxi_bandit import domain
from tests.harness.pages import ROOT

PAGE = (ROOT / "docs/glossary.md").read_text("utf-8")
PRODUCT = [
    "surface",
    "defect",
    "intervention",
    "context",
    "eligible set",
    "decision",
    "propensity",
    "reward event",
    "outcome",
    "model",
    "policy",
    "stage",
    "replay",
    "evaluation report",
    "gate",
]
"""The words that the product is defined by."""


def rows(title: str) -> list[list[str]]:
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_word_that_defines_the_product_has_its_line_and_no_word_has_two() -> None:
    words = [row[0] for title in ("The product's own", "The field's") for row in rows(title)]
    assert [word for word in PRODUCT if word not in words] == []
    assert len(words) == len(set(words))


def test_every_value_of_a_state_is_listed_and_no_other() -> None:
    listed = [re.findall(r"`(\w+)`", row[2]) for row in rows("States, as the API says them")]
    found = []
    for module in pkgutil.iter_modules(domain.__path__):
        room = importlib.import_module(f"{domain.__name__}.{module.name}")
        kinds = [kind for kind in vars(room).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]
        found += [[value.value for value in kind] for kind in kinds if kind.__module__ == room.__name__]
    assert sorted(map(sorted, listed)) == sorted(map(sorted, found))


def test_what_refers_to_another_page_leads_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
