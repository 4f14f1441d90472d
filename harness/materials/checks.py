"""What is wrong with the files a device is given. Pure: pieces and a context in, problems out.

`check` reads in the order a device would meet the faults: can it be parsed, does the key fit, is the chain whole, are
dates and names right, does the stack have room for it and the algorithms.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.materials import chains
from harness.materials.model import Call, Context, Piece, Problem

Check = Callable[[Sequence[Piece], Context], Iterator[Problem]]
MESSAGE = 7  # bytes of a Certificate message around its entries: type, length, length of the list
ENTRY = 3  # length before each certificate


def check(pieces: Sequence[Piece], calls: Sequence[Call], context: Context) -> list[Problem]:
    """Every problem, those that stop the device before TLS first."""
    found = [problem for one in CHECKS for problem in one(pieces, context)]
    found += _calls(pieces, calls, context)
    return list(dict.fromkeys(found))


def _error(cause: str, piece: Piece, what: str, fix: str) -> Problem:
    return Problem(cause=cause, severity="error", where=piece.blob.where, what=what, fix=fix)


def _warning(cause: str, piece: Piece, what: str, fix: str) -> Problem:
    return Problem(cause=cause, severity="warning", where=piece.blob.where, what=what, fix=fix)


def _cause(piece: Piece) -> str:
    """Of a thing in the wrong form."""
    return "client_key.wrong_format" if piece.what in ("private key", "encrypted key") else "certificate.wrong_format"


def _container(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    """PEM where DER is wanted, a missing NUL, lengths."""
    facts = context.facts
    for piece in pieces:
        blob = piece.blob
        if piece.what == "identifier":
            continue
        if piece.trouble:
            yield _error(_cause(piece), piece, piece.trouble, "convert the file anew: hil certs header FILE")
            continue
        if piece.form == "pem" and not facts.pem and blob.in_c:  # a PEM file is still to be converted, or the broker's
            yield _error(
                _cause(piece), piece, f"PEM text in a C array, and {context.stack} takes DER only",
                f"hil certs header FILE.pem --stack {context.stack}",
            )  # fmt: skip
        elif piece.form == "pem" and facts.nul and blob.in_c:
            counted = blob.declared if blob.declared is not None else len(blob.data)
            if not blob.data[:counted].endswith(b"\0"):
                yield _error(
                    _cause(piece), piece, f"PEM text without its final NUL in the length ({counted} bytes)",
                    "end the array with 0x00 and count it: sizeof, or strlen + 1",
                )  # fmt: skip
        if piece.form == "der" and blob.declared is not None and blob.declared != len(piece.der):
            yield _error(
                _cause(piece), piece, f"the length says {blob.declared} bytes, the DER has {len(piece.der)}",
                f"set the length to {len(piece.der)}",
            )  # fmt: skip
        elif piece.form == "der" and len(blob.data) != len(piece.der):
            yield _warning(
                _cause(piece), piece, f"{len(blob.data) - len(piece.der)} bytes behind the {len(piece.der)} of the DER",
                "a length that counts them makes some parsers refuse it",
            )  # fmt: skip
        if len(piece.der) >= 1 << facts.length_bits:
            yield _error("device.buffer_too_small", piece, f"{len(piece.der)} bytes do not fit the length's type",
                         f"{context.stack} takes up to {(1 << facts.length_bits) - 1}")  # fmt: skip


def _keys(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    """Form of a key, and whether it belongs to a certificate that is here."""
    keys = [p for p in pieces if p.what == "private key"]
    leaves = [p for p in pieces if p.certificate is not None and not chains.is_ca(p.certificate)]
    for piece in keys:
        if piece.form_of_key not in context.facts.keys:
            wanted = "PKCS#1" if isinstance(piece.value, rsa.RSAPrivateKey) else "SEC1"
            tool = "rsa" if wanted == "PKCS#1" else "ec"
            yield _error(
                "client_key.wrong_format", piece, f"the key is PKCS#8, and {context.stack} takes {wanted} only",
                f"hil certs header KEY --stack {context.stack} (or openssl {tool} -in KEY -outform DER -out key.der"
                f"{' -traditional' if tool == 'rsa' else ''})",
            )  # fmt: skip
        public = piece.value.public_key()
        if leaves and not any(public == leaf.value.public_key() for leaf in leaves):
            names = ", ".join(leaf.blob.where for leaf in leaves)
            yield _error("client_key.mismatch", piece, f"the key does not belong to the certificate ({names})",
                         "use the key the certificate was requested with")  # fmt: skip
    if keys and not leaves and any(p.certificate is not None for p in pieces):
        yield _warning("client_certificate.missing", keys[0], "there is a key, and no certificate but of CAs",
                       "add the device's own certificate")  # fmt: skip


def _dates(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    for piece in pieces:
        certificate = piece.certificate
        if certificate is None:
            continue
        side = _side(piece, pieces)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        at = chains.day(context.clock)
        if context.clock > end.timestamp():
            yield _error(f"{side}.expired", piece, f"expired on {end:%Y-%m-%d}; the clock says {at}", "issue a new one")
        elif context.clock < begin.timestamp():
            yield _error(f"{side}.not_yet_valid", piece, f"valid from {begin:%Y-%m-%d}; the clock says {at}",
                         "set the device's clock before TLS (SNTP, RTC)" if context.clock < 1_577_836_800 else
                         "check the clock, or wait")  # fmt: skip


def _side(piece: Piece, pieces: Sequence[Piece]) -> str:
    """`client_certificate` for the device's own, else `server_certificate`."""
    certificate = piece.certificate
    assert certificate is not None
    keys = [p.value.public_key() for p in pieces if p.what == "private key"]
    own = certificate.public_key() in keys or chains.usages(certificate) == {"clientAuth"}
    return "client_certificate" if own else "server_certificate"


