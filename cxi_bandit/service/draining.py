"""Before a worker ends it sends its callers elsewhere: readiness says no, and connections are closed by their answers.

A server that simply closes an idle connection may cross a request that is just being sent on it, which then fails. One
whose last answer said `Connection: close` has no request coming.
"""

import asyncio


class Draining:
    """Whether this worker is about to end."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """From now on callers are sent elsewhere; they are still answered."""
        self.begun = True

    def follow(self, descriptor: int) -> None:
        """Begins when `descriptor` ends: the supervisor let go of it, or died. Call it on the event loop.

        Args:
            descriptor: The reading end of a pipe on which nothing is ever said; -1 for none.
        """
        if descriptor < 0:
            return
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(descriptor)
            self.begin()

        loop.add_reader(descriptor, ended)
