"""Settings: read once from the environment (and command-line options), then passed on; there is no global object."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cxi_bandit.domain.errors import InvalidInput

PREFIX: Final = "CXI_BANDIT_"
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only ever a directory of our own in it
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a process that is not declared by a policy's manifest.

    Attributes:
        workers: API worker processes.
        data_dir: Holds the embedded database, the lock and the processes' metrics; one service at a time owns it.
        dev: Every route is open to everyone who reaches the loopback address.
        database_url: A PostgreSQL DSN; None means the embedded server in `data_dir`.
        policies_dir: Where the manifests stand that are installed at start-up; None means those shipped with the code.
        queue_entries: Decisions waiting for the commit under way, per worker; one more is refused early.
        batch_entries: Most decisions of one commit.
        stall_ms: A commit that takes longer sends its decisions, and those behind it, to the spool.
        spool_bytes: Most that a worker's spool takes of the disk while the database is away.
        deadline_ms: How long a decision may take unless its caller says otherwise by `Prefer: wait=<ms>`.
        deadline_limit_ms: The longest wait a caller may ask for.
        lateness_seconds: How long after its close a window waits for commits still on their way.
        body_bytes: Longest request body.
        reload_seconds: Workers look for new models this often, should the database's notice not reach them.
        key_cache_seconds: How long a worker trusts what it knows of an API key; a revocation takes this long.
        rate_per_second: What one key, or one sender of webhooks, may ask of one worker, in requests or items of a
            batch, unless the key says otherwise; 0 for no limit.
        rate_burst: How much of that at once.
        session_hours: How long somebody stays signed in to the console.
        tls: Browsers reach the console over TLS, ended before it gets here: its cookies are sent over nothing else.
        key_away_seconds: How long it goes on trusting a key while the database is away: shopping surfaces must be
            answered for as long as the spool can take their decisions.
        retention_days: Decisions go, with all that hangs on them, when their day ended so many days ago; 0 keeps them.
        parked_days: A reward whose decision never came goes so many days after its receipt.
        drift_seconds: The learner looks for drift this often.
        drift_psi: A feature whose population stability index exceeds this has drifted.
        one_core: Each worker keeps its threads on one processor, the kernel's choice, while others leave it to them.
        traces: Requests, and the learner's passes, are traced and sent by OTLP over HTTP: the extra `otel`, and the
            environment that OpenTelemetry's SDK reads (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME and so on).
        trace_ratio: Of the requests whose caller sent no trace context so many are traced; one that sent it decided.
        drain_seconds: How long a service told to stop still answers while it says that it is not ready any more: what a
            load balancer needs to notice.
        parent_pid: The process this one must not outlive; 0 for none.
        database_fd: Where the supervisor says which database to use, once it is there; -1 for `database_url` itself.
        listen_fd: The supervisor's listening socket, inherited; -1 to open one.
        serving_fd: Where a worker says that it answers; -1 for nowhere.
        draining_fd: Ends when callers are to be sent elsewhere; -1 for never.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    data_dir: Path = Path(".cxi-bandit")
    dev: bool = False
    database_url: str | None = None
    policies_dir: Path | None = None
    queue_entries: Count = 2000
    batch_entries: Annotated[int, Meta(ge=1, le=5000)] = 512
    stall_ms: Count = 500
    spool_bytes: Annotated[int, Meta(ge=512 * 1024)] = 256 * 1024 * 1024
    deadline_ms: Count = 1000
    deadline_limit_ms: Count = 10_000
    lateness_seconds: Annotated[float, Meta(ge=0.0)] = 0.25
    body_bytes: Annotated[int, Meta(ge=1024)] = 256 * 1024
    reload_seconds: Positive = 0.5
    key_cache_seconds: Annotated[float, Meta(ge=0.0)] = 2.0
    rate_per_second: Annotated[float, Meta(ge=0.0)] = 2000.0
    rate_burst: Count = 4000
    key_away_seconds: Annotated[float, Meta(ge=0.0)] = 3600.0
    session_hours: Annotated[float, Meta(gt=0.0, le=168.0)] = 8.0
    tls: bool = False
    log_level: str = "info"
    retention_days: Annotated[int, Meta(ge=0)] = 0
    parked_days: Annotated[int, Meta(ge=7)] = 30
    drift_seconds: Annotated[float, Meta(ge=60.0)] = 3600.0
    drift_psi: Positive = 0.2
    one_core: bool = True
    traces: bool = False
    trace_ratio: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.01
    drain_seconds: Annotated[float, Meta(ge=0.0, le=300.0)] = 0.2
    parent_pid: int = 0
    database_fd: int = -1
    listen_fd: int = -1
    serving_fd: int = -1
    draining_fd: int = -1

    def __post_init__(self) -> None:
        if self.dev and self.host not in _LOOPBACK:
            raise InvalidInput(
                "--dev", f"opens every route without keys, so it binds to a loopback address only, not to {self.host}"
            )

    @property
    def database_dir(self) -> Path:
        """Where the embedded database keeps its files."""
        return self.data_dir / "database"

    @property
    def restoring_dir(self) -> Path:
        """Where a restore fills the embedded database, which gets its place when it is whole."""
        return self.data_dir / "database.restoring"

    @property
    def spool_dir(self) -> Path:
        """Where decisions wait while the database is away."""
        return self.data_dir / "spool"

    @property
    def metrics_dir(self) -> Path:
        """Where the processes leave their metrics for whichever of them is asked: in memory where there is a place.

        The files are mapped. A disk that filled up under them would end every process that counts something.
        """
        if not os.access(_IN_MEMORY, os.W_OK):
            return self.data_dir / "metrics"
        owner = hashlib.sha256(bytes(self.data_dir.resolve())).hexdigest()
        return _IN_MEMORY / f"cxi-bandit-{os.getuid()}-{owner[:16]}"

    @property
    def dsn_file(self) -> Path:
        """Tells other commands on this machine how to reach the embedded database while the service runs."""
        return self.data_dir / "database.dsn"

    @property
    def manifests_dir(self) -> Path:
        """`policies_dir`, or the manifests shipped with the code: a wheel carries them inside the package."""
        if self.policies_dir is not None:
            return self.policies_dir
        package = Path(__file__).parent
        shipped = package / "_shipped" / "policies"
        return shipped if shipped.is_dir() else package.parent / "policies"

    def manifest_texts(self) -> list[tuple[str, str]]:
        """(file name, text) of every manifest in `manifests_dir`, by file name.

        Raises:
            InvalidInput: There is no such directory, or it holds no manifest, or one that is no text.
        """
        texts = [(path.name, read_text(path, "--policies-dir")) for path in sorted(self.manifests_dir.glob("*.toml"))]
        if not texts:
            raise InvalidInput("--policies-dir", f"{self.manifests_dir} holds no *.toml manifest")
        return texts

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process to read them back."""
        found = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                found[variable(name)] = str(int(value)) if isinstance(value, bool) else str(value)
        return found


