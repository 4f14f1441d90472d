"""A capture with its TLS keys inside, as Wireshark opens it: beside the plain one, never instead of it."""

from __future__ import annotations

import struct
from pathlib import Path

from harness.errors import LabError

_SECTION = b"\x0a\x0d\x0d\x0a"
_LITTLE = b"\x4d\x3c\x2b\x1a"
_DECRYPTION_SECRETS = 0x0000000A
_TLS_KEYS = 0x544C534B


def with_secrets(capture: Path, keylog: Path, out: Path) -> None:
    """Writes `capture` (pcapng) to `out` with a Decryption Secrets Block behind its section header.

    LabError lab.capture_failed when it is no pcapng, lab.disk_full when it cannot be written.
    """
    try:
        data = capture.read_bytes()
        if len(data) < 12 or data[:4] != _SECTION:
            raise LabError("lab.capture_failed", f"{capture}: not a pcapng file", "see the run's folder")
        order = "<" if data[8:12] == _LITTLE else ">"
        (header,) = struct.unpack(f"{order}I", data[4:8])
        keys = keylog.read_bytes()
        padded = keys + b"\0" * (-len(keys) % 4)
        total = 20 + len(padded)
        block = struct.pack(f"{order}IIII", _DECRYPTION_SECRETS, total, _TLS_KEYS, len(keys)) + padded
        out.write_bytes(data[:header] + block + struct.pack(f"{order}I", total) + data[header:])
    except OSError as error:
        raise LabError("lab.disk_full", f"{error.filename}: {error.strerror}", "make room") from error
