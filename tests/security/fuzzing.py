"""What strangers send, broken a million times over: bodies, headers, queries, signatures, manifests, foreign logs.

A target may give a value or refuse with one of the project's own errors; whatever else it raises is a finding, and so
is an answer of 500. The same number of inputs and seed give the same inputs.
"""

import asyncio
import base64
import gzip
import json
import random
import string
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from standardwebhooks.webhooks import Webhook

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.service.batches import decode_items
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.desk import Desk
from cxi_bandit.service.remembered import Remembered
from cxi_bandit.service.rewards import RewardDesk
from cxi_bandit.service.throttle import Bucket
from cxi_bandit.service.webhooks import Webhooks, open_secret
from cxi_bandit.service.wire import DecisionBody
from cxi_bandit.settings import Settings, read_settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from simulator.exchange.dsjson import DsjsonFile
from simulator.exchange.mapping import Mapping, read_mapping
from simulator.exchange.tables import TableFile
from tests.security.mutation import mutated
from tests.security.raw import RawClient

Target = Callable[[random.Random], object]

POLICIES: Final = Path(__file__).parents[2] / "policies"
_SECRET: Final = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
_MAILER: Final = Source("mailer")
_FAILED: Final = 500
_MOST_NOTES: Final = 20
_DRAIN_EVERY: Final = 5000

# Shares of the inputs, by what they cost and how much there is to get wrong.
SHARES: Final = {
    "bodies": 0.30,
    "decisions": 0.13,
    "batches": 0.12,
    "rewards": 0.20,
    "signatures": 0.12,
    "requests": 0.08,
    "settings": 0.025,
    "manifests": 0.015,
    "dsjson": 0.007,
    "tables": 0.001,
    "mappings": 0.002,
}

DECISION: Final = {
    "surface": "detail_page",
    "subject": "opaque-shopper-key",
    "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9},
    "context": {"device": "mobile", "cart_value": 43.2, "price": 39.9, "unheard_of": {"a": [None, True]}},
    "interventions": [{"id": "price_match", "features": {"kind": "price", "intrusiveness": 0.1}}, {"id": "hold"}],
}
REWARD: Final = {
    "decision_id": "0192f0c4-6d55-7000-8000-5ca1ab1e0001",
    "reward_id": "order-9001",
    "metric": "purchase",
    "value": 1.0,
    "occurred_at": "2026-11-20T11:42:10.123456+01:00",
}
AMENDMENTS: Final = ({"corrects": "order-9001"}, {"retracts": "order-9001", "value": None})
ADDRESSES: Final = (
    {"decision_id": None, "subject": "opaque-shopper-key", "order": "A-9001"},
    {"decision_id": None, "order": "A-9001"},
)


class Findings(NamedTuple):
    """How many inputs were tried, how many raised what they must not, the first of those, and each target's share."""

    inputs: int
    failures: int
    notes: list[str]
    by_target: dict[str, int]


def fuzz_parsers(inputs: int, seed: int = 0, told: Callable[[int], object] = lambda _: None) -> Findings:
    """Tries `inputs` broken inputs, shared among all targets.

    Args:
        told: Called with the number of inputs tried so far.
    """
    counts = {name: round(inputs * share) for name, share in SHARES.items()}
    counts["bodies"] += inputs - sum(counts.values())
    tried = failures = 0
    notes: list[str] = []
    with _targets() as targets:
        for name, count in counts.items():
            drawn = random.Random(f"{seed} {name}")
            for _ in range(count):
                try:
                    targets[name](drawn)
                except CxiBanditError:
                    pass
                except Exception as error:  # noqa: BLE001 - what it is, is the finding
                    failures += 1
                    if len(notes) < _MOST_NOTES:
                        notes.append(f"{name}: {type(error).__name__}: {error}"[:600])
                tried += 1
                if tried % _DRAIN_EVERY == 0:
                    told(tried)
    told(tried)
    return Findings(tried, failures, notes, counts)


@contextmanager
def _targets() -> Iterator[dict[str, Target]]:
    engine = in_memory_engine([(path.name, path.read_text("utf-8")) for path in sorted(POLICIES.glob("*.toml"))])
    desk = reward_desk()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cxi-bandit-fuzz-")))
        yield {
            "bodies": _on(_json(DECISION), lambda data: decode(_DECISION, data)),
            "decisions": _decisions(engine),
            "batches": _on(_batches(), decode_items),
            "rewards": _on(_reward_bodies(), lambda data: desk.read(data, Source("shop"))),
            "signatures": _signatures(),
            "requests": _requests(engine, SpoolShelf(directory / "spool", 1 << 20), stack),
            "settings": _settings,
            "manifests": _on(_manifests(), lambda data: parse_manifest(data.decode("utf-8", "replace"), "fuzzed.toml")),
            "dsjson": _on(dsjson_lines(), _reading(directory / "log.dsjson", DsjsonFile)),
            "tables": _on(tables(), _reading(directory / "log.csv", lambda path: TableFile(path, mapping()))),
            "mappings": _on([_MAPPING.encode()], _reading(directory / "mapping.toml", read_mapping)),
        }


