"""The page of guarantees names, for every promise, proofs that exist; and every promise of the table is on the page."""

import ast
import re
from pathlib import Path

import pytest

from tests.faults.promises import PROMISES
from tests.faults.proof import Promise

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/guarantees.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"(?ms)^## (.+?)\n(.*?)(?=^## |\Z)", PAGE))
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def section(number: int) -> str:
    """What the page says about a promise; the whole loop has no number there."""
    [found] = [
        text for title, text in SECTIONS.items() if title.startswith(f"{number}. " if number else "The whole loop")
    ]
    return found


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.number)
def test_every_promise_of_the_table_is_on_the_page_with_its_proof(promise: Promise) -> None:
    module = promise.prove.__module__.replace(".", "/")
    assert f"`{module}.py::{promise.prove.__name__}`" in section(promise.number)


def test_every_promise_on_the_page_names_a_proof() -> None:
    promises = {title: text for title, text in SECTIONS.items() if re.match(r"\d+\. |The whole loop", title)}
    assert len(promises) >= len(PROMISES)
    assert [title for title, text in promises.items() if not re.search(r"`tests/[\w/]+\.py::\w+`", text)] == []


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_every_proof_that_is_named_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_says_where_it_ends_or_has_no_exception() -> None:
    without = {title for title, text in SECTIONS.items() if re.match(r"\d+\. ", title) and "*Limits.*" not in text}
    assert without <= {"7. A full spool says so", "13. A full disk loses nothing that was acknowledged"}
