"""What goes out comes back with the same numbers; what is malformed is named, row by row, and nothing comes in."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from simulator.evaluate import Labels, evaluate
from simulator.exchange import (
    DsjsonFile,
    LogFrames,
    Mapping,
    ParquetFile,
    TableFile,
    frames_of_stored,
    read_mapping,
    rounds_from_table,
    write_dsjson,
    write_parquet,
)
from simulator.exchange.mapping import Columns
from simulator.exchange.tables import rounds_of
from simulator.progress import silent

AT = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
ACTIONS = ("hold", "sort", "help")
LOG = ImportedLog(
    name="shop",
    kind="parquet",
    source_sha256="0" * 64,
    created_at=AT,
    actions=ACTIONS,
    action_features=({"price": 0.1 + 0.2}, {"price": 1.0}, {}),
    reward_min=-1.0,
    reward_max=2.0,
    smallest_propensity=0.01,
)


def rows(*, vectors: bool = True, extras: bool = True) -> list[ImportedRound]:
    made = []
    for number in range(40):
        drawn = number % 3
        vector: list[float | None] = [0.1 + 0.2, 0.7 - 0.1, 0.1]
        if number % 4 == 1:
            vector = [None, 1 / 3, 2 / 3]
            drawn = 1 + number % 2
        propensity = vector[drawn]
        assert propensity is not None
        made.append(
            ImportedRound(
                logged_at=AT + timedelta(seconds=number) if extras else None,
                position=1 + number % 2 if extras else None,
                action=drawn,
                propensity=propensity,
                reward=(number % 5) / 3 - 0.5,
                context={"device": "app" if number % 2 else 'we"b, ü', "depth": number / 7, "new": number % 3 == 0},
                subject=number // 2 - 5 if extras else None,
                probabilities=tuple(vector) if vectors else None,
            )
        )
    return made


def frames(rounds: list[ImportedRound]) -> LogFrames:
    """As the store's shelf gives them."""
    frame = pl.DataFrame(
        {
            "row_number": range(len(rounds)),
            "logged_at": [row.logged_at for row in rounds],
            "position": [row.position for row in rounds],
            "action": [row.action for row in rounds],
            "propensity": [row.propensity for row in rounds],
            "reward": [row.reward for row in rounds],
            "context": [msgspec.json.encode(row.context).decode() for row in rounds],
            "subject": [row.subject for row in rounds],
            "probabilities": [
                None if row.probabilities is None else msgspec.json.encode(row.probabilities).decode() for row in rounds
            ],
        },
        schema_overrides={
            "logged_at": pl.Datetime("us", "UTC"),
            "position": pl.Int16,
            "subject": pl.Int64,
            "probabilities": pl.String,
        },
    )
    return frames_of_stored(LOG, frame)


CASES = [(True, True), (False, True), (True, False), (False, False)]


@pytest.mark.parametrize(("vectors", "extras"), CASES)
def test_parquet_comes_back_bit_for_bit(vectors: bool, extras: bool, tmp_path: Path) -> None:
    made, path = rows(vectors=vectors, extras=extras), tmp_path / "log.parquet"
    assert write_parquet(frames(made), path) == len(made)
    back = ParquetFile(path)
    assert list(back.rounds()) == made
    described = back.describe("again", AT)
    for field in ("actions", "action_features", "reward_min", "reward_max", "smallest_propensity"):
        assert getattr(described, field) == getattr(LOG, field)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(("vectors", "extras"), CASES)
@pytest.mark.parametrize("zipped", [False, True])
def test_dsjson_comes_back_bit_for_bit(vectors: bool, extras: bool, zipped: bool, tmp_path: Path) -> None:
    made, path = rows(vectors=vectors, extras=extras), tmp_path / "log.dsjson"
    assert write_dsjson(frames(made), path) == len(made)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    back = DsjsonFile(path, (-1.0, 2.0), 0.01)
    described = back.describe("again", AT)
    # Actions stand in the order in which the file first shows them.
    assert described.actions == ACTIONS
    assert described.action_features == LOG.action_features
    assert list(back.rounds()) == made


@pytest.mark.parametrize("form", ["parquet", "dsjson"])
def test_a_round_trip_gives_the_same_report(form: str, tmp_path: Path) -> None:
    made, path = rows(), tmp_path / "log"
    if form == "parquet":
        write_parquet(frames(made), path)
        back = list(ParquetFile(path).rounds())
    else:
        write_dsjson(frames(made), path)
        back = list(DsjsonFile(path, (-1.0, 2.0)).rounds())
    reports = []
    for found in (made, back):
        rounds = rounds_of(ACTIONS, found)
        assert rounds.eligible is not None
        candidate = rounds.eligible / rounds.eligible.sum(axis=1, keepdims=True)
        reports.append(evaluate(rounds, candidate, Labels(log="shop", candidate="uniform")))
    assert msgspec.json.encode(reports[0]) == msgspec.json.encode(reports[1])


