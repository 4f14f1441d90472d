"""The certificates of a run: `generate(out)` makes all that `certs/pki.toml` describes, `Pki` gives paths by name.

    pki = generate(Path("build/pki"))
    pki.cert("server-rsa2048"), pki.chain("server-rsa2048"), pki.key("device-p256", "sec1-der")
    pki.ca_bundle(["ca-rsa2048", "ca-p256"]), pki.crl("crl-p256"), pki.facts("server-p256").not_after

Another process opens the same folder with `Pki(out)`. Every name that is not there is a UsageError.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness.errors import LabError, UsageError
from harness.lab import issue, tables
from harness.lab.issue import CertTable, CrlTable
from harness.lab.keycache import Key, KeyCache, Progress
from harness.model import ServerCertificate
from harness.paths import CERTS

KeyFormat = Literal["pem", "der", "pkcs1-pem", "pkcs1-der", "sec1-pem", "sec1-der", "trad-pem", "trad-der"]
FileFormat = Literal["pem", "der"]
INDEX = "index.json"
TABLES = CERTS / "pki.toml"


class CertFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate is. Times are Unix seconds; `chain` is what chain() holds, leaf first; `root` the anchor
    it leads to; `key_matches` is false for a device that was given another key."""

    name: str
    kind: Literal["root", "intermediate", "server", "device"]
    key: Literal["rsa", "ec", "ed25519", "other"]
    key_type: str
    bits: int
    curve: str = ""
    signature: str
    subject: str
    issuer: str
    names: tuple[str, ...] = ()
    not_before: int
    not_after: int
    usage: tuple[str, ...] = ()
    eku: tuple[str, ...] = ()
    serial: str
    sha256: str
    chain: tuple[str, ...]
    root: str
    message_bytes: int
    key_matches: bool = True

    def server_certificate(self) -> ServerCertificate:
        return ServerCertificate(
            key=self.key, bits=self.bits, curve=self.curve, signature=self.signature, names=self.names,
            not_before=self.not_before, not_after=self.not_after,
        )