def _on(corpus: Sequence[bytes], read: Callable[[bytes], object]) -> Target:
    return lambda drawn: read(mutated(drawn, corpus))


def _reading(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def write_and_read(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return write_and_read


_DECISION: Final = msgspec.json.Decoder(DecisionBody)


def _json(*documents: object) -> list[bytes]:
    """Each written in two ways: as clients' libraries do, with spaces and without."""
    return [form for each in documents for form in (json.dumps(each).encode(), msgspec.json.encode(each))]


def _batches() -> list[bytes]:
    bare = {key: DECISION[key] for key in ("surface", "defect")}
    return _json({"decisions": [DECISION]}, {"decisions": [bare, bare]}, {"decisions": [{}, bare, 7]})


def _reward_bodies() -> list[bytes]:
    amended = [REWARD | {"reward_id": f"a{number}"} | each for number, each in enumerate(AMENDMENTS + ADDRESSES)]
    return _json(REWARD, [REWARD], [REWARD, *amended], *amended)


def reward_desk() -> RewardDesk:
    """One that reads; what is read only is written nowhere."""
    nowhere: Any = None
    return RewardDesk(nowhere, nowhere, Metrics(), Settings(), bytes(32))


def _decisions(engine: Engine) -> Target:
    """A body that can be read goes all the way to a drawn intervention; words are kept so that many do."""
    nowhere: Any = None  # what is proposed only is written to neither log nor spool
    desk = Desk(engine, nowhere, nowhere, Metrics(), nowhere, nowhere)
    corpus = _json(DECISION["context"], DECISION["interventions"], {"context": 1e39}, [{"id": "hold"}] * 2)

    def propose(drawn: random.Random) -> object:
        broken = mutated(drawn, corpus)
        field = drawn.choice(("context", "interventions", "defect", "subject"))
        rest = msgspec.json.encode({key: value for key, value in DECISION.items() if key != field})
        return desk.propose(decode(_DECISION, rest[:-1] + b',"' + field.encode() + b'":' + broken + b"}"))

    return propose


def _signatures() -> Target:
    """Headers and bodies broken one by one; now and then all are right, and what is signed must be let through."""

    async def secrets(source: Source) -> list[Webhook]:
        opened = open_secret(_SECRET) if source == _MAILER else None
        return [] if opened is None else [opened]

    remembered = Remembered(secrets, Bucket(0, 1), cache_seconds=1e9, away_seconds=0.0)
    asyncio.run(remembered.get(_MAILER))
    webhooks = Webhooks(remembered)
    body = msgspec.json.encode(REWARD)

    def verify(drawn: random.Random) -> object:
        at = int(time.time()) + drawn.randrange(-400, 400)
        signature = Webhook(_SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), body.decode())
        sent = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}
        content = body
        for name in drawn.sample([*sent, "body"], drawn.randrange(3)):
            if name == "body":
                content = mutated(drawn, [body])
            else:
                sent[name] = mutated(drawn, [sent[name].encode()]).decode("latin-1")
        try:
            # Its source is remembered, so the check never waits: one step runs all of it.
            webhooks.verify(_MAILER, content, sent).send(None)
        except StopIteration as let_through:
            signed = (sent["webhook-id"], int(sent["webhook-timestamp"]), content) == ("msg_1", at, body)
            if not (signed and {signature, *_spellings(signature)} & set(sent["webhook-signature"].split(" "))):
                raise AssertionError(f"let through: {sent} {content!r}") from None
            return let_through.value
        raise AssertionError("the check waited for something")

    return verify


