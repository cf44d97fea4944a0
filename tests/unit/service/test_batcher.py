import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence

import pytest

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service import batcher as service_batcher
from cxi_bandit.service.batcher import Batcher, Overdue, Stalled
from cxi_bandit.telemetry.metrics import Metrics


class Port:
    """Doubles numbers; can be held up, and made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.open.set()
        self.fail: Callable[[Sequence[int]], None] = lambda _: None

    def run(self, items: Sequence[int]) -> list[int]:
        self.open.wait(10)
        self.fail(items)
        self.batches.append(list(items))
        return [2 * item for item in items]


def batcher(port: Port, queue: int = 100, batch: int = 8, flights: int = 1) -> Batcher[int, int]:
    return Batcher("test", port.run, Metrics(), queue_entries=queue, batch_entries=batch, flights=flights)


def run(main: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


def test_everyone_gets_their_own_results() -> None:
    port = Port()

    async def main() -> None:
        tested = batcher(port)
        answers = await asyncio.gather(*(tested.submit([n, n + 1000], 5) for n in range(50)))
        assert answers == [[2 * n, 2 * n + 2000] for n in range(50)]
        await tested.drain()

    run(main())
    assert max(len(batch) for batch in port.batches) <= 8
    assert sum(len(batch) for batch in port.batches) == 100


def test_what_waits_for_a_commit_shares_the_next_one() -> None:
    port = Port()
    port.open.clear()

    async def main() -> None:
        tested = batcher(port)
        first = asyncio.create_task(tested.submit([0], 5))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(tested.submit([n], 5)) for n in range(1, 6)]
        await asyncio.sleep(0.05)
        port.open.set()
        await asyncio.gather(first, *rest)
        await tested.drain()

    run(main())
    assert port.batches == [[0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize(("short_seconds", "shared"), [(60.0, [100, 50, 32, 18]), (0.0, [200])])
def test_of_many_who_wait_a_short_commit_takes_half(
    short_seconds: float, shared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_batcher, "_SHORT_SECONDS", short_seconds)
    batches: list[list[int]] = []

    async def main() -> None:
        opened = asyncio.Event()

        async def prompt(items: Sequence[int]) -> list[int]:
            await opened.wait()
            batches.append(list(items))
            return list(items)

        tested: Batcher[int, int] = Batcher(
            "test", Port().run, Metrics(), queue_entries=1000, batch_entries=512, prompt=prompt
        )
        first = asyncio.create_task(tested.submit([0], 5))
        await asyncio.sleep(0)
        rest = [asyncio.create_task(tested.submit([n, n], 5)) for n in range(1, 201)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        opened.set()
        await asyncio.gather(first, *rest)
        await tested.drain()

    run(main())
    assert [len(batch) // 2 for batch in batches[1:]] == shared
    assert [item for batch in batches for item in batch] == [0, *sorted([*range(1, 201)] * 2)]


def test_a_full_queue_refuses_at_once_and_a_late_entry_is_never_written() -> None:
    port = Port()
    port.open.clear()

    async def main() -> None:
        tested = batcher(port, queue=2)
        flying = asyncio.create_task(tested.submit([0], 5))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(tested.submit([1], 0.05))
        kept = asyncio.create_task(tested.submit([2], 5))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="queue"):
            await tested.submit([3], 5)
        with pytest.raises(Unavailable, match="deadline"):
            await late
        port.open.set()
        assert await flying == [0]
        assert await kept == [4]
        await tested.drain()

    run(main())
    assert port.batches == [[0], [2]]


def test_one_bad_entry_fails_alone() -> None:
    port = Port()

    def fail(items: Sequence[int]) -> None:
        if 13 in items:
            raise ValueError

    port.fail = fail

    async def main() -> None:
        tested = batcher(port)
        tasks = [asyncio.create_task(tested.submit([n], 5)) for n in (1, 13, 3)]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert answers[0] == [2]
        assert isinstance(answers[1], ValueError)
        assert answers[2] == [6]
        await tested.drain()

    run(main())


def test_a_port_that_was_away_for_a_moment_is_asked_again() -> None:
    port = Port()
    failures = [Unavailable("x"), Unavailable("x")]

    def fail(_: Sequence[int]) -> None:
        if failures:
            raise failures.pop()

    port.fail = fail

    async def main() -> None:
        tested = batcher(port)
        assert await tested.submit([1], 5) == [2]
        failures.extend(Unavailable("x") for _ in range(3))
        with pytest.raises(Unavailable):
            await tested.submit([2], 5)
        await tested.drain()

    run(main())


def test_two_commits_are_under_way_where_two_may_be_and_the_rest_shares_the_next() -> None:
    port = Port()
    both = threading.Barrier(2, timeout=10)
    begun: list[list[int]] = []

    def met(items: Sequence[int]) -> None:
        begun.append(list(items))
        if len(items) == 1:
            both.wait()

    port.fail = met

    async def main() -> None:
        tested = batcher(port, flights=2)
        port.open.clear()
        answers = [asyncio.create_task(tested.submit([0], 5))]
        await asyncio.sleep(0.05)
        answers.append(asyncio.create_task(tested.submit([1], 5)))
        await asyncio.sleep(0.05)
        answers += [asyncio.create_task(tested.submit([n, n + 1], 5)) for n in (2, 4, 6)]
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(tested.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        # Neither of the first two ends before the other has begun.
        port.open.set()
        assert await asyncio.gather(*answers) == [[0], [2], [4, 6], [8, 10], [12, 14]]
        await draining

    run(main())
    assert sorted(begun[:2]) == [[0], [1]]
    assert begun[2:] == [[2, 3, 4, 5, 6, 7]]
    assert sorted(port.batches) == [[0], [1], [2, 3, 4, 5, 6, 7]]


def test_draining_waits_for_what_was_accepted() -> None:
    port = Port()
    port.open.clear()

    async def main() -> None:
        tested = batcher(port)
        waiting = asyncio.create_task(tested.submit([1], 5))
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(tested.drain())
        await asyncio.sleep(0.01)
        port.open.set()
        assert await waiting == [2]
        await draining

    run(main())


def test_what_the_port_does_promptly_needs_no_thread_and_what_it_does_not_goes_there() -> None:
    port = Port()
    given: list[list[int]] = []

    async def prompt(items: Sequence[int]) -> list[int] | None:
        given.append(list(items))
        return None if 13 in items else [3 * item for item in items]

    async def main() -> None:
        tested = Batcher("test", port.run, Metrics(), queue_entries=100, batch_entries=2, prompt=prompt)
        answers = await asyncio.gather(*(tested.submit([n], 5) for n in (1, 2, 13, 4)))
        assert answers == [[3], [6], [26], [8]]
        await tested.drain()

    run(main())
    assert given == [[1, 2], [13, 4]]
    assert port.batches == [[13, 4]]


def test_who_waits_for_a_prompt_port_is_sent_away_in_time_like_everyone() -> None:
    port = Port()

    async def main() -> None:
        held = asyncio.Event()

        async def prompt(items: Sequence[int]) -> list[int] | None:
            await held.wait()
            return None

        tested = Batcher(
            "test", port.run, Metrics(), queue_entries=9, batch_entries=9, prompt=prompt, stall_seconds=0.1
        )
        overdue, stalled = await asyncio.gather(tested.submit([1], 0.03), tested.submit([2], 5), return_exceptions=True)
        assert (type(overdue), type(stalled)) == (Overdue, Stalled)
        held.set()
        await tested.drain()

    run(main())
    assert port.batches == [[1, 2]], "what was under way is the port's, and safe there"


def test_of_two_commits_the_one_that_lands_lets_callers_in_again_beside_one_that_takes_too_long() -> None:
    doors = {item: threading.Event() for item in (1, 2, 3)}
    doors[3].set()

    def through(items: Sequence[int]) -> list[int]:
        doors[items[0]].wait(10)
        return [2 * item for item in items]

    async def main() -> None:
        tested: Batcher[int, int] = Batcher(
            "test", through, Metrics(), queue_entries=9, batch_entries=9, flights=2, stall_seconds=0.5
        )
        long = asyncio.create_task(tested.submit([1], 5))
        await asyncio.sleep(0.3)
        landing = asyncio.create_task(tested.submit([2], 5))
        with pytest.raises(Stalled):
            await long
        with pytest.raises(Stalled):
            await tested.submit([3], 5)
        doors[2].set()
        assert await landing == [4]
        assert await tested.submit([3], 5) == [6], "the long one is under way all the while"
        doors[1].set()
        await tested.drain()

    run(main())


def test_once_drained_nothing_is_written_any_more() -> None:
    port = Port()
    given: list[int] = []

    async def prompt(items: Sequence[int]) -> list[int] | None:
        given.extend(items)
        return list(items)

    async def main() -> None:
        tested = Batcher("test", port.run, Metrics(), queue_entries=9, batch_entries=9, prompt=prompt)
        assert await tested.submit([1], 5) == [1]
        await tested.drain()
        with pytest.raises(RuntimeError):
            await tested.submit([2], 5)

    run(main())
    assert (given, port.batches) == ([1], [])
