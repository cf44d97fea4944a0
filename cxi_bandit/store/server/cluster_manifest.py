"""The manifest that `pg_basebackup` leaves in a physical copy: every file with its checksum, and the WAL it needs.

Checked here, because the embedded server's package ships a `pg_verifybackup` that crashes.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from cxi_bandit.domain.errors import InvalidInput

FILE: Final = "backup_manifest"
_SEAL: Final = b'"Manifest-Checksum"'


class WalRange(msgspec.Struct, frozen=True):
    """The WAL without which the copy is not consistent."""

    timeline: int = msgspec.field(name="Timeline")
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class _File(msgspec.Struct, frozen=True):
    size: int = msgspec.field(name="Size")
    checksum: str = msgspec.field(name="Checksum", default="")
    path: str | None = msgspec.field(name="Path", default=None)
    encoded_path: str | None = msgspec.field(name="Encoded-Path", default=None)

    @property
    def name(self) -> str:
        return self.path if self.path is not None else bytes.fromhex(self.encoded_path or "").decode("utf-8", "replace")


class _Manifest(msgspec.Struct, frozen=True):
    files: list[_File] = msgspec.field(name="Files")
    wal: list[WalRange] = msgspec.field(name="WAL-Ranges")
    seal: str = msgspec.field(name="Manifest-Checksum")


def check_files(directory: Path) -> list[WalRange]:
    """Compares every file with the manifest, and the manifest with its own checksum; returns the WAL to be read.

    The copy must have been taken with SHA-256 checksums.

    Raises:
        InvalidInput: Names the first file that is missing, cut short or changed.
    """
    manifest = _read(directory / FILE)
    for file in manifest.files:
        path = directory / file.name
        try:
            with path.open("rb") as content:
                same = hashlib.file_digest(content, "sha256").hexdigest() == file.checksum
        except OSError as error:
            raise _damaged(path, "cannot be read") from error
        if not same:
            raise _damaged(path, "is not what was copied")
    return manifest.wal


def _read(path: Path) -> _Manifest:
    try:
        text = path.read_bytes()
        manifest = msgspec.json.decode(text, type=_Manifest)
    except OSError as error:
        raise _damaged(path, "cannot be read") from error
    except msgspec.DecodeError as error:
        raise _damaged(path, "is no manifest") from error
    if hashlib.sha256(text[: text.rindex(_SEAL)]).hexdigest() != manifest.seal:
        raise _damaged(path, "is not what was written")
    return manifest


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(str(path), f"{why}, so this backup is damaged; use another")