def _spellings(signature: str) -> list[str]:
    """Base64 leaves two bits of the last letter unused: three more letters there mean the same bytes."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    place = letters.index(signature[-2])
    return [f"{signature[:-2]}{letters[place ^ bits]}=" for bits in range(1, 4)]


def _requests(engine: Engine, shelf: SpoolShelf, stack: ExitStack) -> Target:
    """Whole requests, to the service as it is and to one in development mode, where they get further."""
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    secret = new_secret()
    key = ApiKey(name="fuzz", scopes=frozenset(Scope), source=Source("fuzz"), created_at=engine.clock())
    engine.store.access.add_key(key, digest(secret), "test")
    clients = [
        stack.enter_context(RawClient(create_app(engine, settings, silent, Metrics(), shelf)))
        for settings in (Settings(dev=True, deadline_ms=60_000), Settings(rate_per_second=0.0, deadline_ms=60_000))
    ]
    paths = [
        b"/v1/decisions", b"/v1/decisions?dry_run=true", b"/v1/decisions/batch", b"/v1/rewards", b"/v1/policies",
        b"/v1/decisions/0192f0c4-6d55-7000-8000-5ca1ab1e0001", b"/v1/policies/cart", b"/v1/webhooks/rewards/mailer",
        b"/v1/decisions/0192f0c4-6d55-7000-8000-5ca1ab1e0001/activation", b"/v1/audit?limit=10&before=3", b"/schema",
        b"/health/ready", b"/metrics",
    ]  # fmt: skip
    headers = {
        b"idempotency-key": [b"cart-4711-step-1"],
        b"prefer": [b"wait=50", b'respond-async, wait="100"; x=1', b"return=minimal,wait=10"],
        b"content-type": [b"application/json", b"application/json; charset=utf-16", b"multipart/form-data; boundary=x"],
        b"content-length": [b"10"],
        b"accept": [b"application/json"],
        b"cookie": [b"a=b; c=d"],
        b"webhook-id": [b"msg_1"],
        b"webhook-timestamp": [b"1795645784"],
        b"webhook-signature": [b"v1,wQYG4p0Bg/Z8wTCrkKtEPCs2yahsaypBNMp1nyefMFY="],
    }
    bodies = [*_json(DECISION), *_batches(), *_reward_bodies()]
    bearer = f"Bearer {secret}".encode()

    def send(drawn: random.Random) -> None:
        path = drawn.choice(paths) if drawn.random() < 0.6 else mutated(drawn, paths)
        sent = [(b"authorization", bearer if drawn.random() < 0.8 else mutated(drawn, [bearer]))]
        for name in drawn.sample(sorted(headers), drawn.randrange(4)):
            value = drawn.choice(headers[name]) if drawn.random() < 0.3 else mutated(drawn, headers[name])
            sent.append((name, _sendable(value)))
        body = drawn.choice(bodies) if drawn.random() < 0.3 else mutated(drawn, bodies)
        cut = drawn.randrange(len(body) + 1)
        pieces = (body,) if drawn.random() < 0.5 else (body[:cut], body[cut:])
        method = drawn.choice(("GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS", "DELETE"))
        broken_off = drawn.random() < 0.05
        answer = drawn.choice(clients).send(method, _sendable(path), sent, *pieces, broken_off=broken_off)
        if answer.status >= _FAILED:
            raise AssertionError(f"{answer.status} to {method} {path!r} {sent} {pieces!r}")

    return send


def _sendable(value: bytes) -> bytes:
    """What a server lets through: neither line ends nor NUL."""
    return value.translate(None, b"\0\r\n")


def _settings(drawn: random.Random) -> Settings:
    right = Settings(data_dir=Path("x"), policies_dir=Path("y"), database_url="postgresql://u:p@h/d").environment()
    name = drawn.choice(sorted(right))
    return read_settings(right | {name: mutated(drawn, [right[name].encode()]).decode("utf-8", "surrogateescape")})


def _manifests() -> list[bytes]:
    return [path.read_bytes() for path in sorted(POLICIES.glob("*.toml"))]


def dsjson_lines() -> list[bytes]:
    line = {
        "_label_cost": -0.5, "_label_probability": 0.5, "_label_Action": 2, "_labelIndex": 1, "Version": "1",
        "EventId": "e1", "Timestamp": "2026-01-05T12:00:00.123456Z", "a": [2, 1], "p": [0.5, 0.5],
        "c": {"S": {"device": "app", "depth": 0.5, "_x": 1}, "_position": 1, "_subject": 7,
              "_multi": [{"_tag": "hold"}, {"A": {"id": "sort", "price": 1.5, "tags": ["a", "b"]}}]},
        "VWState": {"m": "N/A"}, "pdrop": 0.0, "_skipLearn": False,
    }  # fmt: skip
    one = msgspec.json.encode(line)
    return [one, one + b"\n" + one, gzip.compress(one, mtime=0)]


_MAPPING: Final = """
smallest_propensity = 0.01
catalogue = ["hold", "sort"]
[columns]
action = "shown"
propensity = "p"
reward = "money"
logged_at = "at"
position = "slot"
subject = "who"
[context]
device = "device"
depth = "depth"
[reward]
min = -1.0
max = 1.0
"""


def mapping() -> Mapping:
    return msgspec.toml.decode(_MAPPING, type=Mapping)


def tables() -> list[bytes]:
    rows = [
        b"shown,p,money,at,slot,who,device,depth",
        b"hold,0.5,1,2026-01-05T12:00:00Z,1,anna,app,0.5",
        b'sort,0.25,-1,2026-01-05T12:00:01Z,2,"b,o""b",web,',
    ]
    return [b"\n".join(rows), b"\r\n".join(rows)]
