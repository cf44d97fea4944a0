"""Waiting on an event loop for what happens elsewhere."""

import asyncio
from collections.abc import Callable


async def soon(happened: Callable[[], bool]) -> None:
    """Waits, within what whoever runs the loop allows."""
    while not happened():  # noqa: ASYNC110 - what is waited for happens in a thread, and knows of no event
        await asyncio.sleep(0.005)
