import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.identifiers import Source

Client = TestClient[Litestar]


def test_the_trail_is_read_page_by_page_newest_first(client: Client, engine: Engine) -> None:
    for number in range(5):
        key = ApiKey(name=f"k{number}", scopes=frozenset(), source=Source("x"), created_at=engine.clock())
        engine.store.access.add_key(key, b"%d" % number, "ann")
    page = client.get("/v1/audit?limit=3").json()
    assert [line["detail"]["name"] for line in page["entries"]] == ["k4", "k3", "k2"]
    assert {line["actor"] for line in page["entries"]} == {"ann"}
    assert page["before"] == page["entries"][-1]["number"]
    rest = client.get(f"/v1/audit?before={page['before']}").json()
    assert [line["action"] for line in rest["entries"]] == ["keys create"] * 3 + ["install"]
    assert rest["before"] is None


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=-1", "before=0", "before=1.5", "before=9" + "9" * 18, "before="],
)
def test_a_page_that_cannot_be_is_refused(client: Client, query: str) -> None:
    answer = client.get(f"/v1/audit?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]