def test_dsjson_has_vws_own_fields(tmp_path: Path) -> None:
    path = tmp_path / "log.dsjson"
    write_dsjson(frames(rows()), path)
    line = json.loads(path.read_text().splitlines()[1])
    assert line["_label_cost"] == pytest.approx(-rows()[1].reward)
    assert line["_label_probability"] == rows()[1].propensity
    # The second row could not draw the first action: its own actions are numbered anew.
    assert (line["_labelIndex"], line["_label_Action"], line["a"]) == (1, 2, [2, 1])
    assert line["p"] == [2 / 3, 1 / 3]
    assert [action["_tag"] for action in line["c"]["_multi"]] == ["sort", "help"]
    assert line["Timestamp"] == "2026-01-05T12:00:01.123456Z"
    assert line["EventId"] == "shop-1"
    assert line["Version"] == "1"


FOREIGN = {
    "_label_cost": -1,
    "_label_probability": 0.8166667,
    "_label_Action": 2,
    "_labelIndex": 1,
    "Version": "1",
    "EventId": "e",
    "Timestamp": "2026-01-05T12:00:00.9990000Z",
    "a": [2, 1, 3],
    "p": [0.8166667, 0.0333333, 0.15],
    "c": {
        "GUser": {"major": "eng", "Year-Level": 3, "nested": {"x": [0.5, 1]}},
        "_skip": 1,
        "_multi": [{"TAction": {"id": "a"}}, {"TAction": {"id": "b", "cost": 2}}, {"TAction": {"id": "c"}}],
    },
    "VWState": {"m": "N/A"},
    "something": [1, 2],
}


def written(path: Path, **changes: object) -> Path:
    line = {key: value for key, value in {**FOREIGN, **changes}.items() if value is not ...}
    path.write_text(json.dumps(FOREIGN) + "\n" + json.dumps(line) + "\n")
    return path


def test_dsjson_of_others_is_read_as_vw_documents_it(tmp_path: Path) -> None:
    back = DsjsonFile(written(tmp_path / "log.json"))
    described = back.describe("theirs", AT)
    assert described.actions == ("a", "b", "c")
    assert described.action_features == ({}, {"cost": 2.0}, {})
    row = next(back.rounds(silent))
    assert row.context == {"major": "eng", "year_level": 3.0, "nested_x_0": 0.5, "nested_x_1": 1.0}
    assert (row.action, row.reward, row.propensity) == (1, 1.0, 0.8166667)
    assert row.probabilities == (0.0333333, 0.8166667, 0.15)
    assert row.logged_at == datetime(2026, 1, 5, 12, 0, 0, 999000, tzinfo=UTC)


def test_a_vector_printed_with_few_digits_is_divided_by_its_sum(tmp_path: Path) -> None:
    back = DsjsonFile(written(tmp_path / "log.json", p=[0.81667, 0.0333, 0.15], _label_probability=0.81667))
    row = list(back.rounds(silent))[1]
    assert row.probabilities is not None
    assert sum(p for p in row.probabilities if p is not None) == pytest.approx(1.0, abs=1e-15)
    assert row.propensity == row.probabilities[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_label_probability": ...}, "_label_probability is missing: without the probability"),
        ({"_label_probability": 0.0}, r"_label_probability 0.0 is not in \(0, 1\]"),
        ({"_label_probability": 0.5}, "p gives the drawn action 0.8166667"),
        ({"_label_cost": ...}, "_label_cost is missing"),
        ({"_label_cost": -3}, "outside the declared range 0 to 1"),
        ({"_label_cost": "much"}, "is no DSJSON decision"),
        ({"_labelIndex": 7}, "_labelIndex 7 is none of the line's 3 actions"),
        ({"p": [0.9, 0.9, 0.9]}, "p sums to 2.7"),
        ({"a": [2, 1, 9]}, "a names action 9 of 3"),
        ({"c": {}}, "c._multi is missing"),
        ({"c": {"_multi": [{"_tag": "a"}, {"_tag": "a"}]}}, "names an action twice"),
        ({"pdrop": 0.5}, "pdrop is 0.5"),
        ({"_skipLearn": True}, "_skipLearn"),
        ({"Timestamp": "yesterday"}, "no ISO 8601"),
    ],
)
def test_a_bad_line_is_named(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"nothing was imported, 1 bad rows:\n  line 2: .*{reason}"):
        DsjsonFile(written(tmp_path / "log.json", **changes))


MAPPING = """
smallest_propensity = 0.05
[columns]
action = "item"
propensity = "pscore"
reward = "click"
logged_at = "ts"
position = "slot"
subject = "user"
[context]
device = "Device Type"
[reward]
max = 5
"""