def _usage(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    for piece in pieces:
        certificate = piece.certificate
        if certificate is None:
            continue
        side = _side(piece, pieces)
        key_usage = chains.key_usage(certificate)
        if chains.is_ca(certificate):
            if key_usage is not None and not key_usage.key_cert_sign:
                yield _error(f"{side}.wrong_usage", piece, "a CA whose key usage lacks keyCertSign", "issue it anew")
            continue
        if key_usage is not None and not key_usage.digital_signature:
            yield _error(f"{side}.wrong_usage", piece, "key usage lacks digitalSignature, which ECDHE and TLS 1.3 need",
                         "issue it with digitalSignature")  # fmt: skip
        wanted = "clientAuth" if side == "client_certificate" else "serverAuth"
        usages = chains.usages(certificate)
        if usages and wanted not in usages and "anyExtendedKeyUsage" not in usages:
            yield _error(f"{side}.wrong_usage", piece, f"extended key usage is {', '.join(sorted(usages))}",
                         f"issue it with {wanted}")  # fmt: skip


def _identifiers(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    """The AT module's subject key identifier: 20 bytes, not 40 characters, and that of the CA."""
    wanted = [chains.subject_key_identifier(p.certificate) for p in pieces
              if p.certificate is not None and chains.is_ca(p.certificate)]  # fmt: skip
    for piece in pieces:
        if piece.what != "identifier":
            continue
        text = piece.form == "text"
        if text:
            yield _error(
                "at_module.identifier_not_binary", piece, "a key identifier as hexadecimal text",
                "send its 20 bytes: AT+S.TLSCERT=auth,20 (xxd -r -p)",
            )  # fmt: skip
        given = bytes.fromhex("".join(piece.der.decode("latin-1").replace(":", " ").strip("\0 \n").split())) if text \
            else piece.der  # fmt: skip
        if wanted and given not in wanted:
            yield _error("server_certificate.untrusted", piece, "the identifier is of none of the CAs here",
                         "openssl x509 -in CA -noout -ext subjectKeyIdentifier")  # fmt: skip
    if not context.facts.identifier:
        return
    for piece in pieces:
        if piece.certificate is None or not chains.is_ca(piece.certificate):
            continue
        identifier = chains.subject_key_identifier(piece.certificate)
        if not identifier:
            yield _error("server_certificate.unsupported", piece, "the CA has no subject key identifier",
                         f"{context.stack} finds a CA by it: issue the CA with one")  # fmt: skip
        elif piece.form == "pem" and not any(p.what == "identifier" for p in pieces):
            yield _warning(
                "at_module.identifier_not_binary", piece, "from PEM the module does not take the identifier by itself",
                f"send it: AT+S.TLSCERT=auth,20 and these bytes: {identifier.hex()}, or load the CA as DER",
            )  # fmt: skip


def _host(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    if not context.host:
        return
    for piece in pieces:
        certificate = piece.certificate
        if certificate is None or chains.is_ca(certificate) or _side(piece, pieces) == "client_certificate":
            continue
        names = chains.names(certificate)
        if not any(chains.matches(name, context.host) for name in names):
            yield _error(
                "server_certificate.name_mismatch", piece, f"is for {', '.join(names) or 'nobody'}, not {context.host}",
                f"connect by a name of the certificate, or issue it with DNS:{context.host}",
            )  # fmt: skip


def _size(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    """A Certificate message against the receive buffer: the chain as one file holds it."""
    bound = context.buffer or context.facts.buffer
    if not bound:
        return
    for blob in dict.fromkeys(p.blob for p in pieces):
        chain = [p for p in pieces if p.blob == blob and p.certificate is not None]
        if not chain or all(chains.is_ca(p.value) for p in chain):
            continue
        size = MESSAGE + sum(ENTRY + len(p.der) for p in chain)
        if size > bound:
            yield _error("server_certificate.too_large", chain[0],
                         f"its Certificate message has {size} bytes, the buffer {bound}",
                         f"give the stack a buffer of at least {size} bytes, or send a shorter chain")  # fmt: skip


def _algorithms(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    facts = context.facts
    for piece in pieces:
        certificate = piece.certificate
        if certificate is None:
            continue
        signature = certificate.signature_algorithm_oid._name
        key = certificate.public_key()
        if "pss" in signature.lower() and not facts.pss:
            yield _error("server_certificate.unsupported", piece, f"signed with RSASSA-PSS: {context.stack} has none",
                         "issue it with sha256WithRSAEncryption or ECDSA")  # fmt: skip
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in facts.curves:
            yield _error("server_certificate.unsupported", piece, f"curve {key.curve.name}",
                         f"{context.stack} verifies {', '.join(facts.curves)}")  # fmt: skip
        elif not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            yield _error("server_certificate.unsupported", piece, f"a {type(key).__name__.strip('_')} key",
                         f"{context.stack} verifies RSA and ECDSA")  # fmt: skip
        leaf = not chains.is_ca(certificate)
        if context.tls == "1.3" and leaf and isinstance(key, rsa.RSAPublicKey) and not facts.pss:
            yield _error(
                "tls.no_common_signature_algorithm", piece,
                f"an RSA certificate in TLS 1.3 is used with RSASSA-PSS, which {context.stack} lacks",
                "use ECDSA certificates (P-256), or TLS 1.2",
            )  # fmt: skip
        if "md5" in signature.lower() or "sha1" in signature.lower():
            if chains.self_signed(certificate):
                continue  # nobody verifies a root's own signature
            yield _warning("client_certificate.weak" if _side(piece, pieces) == "client_certificate"
                           else "server_certificate.unsupported", piece, f"signed with {signature}",
                           "OpenSSL 3 and TLS 1.3 refuse it: issue it with SHA-256")  # fmt: skip
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
            yield _warning("client_certificate.weak" if _side(piece, pieces) == "client_certificate"
                           else "server_certificate.unsupported", piece, f"RSA of {key.key_size} bits",
                           "2048 bits at least")  # fmt: skip
    if context.suite.upper().endswith("SHA384") and not facts.sha384 and pieces:
        yield _error("tls.no_common_cipher_suite", pieces[0],
                     f"{context.suite}: {context.stack} has no SHA-384 handshake",
                     "let the broker take ECDHE-RSA-AES128-GCM-SHA256 or its ECDSA twin too")  # fmt: skip


def _calls(pieces: Sequence[Piece], calls: Sequence[Call], context: Context) -> Iterator[Problem]:
    """NetX source: the key-type constant against the key, and which store a certificate is put into."""
    by_name = {p.blob.name: p for p in pieces if p.blob.name}
    with_key: set[str] = set()
    for call in calls:
        where = f"{call.path}: {call.function}"
        if call.function == "nx_secure_x509_certificate_initialize" and len(call.arguments) == 8:
            certificate, key, constant = call.arguments[0], call.arguments[5], call.arguments[7]
            if key not in ("NULL", "NX_NULL", "0"):
                with_key.add(certificate)
            piece = by_name.get(key)
            if piece is None or piece.what != "private key":
                continue
            kind = "rsa" if isinstance(piece.value, rsa.RSAPrivateKey) else "ec"
            wanted = context.facts.key_constant.get(kind, "")
            if wanted and constant != wanted:
                yield Problem(cause="client_key.wrong_format", severity="error", where=where,
                              what=f"{key} is an {kind.upper()} key, and its type is given as {constant}",
                              fix=f"give {wanted}")  # fmt: skip
        elif call.function == "nx_secure_tls_trusted_certificate_add" and len(call.arguments) == 2 \
                and call.arguments[1] in with_key:  # fmt: skip
            yield Problem(
                cause="client_certificate.wrong_store", severity="error", where=where,
                what=f"{call.arguments[1]} has a private key and is added as trusted: the device then sends none",
                fix="nx_secure_tls_local_certificate_add() for the device's own certificate",
            )  # fmt: skip


def _chain(pieces: Sequence[Piece], context: Context) -> Iterator[Problem]:
    """Order inside a file, and whether each leaf leads to a CA that is here."""
    for blob in dict.fromkeys(p.blob for p in pieces):
        row = [p for p in pieces if p.blob == blob and p.certificate is not None]
        if len(row) > 1 and not chains.is_ca(row[-1].value) and any(chains.is_ca(p.value) for p in row):
            yield _error("server_certificate.chain_incomplete", row[0], "the leaf stands behind its CAs",
                         "leaf first, then each issuer")  # fmt: skip
            continue
        leaf_first = bool(row) and not chains.is_ca(row[0].value)
        for one, following in itertools.pairwise(row):
            if leaf_first and one.value.issuer != following.value.subject:
                yield _error("server_certificate.chain_incomplete", following,
                             f"{chains.short(following.value.subject)} is not the issuer of what stands before it",
                             "leaf first, then each issuer")  # fmt: skip
    cas: list[x509.Certificate] = [p.value for p in pieces if p.certificate is not None and chains.is_ca(p.value)]
    for piece in pieces if cas else ():
        if piece.certificate is None or chains.self_signed(piece.certificate):
            continue
        side = _side(piece, pieces)
        same_name = [ca for ca in cas if ca.subject == piece.certificate.issuer]
        if any(chains.signed_by(piece.certificate, ca) for ca in same_name):
            continue
        issuer = chains.short(piece.certificate.issuer)
        if same_name:
            cause = "server_certificate.bad_signature" if side == "server_certificate" else f"{side}.untrusted"
            yield _error(cause, piece, f"a CA of the name {issuer} is here, with another key",
                         "load the CA that issued it")  # fmt: skip
        else:
            ours = side == "server_certificate"
            severity = _error if ours else _warning
            theirs = "it is the broker that must trust it; name it here to check the chain"
            fix = "load the CA that issued it" if ours else theirs
            yield severity(f"{side}.untrusted", piece, f"issued by {issuer}, which is not among the CAs here", fix)


CHECKS: tuple[Check, ...] = (
    _container, _keys, _identifiers, _chain, _dates, _usage, _host, _size, _algorithms,
)  # fmt: skip
