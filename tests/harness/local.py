"""A client of an application in this process that calls it as development mode wants: by this machine's own name."""

from litestar import Litestar
from litestar.testing import TestClient

ADDRESS = "http://127.0.0.1"


def local_client(app: Litestar, *, raises: bool = True) -> TestClient[Litestar]:
    """Not opened yet.

    Args:
        raises: Whether what the application did not answer is raised in the test; otherwise it is a 500.
    """
    return TestClient(app, base_url=ADDRESS, raise_server_exceptions=raises)
