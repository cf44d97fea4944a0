import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from cxi_bandit.service.deadlines import Deadlines


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=20))
def test_exactly_those_expire_that_still_wait_at_their_time(waits: list[tuple[int, bool]]) -> None:
    """Milliseconds, and whether it is done before its time."""
    expired: list[int] = []

    async def main() -> None:
        deadlines: Deadlines[int] = Deadlines(expired.append)
        for name, (milliseconds, _) in enumerate(waits):
            deadlines.add(name, milliseconds / 1000)
        for name, (_, done) in enumerate(waits):
            if done:
                deadlines.remove(name)
        await asyncio.sleep(0.06)
        deadlines.end()

    asyncio.run(main())
    assert sorted(expired) == [name for name, (_, done) in enumerate(waits) if not done]


def test_a_shorter_deadline_that_comes_later_is_kept() -> None:
    expired: list[str] = []

    async def main() -> None:
        deadlines: Deadlines[str] = Deadlines(expired.append)
        deadlines.add("long", 30.0)
        deadlines.add("short", 0.005)
        await asyncio.sleep(0.03)
        deadlines.end()

    asyncio.run(main())
    assert expired == ["short"]
