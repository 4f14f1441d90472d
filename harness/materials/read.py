"""Files → pieces: PEM, DER, and arrays in C source. UsageError (exit 4) for a file that cannot be read at all."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from harness.errors import UsageError
from harness.materials import carray
from harness.materials.model import Blob, Call, Piece, What

MAX_FILE = 4 << 20
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----(.{0,262144}?)-----END \1-----", re.DOTALL)
_BEGIN = b"-----BEGIN "
_IDENTIFIER = re.compile(rb"^\s*(?:[0-9A-Fa-f]{2}[:\s]?){19}[0-9A-Fa-f]{2}\s*\0?$")


def read(paths: list[Path]) -> tuple[list[Piece], list[Call]]:
    """All that stands in the files, in order."""
    pieces: list[Piece] = []
    calls: list[Call] = []
    for path in paths:
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= MAX_FILE else b""
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", "name files of certificates and keys") from error
        if size > MAX_FILE:
            raise UsageError(f"{path}: {size} bytes", f"files up to {MAX_FILE} bytes are read")
        text = data.decode("latin-1")
        if b"\0" not in data and carray.looks_like_c(text):
            calls += carray.calls(str(path), text)
            for blob in carray.arrays(str(path), text):
                pieces += of_blob(blob)
        else:
            pieces += of_blob(Blob(path=str(path), name="", data=data))
    return pieces, calls


def of_blob(blob: Blob) -> list[Piece]:
    """What one blob holds; one piece `unknown` with the trouble when it is nothing we know."""
    if _BEGIN in blob.data[:65536]:
        return _pem(blob)
    if _IDENTIFIER.match(blob.data[:80]):
        return [Piece(blob=blob, form="text", what="identifier", der=blob.data)]
    if len(blob.data) in (20, 21) and not blob.data.startswith(b"\x30"):
        return [Piece(blob=blob, form="der", what="identifier", der=blob.data[:20])]
    return [_der(blob, blob.data, "der")]


def _pem(blob: Blob) -> list[Piece]:
    found = []
    for match in list(_BLOCK.finditer(blob.data))[:32]:
        label, body = match[1].decode(), match[2]
        if label == "EC PARAMETERS":
            continue
        if "ENCRYPTED" in label or b"ENCRYPTED" in body[:200]:
            found.append(Piece(blob=blob, form="pem", what="encrypted key", der=b"", trouble="the key is encrypted"))
            continue
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            trouble = f"{label}: no base64 inside ({error})"
            found.append(Piece(blob=blob, form="pem", what="unknown", der=b"", trouble=trouble))
            continue
        found.append(_der(blob, der, "pem", label))
    return found or [Piece(blob=blob, form="pem", what="unknown", der=b"", trouble="a BEGIN line without its END")]


def _der(blob: Blob, data: bytes, form: Any, label: str = "") -> Piece:
    length = outer_length(data)
    if length is None:
        return Piece(blob=blob, form=form, what="unknown", der=data, trouble="no DER: it begins with no SEQUENCE")
    if length > len(data):
        trouble = f"truncated: the DER says {length} bytes, there are {len(data)}"
        return Piece(blob=blob, form=form, what="unknown", der=data, trouble=trouble)
    body = data[:length]
    what, value, key_form = _load(body)
    # What is left behind the DER is padding of the array; a length that counts it is another matter (checks.py).
    trouble = "" if what != "unknown" else f"DER, but no certificate or key{f' (labelled {label})' if label else ''}"
    return Piece(blob=blob, form=form, what=what, der=body, value=value, form_of_key=key_form, trouble=trouble)


def _load(der: bytes) -> tuple[What, Any, str]:
    loaders: tuple[tuple[What, Any], ...] = (
        ("certificate", x509.load_der_x509_certificate),
        ("CRL", x509.load_der_x509_crl),
        ("request", x509.load_der_x509_csr),
        ("public key", serialization.load_der_public_key),
    )
    form = form_of_key(der)
    if form:
        try:
            return "private key", serialization.load_der_private_key(der, None), form
        except (ValueError, TypeError, UnsupportedAlgorithm):
            pass
    for what, load in loaders:
        try:
            value = load(der)
            if isinstance(value, x509.Certificate):  # parsed lazily: what later code reads has to be readable
                value.public_key()
                for field in ("subject", "issuer", "not_valid_before_utc", "not_valid_after_utc"):
                    getattr(value, field)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return what, value, ""
    return "unknown", None, ""


def outer_length(der: bytes) -> int | None:
    """Bytes of the outermost SEQUENCE, header included; None when there is none."""
    if len(der) < 2 or der[0] != 0x30:
        return None
    first = der[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 4 or len(der) < 2 + count:
        return None
    return 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def form_of_key(der: bytes) -> str:
    """pkcs1 (RFC 8017 A.1.2), sec1 (RFC 5915), pkcs8 (RFC 5958) by what follows the version, or ""."""
    if outer_length(der) is None:
        return ""
    start = 2 if der[1] < 0x80 else 2 + (der[1] & 0x7F)
    head = der[start : start + 4]
    if head[:2] != b"\x02\x01" or len(head) < 4:
        return ""
    version, after = head[2], head[3]
    return {(0, 0x02): "pkcs1", (1, 0x04): "sec1", (0, 0x30): "pkcs8", (1, 0x30): "pkcs8"}.get((version, after), "")