class CrlFacts(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    issuer: str
    revoked: tuple[str, ...]
    this_update: int
    next_update: int


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1
    made: int
    certs: dict[str, CertFacts]
    crls: dict[str, CrlFacts]


class Pki:
    """Paths and facts by name. Opens a folder that `generate` filled; UsageError when it is none."""

    def __init__(self, out: Path) -> None:
        self.out = out
        try:
            index = msgspec.json.decode((out / INDEX).read_bytes(), type=_Index)
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{out}: no generated certificates here", "hil certs make --out DIR") from error
        self.made = index.made
        self.certs = index.certs
        self.crls = index.crls

    def facts(self, name: str) -> CertFacts:
        if name not in self.certs:
            raise UsageError(f"no certificate `{name}` in {TABLES.name}", "`hil certs` lists them")
        return self.certs[name]

    def cert(self, name: str, format: FileFormat = "pem") -> Path:
        """The one certificate, without its chain."""
        self.facts(name)
        return self.out / "certs" / f"{name}.{_one_of(format, FileFormat)}"

    def chain(self, name: str) -> Path:
        """PEM: the certificate and what its table lets follow it."""
        self.facts(name)
        return self.out / "chains" / f"{name}.pem"

    def key(self, name: str, format: KeyFormat = "pem") -> Path:
        """`pem`, `der`: PKCS#8. `pkcs1-*`, `sec1-*`: only for RSA, only for curves. `trad-*`: whichever of the two
        fits. UsageError when the key has no such form (Ed25519 has PKCS#8 only)."""
        self.facts(name)
        path = self.out / "keys" / f"{name}.{_one_of(format, KeyFormat)}"
        if not path.exists():
            raise UsageError(f"the key of `{name}` has no {format} form", "ask for `pem` or `der` (PKCS#8)")
        return path

    def crl(self, name: str, format: FileFormat = "pem") -> Path:
        if name not in self.crls:
            raise UsageError(f"no revocation list `{name}` in {TABLES.name}", "`hil certs` lists them")
        return self.out / "crls" / f"{name}.{_one_of(format, FileFormat)}"

    def ca_bundle(self, names: Iterable[str]) -> Path:
        """One PEM file of several certificates, in this order."""
        return self._bundle("ca", list(names), self.cert)

    def crl_bundle(self, names: Iterable[str]) -> Path:
        return self._bundle("crl", list(names), self.crl)

    def _bundle(self, kind: str, names: list[str], path: Callable[[str], Path]) -> Path:
        if not names:
            raise UsageError(f"an empty {kind} bundle was asked for", "name at least one")
        if len(names) == 1:
            return path(names[0])
        data = b"".join(path(name).read_bytes() for name in names)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(data)
        whole = self.out / "bundles" / f"{kind}-{digest.finalize().hex()[:16]}.pem"
        if not whole.exists():
            _write_whole(whole, data)
        return whole


def load(path: Path = TABLES) -> tuple[dict[str, CertTable], dict[str, CrlTable]]:
    """The tables of `pki.toml`, checked: names that are used exist, and no signer goes in a circle."""
    document = tables.read(path)
    for key in document:
        if key not in ("cert", "crl"):
            raise UsageError(f"{path}: unknown table [{key}]", 'only [cert."…"] and [crl."…"] belong here')
    certs = {
        name: tables.convert(path, f"cert.{name}", body, CertTable)
        for name, (_, body) in tables.expand({path: document.get("cert", {})}).items()
    }
    crls = {
        name: tables.convert(path, f"crl.{name}", body, CrlTable)
        for name, (_, body) in tables.expand({path: document.get("crl", {})}).items()
    }
    for name, cert in certs.items():
        _check_cert(path, name, cert, certs)
    for name, crl in crls.items():
        where = f"{path}: [crl.{name}]"
        _check_name(f"{where}: key `issuer`", crl.issuer, certs)
        for revoked in crl.revoked:
            _check_name(f"{where}: key `revoked`", revoked, certs)
            if certs[revoked].issuer != crl.issuer:
                raise UsageError(f"{where}: key `revoked`: `{revoked}` is not issued by `{crl.issuer}`")
        _check_times(where, crl.this_update, crl.next_update)
    return certs, crls


def _check_name(where: str, name: str, certs: dict[str, CertTable]) -> None:
    if name not in certs:
        raise UsageError(f"{where}: no certificate `{name}`", "name a [cert.…] of this file")


def _check_cert(path: Path, name: str, cert: CertTable, certs: dict[str, CertTable]) -> None:
    where = f"{path}: [cert.{name}]"
    if cert.key_of:
        _check_name(f"{where}: key `key_of`", cert.key_of, certs)
    seen = [name]
    signer = cert
    while signer.issuer:
        _check_name(f"{where}: key `issuer`", signer.issuer, certs)
        if signer.issuer in seen:
            raise UsageError(f"{where}: key `issuer` goes in a circle: {' → '.join((*seen, signer.issuer))}")
        seen.append(signer.issuer)
        signer = certs[signer.issuer]
    if cert.pad < 0 or cert.pad > 60000 or cert.chain_bytes < 0 or cert.chain_bytes > 60000:
        raise UsageError(f"{where}: keys `pad` and `chain_bytes`: 0 to 60000 bytes")
    _check_times(where, cert.not_before, cert.not_after)


def _check_times(where: str, since: issue.Moment, until: issue.Moment) -> None:
    now = dt.datetime.now(dt.UTC)
    try:
        if issue.moment(since, now) >= issue.moment(until, now):
            raise UsageError(f"{where}: it ends before it begins")
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def generate(
    out: Path, *, now: dt.datetime | None = None, table: Path = TABLES, keys: KeyCache | None = None,
    progress: Progress | None = None,
) -> Pki:
    """Makes everything in `table` into the folder `out` (private to the user) and opens it. `now` is the moment
    validity is relative to. With the RSA keys in the cache this takes well under 2 s; each missing one is announced
    through `progress` (default: a line on stderr). Raises UsageError for what is wrong in the table or with the folder,
    LabError `lab.disk_full`."""
    certs, crls = load(table)
    maker = _Maker(table, certs, keys or KeyCache(progress=progress), (now or dt.datetime.now(dt.UTC)))
    try:
        return _write_all(out, maker, crls)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabError("lab.disk_full", f"{out}: {error.strerror}", "free some space") from error
        raise UsageError(f"{out}: {error.strerror}", "name a folder that can be written") from error


def _write_all(out: Path, maker: _Maker, crls: dict[str, CrlTable]) -> Pki:
    """The index comes last: a folder with one is whole."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in ("certs", "chains", "keys", "crls", "bundles"):
        (out / folder).mkdir(mode=0o700, exist_ok=True)
    for name in maker.tables:
        maker.write_cert(out, name)
    crl_facts = {name: maker.write_crl(out, name, crl) for name, crl in crls.items()}
    index = _Index(made=int(maker.now.timestamp()), certs=maker.facts, crls=crl_facts)
    _write_whole(out / INDEX, msgspec.json.format(msgspec.json.encode(index)))
    return Pki(out)


class _Maker:
    """Issues in the order that signers need, each once."""

    def __init__(self, path: Path, certs: dict[str, CertTable], keys: KeyCache, now: dt.datetime) -> None:
        self.path = path
        self.tables = certs
        self.keys = keys
        self.now = now.astimezone(dt.UTC).replace(microsecond=0)
        self.done: dict[str, x509.Certificate] = {}
        self.facts: dict[str, CertFacts] = {}

    def key(self, name: str) -> Key:
        cert = self.tables[name]
        return self.keys.get(cert.key, cert.slot or cert.kind)

    def subject(self, name: str) -> str:
        return self.tables[name].subject or name

    def signer(self, name: str) -> tuple[x509.Name, Key]:
        issuer = self.tables[name].issuer or name
        return issue.name(self.subject(issuer)), self.key(issuer)

    def path_to_root(self, name: str) -> list[str]:
        found = [name]
        while issuer := self.tables[found[-1]].issuer:
            found.append(issuer)
        return found

    def chain(self, name: str) -> list[str]:
        whole = self.path_to_root(name)
        kept = {"leaf": whole[:1], "root": whole, "full": whole[:-1] or whole}
        return kept[self.tables[name].chain]

    def cert(self, name: str) -> x509.Certificate:
        if name not in self.done:
            try:
                self.done[name] = self._make(name)
            except ValueError as error:
                raise UsageError(f"{self.path}: [cert.{name}]: {error}", "correct the table") from error
        return self.done[name]

    def _make(self, name: str) -> x509.Certificate:
        table = self.tables[name]
        others = [self.cert(other) for other in self.chain(name)[1:]]
        pad = table.pad
        # A length field that grows, or an ECDSA signature a byte shorter, moves the size: a few tries meet it.
        for _ in range(200):
            made = issue.certificate(table, self.subject(name), self.key(name), self.signer(name), self.now, pad)
            missing = table.chain_bytes - issue.message_bytes([made, *others]) if table.chain_bytes else 0
            if missing == 0:
                return made
            if pad + missing < 1:
                raise ValueError(f"chain_bytes: the chain needs {-missing} bytes more without any padding")
            pad += missing if abs(missing) > 2 or pad == 0 else (missing > 0) - (missing < 0)
        raise ValueError("chain_bytes: this size cannot be met")

    def write_cert(self, out: Path, name: str) -> None:
        made = self.cert(name)
        pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
        chain = self.chain(name)
        (out / "certs" / f"{name}.pem").write_bytes(made.public_bytes(pem))
        (out / "certs" / f"{name}.der").write_bytes(made.public_bytes(der))
        (out / "chains" / f"{name}.pem").write_bytes(b"".join(self.cert(link).public_bytes(pem) for link in chain))
        key_name = self.tables[name].key_of or name
        _write_keys(out / "keys", name, self.key(key_name))
        self.facts[name] = self._facts(name, made, chain, key_name)

    def _facts(self, name: str, made: x509.Certificate, chain: list[str], key_name: str) -> CertFacts:
        table = self.tables[name]
        kind, bits, curve = _describe(self.key(name))
        return CertFacts(
            name=name, kind=table.kind, key=kind, key_type=table.key, bits=bits, curve=curve,
            signature=_signature_name(table, self.signer(name)[1]), subject=self.subject(name),
            issuer=self.subject(table.issuer or name), names=table.dns + table.ip,
            not_before=int(made.not_valid_before_utc.timestamp()),
            not_after=int(made.not_valid_after_utc.timestamp()), usage=table.usage, eku=table.eku,
            serial=f"{made.serial_number:040x}", sha256=made.fingerprint(hashes.SHA256()).hex(),
            chain=tuple(chain), root=self.path_to_root(name)[-1],
            message_bytes=issue.message_bytes([self.cert(link) for link in chain]),
            key_matches=self.key(key_name).public_key() == self.key(name).public_key(),
        )

    def write_crl(self, out: Path, name: str, table: CrlTable) -> CrlFacts:
        serials = [self.cert(revoked).serial_number for revoked in table.revoked]
        issuer = issue.name(self.subject(table.issuer)), self.key(table.issuer)
        made = issue.revocation_list(table, issuer, serials, self.now)
        (out / "crls" / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (out / "crls" / f"{name}.der").write_bytes(made.public_bytes(serialization.Encoding.DER))
        return CrlFacts(
            name=name, issuer=table.issuer, revoked=table.revoked,
            this_update=int(issue.moment(table.this_update, self.now).timestamp()),
            next_update=int(issue.moment(table.next_update, self.now).timestamp()),
        )


def _one_of(value: str, kind: object) -> str:
    if value not in get_args(kind):
        raise UsageError(f"unknown format `{value}`", f"one of {', '.join(get_args(kind))}")
    return value


def _describe(key: Key) -> tuple[Literal["rsa", "ec", "ed25519"], int, str]:
    if isinstance(key, rsa.RSAPrivateKey):
        return "rsa", key.key_size, ""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ec", key.curve.key_size, key.curve.name
    return "ed25519", 256, ""


def _signature_name(table: CertTable, key: Key) -> str:
    """OpenSSL's long names, as the decoder prints them."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ED25519"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        default = "sha384" if key.curve.key_size > 256 else "sha256"
        return f"ecdsa-with-{(table.signature or default).upper()}"
    return {"pss-sha256": "rsassaPss"}.get(table.signature, f"{table.signature or 'sha256'}WithRSAEncryption")


def _write_keys(folder: Path, name: str, key: Key) -> None:
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    pkcs8, trad = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
    forms = {"pem": (pem, pkcs8), "der": (der, pkcs8)}
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        own = "pkcs1" if isinstance(key, rsa.RSAPrivateKey) else "sec1"
        forms |= {f"{form}-pem": (pem, trad) for form in (own, "trad")}
        forms |= {f"{form}-der": (der, trad) for form in (own, "trad")}
    for form, (encoding, structure) in forms.items():
        data = key.private_bytes(encoding, structure, serialization.NoEncryption())
        _write_whole(folder / f"{name}.{form}", data)


def _write_whole(path: Path, data: bytes) -> None:
    """Private, and never seen half written."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(temporary).replace(path)
