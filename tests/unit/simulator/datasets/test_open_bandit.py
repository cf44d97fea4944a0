"""The Open Bandit reader believes no row it has not checked, and names those it refuses."""

import gzip
from pathlib import Path

import pytest

from cxi_bandit.domain.errors import InvalidInput
from simulator.datasets.open_bandit import MOST_BAD_ROWS, Impression, OpenBanditFile

SHIPPED = Path(__file__).resolve().parents[3] / "data" / "obd"
HEADER = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0,user-item_affinity_1"
GOOD = "0,2019-11-24 00:01:03.979311+00:00,1,3,1,0.25,abc,0.0,2.0"


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def read(path: Path) -> list[Impression]:
    return list(OpenBanditFile(path).rows())


def changed(**fields: str) -> str:
    names = HEADER.split(",")
    values = GOOD.split(",")
    for name, value in fields.items():
        values[names.index(name)] = value
    return ",".join(values)


def test_a_row_becomes_an_impression_with_its_slot_counted_from_0(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, GOOD))
    assert (row.line, row.item, row.position, row.reward, row.propensity) == (2, 1, 2, 1.0, 0.25)
    assert row.user == {"user_feature_0": "abc"}
    assert row.affinity == (0.0, 2.0)
    assert row.logged_at.isoformat() == "2019-11-24T00:01:03.979311+00:00"


def test_the_store_gets_slots_as_on_the_page_and_no_zero_affinities(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, GOOD))
    assert row.as_round().position == 3
    assert row.as_round().context == {"user_feature_0": "abc", "affinity_1": 2.0}


def test_plain_and_gzipped_files_read_alike_whatever_their_name(tmp_path: Path) -> None:
    plain = written(tmp_path, GOOD, GOOD)
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(plain) == read(packed)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (changed(timestamp="yesterday"), "timestamp 'yesterday' is no ISO 8601 time"),
        (changed(timestamp="2019-11-24 00:01:03"), "names no time zone"),
        (changed(item_id="2"), "item_id 2 is not within 0 to 1"),
        (changed(item_id="-1"), "item_id -1 is not within 0 to 1"),
        (changed(item_id="x"), "item_id 'x' is no whole number"),
        (changed(position="0"), "position 0 is not within 1 to 3"),
        (changed(position="4"), "position 4 is not within 1 to 3"),
        (changed(click="2"), "click 2 is not within 0 to 1"),
        (changed(propensity_score="0"), "propensity_score 0.0 is not in (0, 1]"),
        (changed(propensity_score="1.5"), "propensity_score 1.5 is not in (0, 1]"),
        (changed(propensity_score="nan"), "propensity_score 'nan' is not finite"),
        (changed(propensity_score=""), "propensity_score '' is no number"),
        (changed(user_feature_0=""), "user_feature_0 is empty"),
        (GOOD + ",7", "10 fields, the header has 9"),
        ("", "0 fields, the header has 9"),
    ],
)
def test_a_bad_row_is_named_by_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(written(tmp_path, GOOD, row, GOOD))
    assert "line 3: " in caught.value.detail
    assert reason in caught.value.detail
    assert "nothing was imported, 1 bad rows" in caught.value.detail


def test_every_bad_row_is_listed_and_none_after_the_first_is_given(tmp_path: Path) -> None:
    rows = OpenBanditFile(written(tmp_path, GOOD, changed(click="7"), GOOD, changed(position="9"))).rows()
    assert next(rows).line == 2
    with pytest.raises(InvalidInput) as caught:
        next(rows)
    assert "line 3: click" in caught.value.detail
    assert "line 5: position" in caught.value.detail


def test_the_list_of_bad_rows_ends_at_twenty(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"{MOST_BAD_ROWS} bad rows, and perhaps more") as caught:
        read(written(tmp_path, *[changed(click="7")] * 30))
    assert caught.value.detail.count("line ") == MOST_BAD_ROWS


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes((SHIPPED / "random-men.csv.gz").read_bytes()[:20_000])
    with pytest.raises(InvalidInput, match="damaged"):
        read(path)


def test_a_file_without_the_columns_or_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no column timestamp"):
        read(written(tmp_path, "1", header="a"))
    with pytest.raises(InvalidInput, match="has no rows"):
        read(written(tmp_path))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(tmp_path / "missing.csv")


def test_the_number_of_items_must_be_known(tmp_path: Path) -> None:
    header = "timestamp,item_id,position,click,propensity_score"
    with pytest.raises(InvalidInput, match="--items"):
        read(written(tmp_path, "2019-11-24 00:01:03+00:00,0,1,0,0.5", header=header))


def test_the_items_file_must_agree_with_the_log(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("item_id,item_feature_0,item_feature_1\n0,0.5,a\n")
    with pytest.raises(InvalidInput, match="knows 2 items, the items file 1"):
        OpenBanditFile(written(tmp_path, GOOD), items)
    items.write_text("item_id,item_feature_0,item_feature_1\n0,0.5,a\n2,0.5,a\n")
    with pytest.raises(InvalidInput, match="without a gap"):
        OpenBanditFile(written(tmp_path, GOOD), items)
    items.write_text("item_id,item_feature_0,item_feature_1\n0,0.5,a\n0,0.5,a\n")
    with pytest.raises(InvalidInput, match="line 3: item_id 0 comes twice"):
        OpenBanditFile(written(tmp_path, GOOD), items)


def test_the_shipped_sample_is_read_whole() -> None:
    source = OpenBanditFile(SHIPPED / "random-men.csv.gz", SHIPPED / "items-men.csv.gz")
    rows = list(source.rows())
    assert len(rows) == 10_000
    assert sum(row.reward for row in rows) == 46
    assert {row.propensity for row in rows} == {1 / 34}
    assert source.items[0]["item_feature_0"] == -0.6771831139635117