TABLE = pl.DataFrame(
    {
        "item": [7, 3, 7],
        "pscore": [0.5, 0.25, 1.0],
        "click": [0, 5, 1],
        "ts": ["2026-01-05T12:00:00+00:00", "2026-01-05T13:00:00+01:00", "2026-01-05T12:00:02Z"],
        "slot": [1, 2, 3],
        "user": ["ann", "bob", "ann"],
        "Device Type": ["app", None, "web"],
        "else": [1, 2, 3],
    }
)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson", "arrow"])
def test_a_table_is_read_through_a_mapping(suffix: str, tmp_path: Path) -> None:
    mapping, path = tmp_path / "mapping.toml", tmp_path / f"table.{suffix}"
    mapping.write_text(MAPPING)
    {"csv": TABLE.write_csv, "parquet": TABLE.write_parquet, "ndjson": TABLE.write_ndjson, "arrow": TABLE.write_ipc}[
        suffix
    ](path)
    file = TableFile(path, read_mapping(mapping))
    described, found = file.describe("table", AT), list(file.rounds())
    assert described.actions == ("3", "7")
    assert (described.reward_min, described.reward_max, described.smallest_propensity) == (0.0, 5.0, 0.05)
    assert [(row.action, row.propensity, row.reward, row.position) for row in found] == [
        (1, 0.5, 0.0, 1),
        (0, 0.25, 5.0, 2),
        (1, 1.0, 1.0, 3),
    ]
    assert [row.context for row in found] == [{"device": "app"}, {}, {"device": "web"}]
    assert found[0].subject == found[2].subject != found[1].subject
    assert found[0].logged_at == found[1].logged_at


class ArrowOnly:
    """A table of a library nobody here knows."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


def test_any_arrow_table_becomes_rounds() -> None:
    columns = Columns(action="item", propensity="pscore", reward="click", logged_at="ts")
    mapping = Mapping(columns=columns, reward=msgspec.convert({"max": 5}, type=Mapping.__annotations__["reward"]))
    for table in (TABLE, ArrowOnly(), TABLE.to_dict(as_series=False)):
        rounds = rounds_from_table(table, mapping)
        assert rounds.actions == ("3", "7")
        assert rounds.propensity.tolist() == [0.5, 0.25, 1.0]
        assert rounds.subject is None


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("pscore", None, "row 2: pscore is missing: without the probability"),
        ("pscore", 1.5, r"row 2: pscore 1.5 is not in \(0, 1\]"),
        ("pscore", float("nan"), "row 2: pscore nan is not finite"),
        ("click", 9, "row 2: click 9.0 is outside the declared range 0 to 5"),
        ("item", None, "row 2: item None is none of the log's actions"),
        ("slot", 0, "row 2: slot 0 is no whole number from 1"),
        ("ts", "2026-01-05T12:00:00", "row 2: ts .* names no time zone"),
    ],
)
def test_a_bad_row_is_named(column: str, value: object, reason: str, tmp_path: Path) -> None:
    values = TABLE[column].to_list()
    values[1] = value
    path, mapping = tmp_path / "table.parquet", tmp_path / "mapping.toml"
    TABLE.with_columns(pl.Series(column, values, strict=False)).write_parquet(path)
    mapping.write_text(MAPPING)
    with pytest.raises(InvalidInput, match=f"nothing was imported, 1 bad rows:\n  {reason}"):
        TableFile(path, read_mapping(mapping))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing required field `columns`"),
        ("[columns]\naction = 'a'\nreward = 'r'", "missing required field `propensity`"),
        (MAPPING + "\n[other]", "unknown field `other`"),
        ("x = ", "mapping"),
        (MAPPING.replace("[context]", 'probabilities = "p"\n[context]'), "needs `catalogue`"),
        (MAPPING.replace('"pscore"', '"nowhere"'), "has no column nowhere"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(text: str, reason: str, tmp_path: Path) -> None:
    path, table = tmp_path / "mapping.toml", tmp_path / "table.csv"
    path.write_text(text)
    TABLE.write_csv(table)
    with pytest.raises(InvalidInput, match=reason):
        TableFile(table, read_mapping(path))


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(InvalidInput, match="no Parquet"):
        ParquetFile(path)
    TABLE.write_parquet(path)
    with pytest.raises(InvalidInput, match="import it as a table"):
        ParquetFile(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        DsjsonFile(tmp_path / "missing")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidInput, match="has no rows"):
        DsjsonFile(tmp_path / "empty")
    (tmp_path / "table.xlsx").write_text("x")
    with pytest.raises(InvalidInput, match=r"is none of \.parquet"):
        TableFile(tmp_path / "table.xlsx", Mapping(columns=Columns(action="a", propensity="p", reward="r")))


def test_at_most_twenty_bad_rows_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text((json.dumps({**FOREIGN, "_label_probability": 2}) + "\n") * 50)
    with pytest.raises(InvalidInput, match="20 bad rows, and perhaps more") as raised:
        DsjsonFile(path)
    assert str(raised.value).count("line ") == 20