def read_text(path: Path, pointer: str) -> str:
    """A file that people wrote.

    Args:
        pointer: What named it, for errors.

    Raises:
        InvalidInput: It cannot be read, or is not in UTF-8.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InvalidInput(pointer, f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(pointer, f"{path} is not text in UTF-8 (byte {error.start})") from error


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return "DATABASE_URL" if field == "database_url" else f"{PREFIX}{field.upper()}"


def read_settings(environment: Mapping[str, str] | None = None, **options: object) -> Settings:
    """Settings from the environment, overridden by the options that are not None.

    Raises:
        InvalidInput: A value is not what its setting needs; names the variable.
    """
    given = os.environ if environment is None else environment
    values: dict[str, object] = {
        name: given[variable(name)] for name in Settings.__struct_fields__ if given.get(variable(name))
    }
    values.update({name: value for name, value in options.items() if value is not None})
    for name in ("data_dir", "policies_dir"):
        if name in values:
            values[name] = str(values[name])
    for name, value in values.items():
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            # The system allows any bytes in its environment; those that are no text arrive as lone surrogates.
            raise InvalidInput(variable(name), "must be text in UTF-8")
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidInput(variable(path.rstrip("`")) if path else "settings", reason) from error


def _decode(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value)).expanduser()
    raise NotImplementedError(kind)
