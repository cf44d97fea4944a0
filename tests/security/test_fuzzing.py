"""A part of what `make faults` tries: broken inputs at every parser, and structured ones drawn by hypothesis."""

import gzip
import json
import random
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tests.security.fuzzing
from cxi_bandit.domain.errors import CxiBanditError, InvalidInput, ManifestInvalid
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.policy.parsing import parse_manifest
from simulator.exchange.dsjson import DsjsonFile
from simulator.exchange.mapping import read_mapping
from simulator.exchange.tables import TableFile
from tests.security.fuzzing import AMENDMENTS, REWARD, SHARES, dsjson_lines, fuzz_parsers, mapping, reward_desk, tables
from tests.security.mutation import mutated

INPUTS = 15_000


def test_no_broken_input_raises_anything_but_our_own_errors() -> None:
    found = fuzz_parsers(INPUTS, seed=1)
    assert found.notes == []
    assert (found.inputs, found.failures) == (INPUTS, 0)
    assert set(found.by_target) == set(SHARES)
    assert all(found.by_target.values()), found.by_target


def test_a_parser_that_breaks_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("on purpose")

    monkeypatch.setattr(tests.security.fuzzing, "parse_manifest", broken)
    found = fuzz_parsers(2000, seed=1)
    assert found.failures == found.by_target["manifests"] > 0
    assert found.notes[0] == "manifests: KeyError: 'on purpose'"


def test_the_same_seed_breaks_the_same_way_and_every_way_is_taken() -> None:
    corpus = [json.dumps(REWARD).encode()]
    first, again = ([mutated(random.Random(seed), corpus) for seed in range(300)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 250


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KNOWN = sorted({*REWARD, *(key for amendment in AMENDMENTS for key in amendment)})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=5), json_values, max_size=3), max_size=3)
)
def test_events_of_any_shape_are_read_or_refused_one_by_one(changes: list[dict[str, object]]) -> None:
    good = REWARD | {"reward_id": "good"}
    raw = json.dumps([good, *(REWARD | each for each in changes), good]).encode()
    try:
        read = reward_desk().read(raw, Source("shop"))
    except CxiBanditError:
        # json writes NaN and infinities, which are no JSON: then the list as such cannot be read.
        assert re.search(rb"NaN|Infinity", raw)
        return
    assert len(read) == len(changes) + 2
    assert read[0] == read[-1]


TABLES = ["exploration", "learning", "gate", "reward", "context", "learner", "defects", "interventions", "odd"]
toml_values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text("abc_ 1.-", max_size=6) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b_1"]), inner, max_size=2),
    max_leaves=4,
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(held)}" for key, held in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value)
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(table=st.sampled_from(TABLES), key=st.sampled_from(["min", "max", "outcomes", "kind", "x"]), value=toml_values)
def test_manifests_with_any_value_anywhere_are_read_or_refused(table: str, key: str, value: object) -> None:
    text = (tests.security.fuzzing.POLICIES / "cart.toml").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(f"[{table}]")]
    changed = "\n".join([*lines, f"[{table}]", f"{key} = {toml(value)}"])
    with suppress(ManifestInvalid):
        parse_manifest(changed, "changed.toml")


LINE = dsjson_lines()[0]
HUGE = b"9" * 400


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("log.dsjson", LINE.replace(b'"depth":0.5', b'"depth":' + HUGE)),
        ("log.dsjson", LINE.replace(b'"_subject":7', b'"_subject":' + b"[" * 5000)),
        ("log.dsjson", LINE.replace(b"2026-01-05T12:00:00.123456Z", b"0001-01-01T00:00:00+14:00")),
        ("log.dsjson", b"\x1f\x8b" + LINE),
        ("log.dsjson", gzip.compress(LINE)[:-20] + b"\xff" * 20),
        ("log.csv", b"\n".join(tables()).replace(b"2026-01-05T12:00:00Z", b"9999-12-31T23:59:59-14:00")),
        ("mapping.toml", b"\xff"),
        ("mapping.toml", b"x = " + b"[" * 5000),
        ("mapping.toml", b"x = " + b"9" * 5000),
    ],
    ids=range(9),
)
def test_what_the_fuzzer_found_once_is_refused_in_our_own_words(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    read = {"log.dsjson": DsjsonFile, "log.csv": lambda path: TableFile(path, mapping()), "mapping.toml": read_mapping}
    with pytest.raises(InvalidInput):
        read[name](path)
