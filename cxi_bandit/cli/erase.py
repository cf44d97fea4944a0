"""`cxi-bandit erase`: all that was decided for a shopper goes, models are learned again without, it is certified."""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.progress import bars
from cxi_bandit.cli.rebuild import rebuilt_now
from cxi_bandit.domain.erasure import Certificate, ErasureRecord
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.erase import certify
from cxi_bandit.engine.erase import erase as erase_subject
from cxi_bandit.settings import read_settings

_STDIN: Final = "-"
_record: Final = msgspec.json.Decoder(ErasureRecord).decode


class Certified(msgspec.Struct, frozen=True):
    """A certificate as it is handed out: the record beside the SHA-256 of its text, keys sorted, without spaces."""

    sha256: str
    record: ErasureRecord


def erase(
    *,
    subject: str | None,
    reason: str,
    later: bool,
    certificate: Path | None,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """The work of `cxi-bandit erase`."""
    key = _subject(subject)
    if certificate is not None and not certificate.absolute().parent.is_dir():
        # Known before anything is erased: that cannot be done again for the certificate's sake.
        raise InvalidInput("--certificate", f"there is no directory {certificate.parent}")
    track = bars(as_json=as_json)
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        at = engine.clock()
        detail = {"reason": reason, "rebuild": "by learner" if later else "by command"}
        store.registry.note(AuditEntry(at=at, actor=actor, action="erase", policy=None, detail=detail))
        parts = (store.decisions, store.outcomes, store.privacy)
        steps = [store.permits.forget_shopper]
        with track("erasing", None):
            erasures, other = erase_subject(pseudonym(engine.subject_key, key), at, *parts, steps=steps)
        if not later:
            for policy in sorted({erasure.policy for erasure in erasures}):
                rebuilt_now(engine, policy, track)
        made = certify(
            erasures,
            other,
            reason,
            at,
            engine.clock(),
            registry=store.registry,
            rebuilds=store.rebuilds,
            privacy=store.privacy,
        )
    _hand_out(made, certificate, as_json=as_json)


def certificates(as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit erase certificates`."""
    with open_store(read_settings(**options)) as store:
        found = [_certified(certificate) for certificate in store.privacy.certificates()]
    if as_json:
        show_json({"certificates": found})
        return
    rows = [
        (
            one.record.issued_at,
            one.record.reason,
            sum(entry.decisions for entry in one.record.policies),
            one.sha256[:12],
        )
        for one in found
    ]
    show_table("Certificates of erasure", ("issued", "reason", "decisions erased", "sha256"), rows)


def _subject(given: str | None) -> str:
    key = sys.stdin.read().rstrip("\r\n") if given == _STDIN else given
    if not key:
        raise InvalidInput("--subject", "names the shopper as surfaces do; give the key, or - to read it from stdin")
    return key


def _certified(certificate: Certificate) -> Certified:
    return Certified(certificate.sha256, _record(certificate.document))


def _hand_out(certificate: Certificate, file: Path | None, *, as_json: bool) -> None:
    certified = _certified(certificate)
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(certified), indent=2) + b"\n")
    if as_json:
        show_json(certified)
        return
    rows = [
        (
            entry.policy,
            entry.erasure_number,
            entry.decisions,
            len(entry.models_affected),
            ", ".join(map(str, entry.replaced_by)) or f"request {entry.rebuild_request}",
        )
        for entry in certified.record.policies
    ]
    columns = ("policy", "erasure", "decisions", "models that had learned them", "replaced by model")
    show_table("Erased", columns, rows)
    sys.stdout.write(f"certificate {certificate.sha256}\n")
