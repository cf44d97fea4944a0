"""The spool: what was answered from it is still there, whatever happens to the process, the file or the disk."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.decision import Decision, Defect, Fallback, Situation, Stage
from cxi_bandit.domain.errors import SpoolFull
from cxi_bandit.domain.identifiers import DecisionIdMint, InterventionId, ManifestSha, PolicyName, minted_at
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.store.spool import FileSpool, SpoolShelf
from cxi_bandit.store.spool.frames import HEAD_BYTES, framed, read_frames, whole_frame

BOUND = 8 * 64 * 1024
_mint = DecisionIdMint()


def entry(key: str | None = None, body: bytes = b"body", **context: bool | float | str) -> DecisionEntry:
    decision_id = _mint.mint(datetime(2026, 11, 20, 12, tzinfo=UTC))
    decision = Decision(
        decision_id=decision_id,
        decided_at=minted_at(decision_id),
        closes_at=minted_at(decision_id) + timedelta(hours=2),
        policy=PolicyName("cart"),
        policy_version=1,
        manifest_sha=ManifestSha("0" * 64),
        model_version=None,
        stage=Stage.LIVE,
        surface="cart",
        subject=b"\x00\xff",
        situation=Situation(
            defect=Defect("coupon_failed", 0.1 + 0.2, 1.0),
            context={"zeta": "ü|:", "alpha": 1.0, **context},
            eligible=(InterventionId("hold"), InterventionId("apply_coupon")),
            offered={InterventionId("apply_coupon"): {"value": 5e-324}},
        ),
        excluded={InterventionId("gift"): "needs context.cart_value at least 20"},
        probabilities=(0.1, 0.9),
        intervention=InterventionId("apply_coupon"),
        propensity=0.9,
        draw_key_id="draw-1",
        u=0.30000000000000004,
        fallback=Fallback.COLD_START,
    )
    return DecisionEntry(decision, None if key is None else IdempotencyToken("shop", key, body))


@pytest.fixture
def shelf(tmp_path: Path) -> SpoolShelf:
    return SpoolShelf(tmp_path / "spool", BOUND)


@pytest.fixture
def claim(shelf: SpoolShelf) -> Iterator[Callable[[], FileSpool]]:
    claimed: list[FileSpool] = []

    def make() -> FileSpool:
        claimed.append(shelf.claim())
        return claimed[-1]

    yield make
    for spool in claimed:
        try:
            spool.close()
        except OSError:
            continue  # a test that let it die closed it already


def dies(spool: FileSpool) -> None:
    """What the kernel does for a killed process: the lock is let go, nothing else happens."""
    fcntl.flock(spool._lock_descriptor, fcntl.LOCK_UN)


def segments(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool").glob("*/*.segment"))


def test_entries_come_back_as_they_were_and_in_order(claim: Callable[[], FileSpool]) -> None:
    spool, kept = claim(), [entry(), entry("k"), entry()]
    spool.append(kept[:1])
    spool.append(kept[1:])
    assert spool.waiting == 3
    assert spool.read(2) == kept[:2]
    assert spool.read(10) == kept, "until they are released"
    assert list(spool.read(1)[0].decision.situation.context) == ["zeta", "alpha"]
    spool.release()
    assert spool.read(10) == kept[1:]
    spool.release()
    assert (spool.waiting, spool.read(10), spool.damaged) == (0, [], 0)


def test_what_was_appended_outlives_the_process(claim: Callable[[], FileSpool]) -> None:
    first, kept = claim(), [entry(f"k{index}") for index in range(5)]
    first.append(kept)
    first.read(2)
    first.release()
    dies(first)
    second = claim()
    assert second.read(10) == kept, "what it had released is drained again, and found in the log already"
    second.append([later := entry()])
    assert second.read(10) == [*kept, later]
    assert second.find("shop", "k3") == kept[3]


def test_a_slot_is_one_processs_and_an_orphan_is_emptied_by_others(
    shelf: SpoolShelf, claim: Callable[[], FileSpool]
) -> None:
    first, second = claim(), claim()
    kept = entry()
    second.append([kept])
    assert shelf.orphan() is None
    dies(second)
    orphan = shelf.orphan()
    assert orphan is not None
    assert orphan.read(10) == [kept]
    orphan.release()
    orphan.close()
    assert shelf.orphan() is None
    assert first.waiting == 0


def test_a_key_finds_the_first_of_its_caller_until_it_is_released(claim: Callable[[], FileSpool]) -> None:
    spool, first = claim(), entry("k")
    spool.append([first, entry("k"), entry("other")])
    assert spool.find("shop", "k") == first
    assert spool.find("another", "k") is None
    spool.read(1)
    spool.release()
    assert spool.find("shop", "k") is None
    assert spool.find("shop", "other") is not None


def test_drained_files_go_and_one_stays_ready(tmp_path: Path, claim: Callable[[], FileSpool]) -> None:
    spool = claim()
    assert len(segments(tmp_path)) == 1
    (ready,) = segments(tmp_path)
    assert ready.stat().st_blocks * 512 >= BOUND // 8, "its blocks are taken before the disk is full"
    spool.append([entry()])
    spool.read(1)
    spool.release()
    (fresh,) = segments(tmp_path)
    assert fresh != ready
    spool.close()
    assert segments(tmp_path) == []


def test_the_bound_holds_and_space_that_is_drained_can_be_used_again(
    tmp_path: Path, claim: Callable[[], FileSpool]
) -> None:
    spool, kept = claim(), 0

    def fill() -> None:
        nonlocal kept
        while True:
            spool.append([entry(note="n" * 500) for _ in range(16)])
            kept += 16

    with pytest.raises(SpoolFull):
        fill()
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= BOUND
    assert spool.waiting == kept > 300
    while spool.waiting:
        spool.read(64)
        spool.release()
    spool.append([entry()])
    assert spool.waiting == 1


def test_a_batch_that_cannot_be_kept_is_not_kept_in_part(claim: Callable[[], FileSpool]) -> None:
    spool = claim()
    with pytest.raises(SpoolFull):
        spool.append([entry(note="n" * 1000) for _ in range(2 * BOUND // 1000)])
    assert spool.read(10) == []
    long = entry(note="n" * (BOUND // 2))
    spool.append([long])
    assert spool.read(1) == [long], "longer than a segment, within the bound"


def test_a_disk_that_fails_is_full_and_its_file_is_not_written_again(
    claim: Callable[[], FileSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, before = claim(), entry()
    spool.append([before])

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(SpoolFull):
            spool.append([entry()])
    after = entry()
    spool.append([after])
    assert spool.read(10) == [before, after]


@pytest.mark.parametrize("cut", [1, 11, 12, 40, 300])
def test_a_torn_tail_costs_only_itself(tmp_path: Path, claim: Callable[[], FileSpool], cut: int) -> None:
    first, kept = claim(), [entry(), entry()]
    first.append(kept)
    dies(first)
    (path,) = segments(tmp_path)
    data = path.read_bytes()
    end = first._current.end if first._current else 0
    path.write_bytes(data[: end - cut] + bytes(len(data) - end + cut))
    second = claim()
    assert second.read(10) == kept[:1]
    assert second.damaged == 1, "torn by a crash and never answered for, or rot: nobody can tell, so it is kept"
    second.release()
    assert path.with_suffix(".damaged").exists()


def test_rot_in_one_frame_costs_one_entry_and_keeps_its_file(tmp_path: Path, claim: Callable[[], FileSpool]) -> None:
    first, kept = claim(), [entry(), entry(), entry()]
    first.append(kept)
    dies(first)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    starts = [start for start, _ in read_frames(bytes(data), int(path.stem)).frames]
    data[starts[1] + 40] ^= 1
    path.write_bytes(data)
    second = claim()
    assert second.read(10) == [kept[0], kept[2]]
    assert second.damaged == 1
    second.release()
    assert path not in segments(tmp_path)
    assert path.with_suffix(".damaged").read_bytes() == data


def test_what_a_failing_disk_refused_is_not_found_again_after_a_crash(
    claim: Callable[[], FileSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, kept = claim(), entry()
    first.append([kept])

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(SpoolFull):
            first.append([entry()])
    dies(first)
    second = claim()
    assert second.read(10) == [kept]
    assert second.damaged == 0


def test_what_is_kept_aside_is_never_overwritten(tmp_path: Path, claim: Callable[[], FileSpool]) -> None:
    for _ in range(3):
        spool = claim()
        spool.append([entry()])
        spool.read(1)
        spool.release(damaged=1)
        spool.close()
    assert len(list((tmp_path / "spool").glob("*/*.damaged"))) == 3


def test_a_release_after_the_end_touches_nothing(tmp_path: Path, claim: Callable[[], FileSpool]) -> None:
    spool = claim()
    spool.append([entry()])
    before = spool.read(1)
    spool.close()
    spool.release()
    assert len(segments(tmp_path)) == 1
    assert claim().read(1) == before


def test_an_entry_the_log_refuses_keeps_its_file(tmp_path: Path, claim: Callable[[], FileSpool]) -> None:
    spool = claim()
    spool.append([entry()])
    (path,) = segments(tmp_path)
    spool.read(1)
    spool.release(damaged=1)
    assert path.with_suffix(".damaged").exists()
    assert (spool.waiting, spool.damaged) == (0, 1)


def test_appending_and_draining_at_once_loses_nothing(claim: Callable[[], FileSpool]) -> None:
    spool, drained, stop = claim(), [], threading.Event()

    def drain() -> None:
        while not (stop.is_set() and spool.waiting == 0):
            drained.extend(spool.read(7))
            spool.release()

    thread = threading.Thread(target=drain)
    thread.start()
    kept = [entry() for _ in range(400)]
    for start in range(0, 400, 5):
        spool.append(kept[start : start + 5])
    stop.set()
    thread.join(30)
    assert drained == kept


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 5))
def test_frames_read_back_whatever_they_hold(payloads: list[bytes], segment: int) -> None:
    data = b"".join(framed(payload, segment) for payload in payloads)
    found = read_frames(data + bytes(64), segment)
    assert [payload for _, payload in found.frames] == payloads
    assert found.damaged == 0
    assert all(whole_frame(data, start, segment) == payload for start, payload in found.frames)
    assert read_frames(data, segment + 1).frames == [], "what an earlier file left on the disk is no frame"


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=3, max_size=6), st.data())
def test_any_flipped_bit_is_noticed(payloads: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(framed(payload, 7) for payload in payloads))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    found = [payload for _, payload in read_frames(bytes(whole), 7).frames]
    ends = list(accumulate(HEAD_BYTES + len(payload) for payload in payloads))
    hit = next(index for index, end in enumerate(ends) if place < end)
    assert found == payloads[:hit] + payloads[hit + 1 :]
