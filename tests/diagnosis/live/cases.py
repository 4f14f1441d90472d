"""The cases with their truth: certificates, and what both sides offer. The rest: `cases_wire.py`, `cases_mqtt.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.diagnosis.live.case import Case, Script, Table, Wire
from tests.diagnosis.live.clients import STACKS, gnutls, mbed, mosq, ossl, paho, wolf

T = "tls."
S = "server_certificate."
C = "client_certificate."
SEALED = ("wolf", "gnutls")  # stacks whose alerts are encrypted in TLS 1.3


def table() -> dict[str, Case]:
    from tests.diagnosis.live import cases_more, cases_mqtt, cases_netx, cases_wire

    made = Table()
    for source in (good(), server_certificates(), device_certificates(), negotiation(), accepted()):
        for case in source:
            made.add(case)
    for case in [c for part in (cases_wire, cases_mqtt, cases_more, cases_netx) for c in part.all_cases()]:
        made.add(case)
    return made.cases


def good() -> Iterator[Case]:
    for stack, v, client in STACKS:
        for server in ("s-rsa2048", "s-p256", "s-p384", "s-rsa4096", "s-chain", "s-bigchain"):
            yield Case(f"ok-{server[2:]}-{v}-{stack}", client(v), server=server)
        for device in ("d-good", "d-ec"):
            yield Case(
                f"ok-mtls-{device[2:]}-{v}-{stack}", client(v, cert=device), conf=("require_certificate true",),
            )
        yield Case(
            f"ok-crl-{v}-{stack}", client(v, cert="d-good"),
            conf=("require_certificate true", "crlfile pki/rsa.crl"),
        )
    yield Case("ok-optional-cert-12-ossl", ossl("12"), conf=("require_certificate false",))
    yield Case("ok-nodelay-13-ossl", ossl("13"), conf=("set_tcp_nodelay true",))
    yield Case("ok-nosni-12-ossl", ossl("12", sni=""))
    yield Case("ok-nosni-13-ossl", ossl("13", sni=""))
    yield Case("sni-wrong-12-ossl", ossl("12", sni="nobody.example"))
    yield Case("sni-wrong-13-ossl", ossl("13", sni="nobody.example"))
    yield Case("ok-ccm-12-ossl", ossl("12", "-cipher", "ECDHE-ECDSA-AES128-CCM8"), server="s-p256",
               conf=("ciphers ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0",))
    yield Case("ok-ccm-13-ossl", ossl("13", "-ciphersuites", "TLS_AES_128_CCM_SHA256"),
               conf=("ciphers_tls1.3 TLS_AES_128_CCM_SHA256",))
    yield Case("ok-chacha-13-ossl", ossl("13", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"))
    yield Case("ok-chacha-12-ossl", ossl("12", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"))
    yield Case("ok-hrr-13-ossl", ossl("13", "-groups", "X25519:P-384"), openssl=("Groups = P-384",))
    yield Case("ok-hrr-mtls-13-ossl", ossl("13", "-groups", "X25519:P-384", cert="d-good"), openssl=("Groups = P-384",),
               conf=("require_certificate true",))
    yield Case("group-noshared-12-mbed", mbed(curve="3"), openssl=("Groups = P-384",))
    yield Case("mosq-tlsv12-option-is-minimum", mosq("", "--tls-version", "tlsv1.2"), conf=("tls_version tlsv1.3",))
    yield Case("ca-der-as-file-12-mbed", mbed(ca="pki/ca-rsa.der"))
    yield Case("ok-sha1-12-mbed", mbed(sig="4"), openssl=("CipherString = DEFAULT@SECLEVEL=0",))


BAD_SERVERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("expired", "s-expired", (S + "expired",)),
    ("future", "s-future", (S + "not_yet_valid", "device.clock_unset")),
    ("wronghost", "s-wronghost", (S + "name_mismatch",)),
    ("unknownca", "s-unknown", (S + "untrusted", S + "chain_incomplete")),
    ("nochain", "s-nochain", (S + "chain_incomplete", S + "untrusted")),
    ("clienteku", "s-clienteku", (S + "wrong_usage",)),
    ("selfsigned", "s-self", (S + "untrusted",)),
    ("twinca", "s-twin", (S + "bad_signature", S + "untrusted")),
)


def server_certificates() -> Iterator[Case]:
    for name, server, causes in BAD_SERVERS:
        for stack, v, client in STACKS:
            wire: Wire = "no" if v == "13" else "yes"
            if v == "13" and name in ("unknownca", "nochain", "expired", "clienteku") and stack not in SEALED:
                wire = "yes"
            if (stack in SEALED and name not in ("expired", "nochain")) or name == "twinca":
                wire = "no" if v == "13" else "probable"
            yield Case(f"scert-{name}-{v}-{stack}", client(v), causes, server=server, wire=wire)
    for stack, v, client in STACKS:
        if stack not in ("gnutls",):
            yield Case(f"scert-wrongca-on-device-{v}-{stack}", client(v, ca="pki/ca-other.crt"), (S + "untrusted",),
                       wire="probable")
    yield Case("scert-hugechain-12-mbed", mbed(), server="s-hugechain", wire="probable",
               causes=(T + "handshake_fragmentation_unsupported", S + "too_large"))
    for v in ("12", "13"):
        yield Case(f"scert-hugechain-{v}-wolf", wolf(v), server="s-hugechain", wire="probable",
                   causes=(S + "too_large", T + "handshake_fragmentation_unsupported", T + "record_too_large"))
        yield Case(f"scert-hugechain-{v}-ossl", ossl(v), server="s-hugechain")
        yield Case(f"ca-none-{v}-wolf", wolf(v, ca=""), (S + "untrusted",), wire="probable" if v == "12" else "no")
        yield Case(f"ca-der-as-pem-{v}-wolf", wolf(v, ca="pki/ca-rsa.der"), wire="probable" if v == "12" else "no",
                   causes=(S + "untrusted", "certificate.wrong_format"))
    yield Case("ca-none-12-mbed", mbed(ca=""), (S + "untrusted",), wire="probable")
    yield Case("ca-pem-nonul-12-mbed", mbed(ca_nonul="1"), ("certificate.wrong_format", S + "untrusted"),
               wire="no")
    yield Case("ca-missing-file-12-mosq", mosq("12", ca="pki/none.crt"),
               (T + "closed_by_device", "network.no_traffic", "certificate.wrong_format", S + "untrusted"), wire="no")
    yield Case("ca-der-as-file-12-mosq", mosq("12", ca="pki/ca-rsa.der"),
               (T + "closed_by_device", "certificate.wrong_format", "network.no_traffic", S + "untrusted"), wire="no")
    for mfl, server, right in (("1", "s-rsa2048", False), ("2", "s-rsa2048", False), ("3", "s-rsa2048", True),
                               ("2", "s-p256", True), ("1", "s-p256", False), ("4", "s-rsa2048", True)):
        size = 256 << int(mfl)
        causes = () if right else (T + "handshake_fragmentation_unsupported",)
        yield Case(f"mfl-{size}-{server[2:]}-12-mbed", mbed(mfl=mfl), causes, server=server, wire="probable")


BAD_DEVICES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("none", "", (C + "missing",), ()),
    ("wrongca", "d-wrongca", (C + "untrusted",), ()),
    ("expired", "d-expired", (C + "expired",), ()),
    ("future", "d-future", (C + "not_yet_valid",), ()),
    ("servereku", "d-servereku", (C + "wrong_usage",), ()),
    ("rsa1024", "d-rsa1024", (C + "weak",), ()),
    ("sha1", "d-sha1", (C + "weak",), ()),
    ("nochain", "d-nochain", (C + "untrusted",), ()),
    ("mismatch", "d-mismatch", ("client_key.mismatch",), ()),
    ("mismatchtype", "d-mismatchtype", ("client_key.mismatch",), ()),
    ("revoked", "d-revoked", (C + "revoked",), ("crlfile pki/rsa.crl",)),
    ("crlexpired", "d-good", (C + "crl_expired",), ("crlfile pki/rsa-expired.crl",)),
    ("crlmissing", "d-ec", (C + "crl_missing", C + "untrusted"), ("crlfile pki/rsa.crl",)),
)


def device_certificates() -> Iterator[Case]:
    for name, device, causes, conf in BAD_DEVICES:
        for stack, v, client in STACKS:
            if name.startswith("mismatch") and stack in ("ossl", "mosq", "paho", "gnutls"):
                continue  # they refuse to load it
            if name in ("rsa1024", "sha1") and stack != "ossl" and stack not in ("mbed", "gnutls", "wolf"):
                continue
            if name == "rsa1024" and stack == "wolf":
                continue
            words = {"cert": device} if device else {}
            wire: Wire = "no" if v == "13" else "yes"
            if name == "none":
                wire = "probable" if v == "13" else "yes"
            if v == "12" and name in ("crlexpired", "mismatch", "mismatchtype", "sha1"):
                wire = "probable"
            if stack == "ossl" and name in ("rsa1024", "sha1"):
                run = ossl(v, "-cipher", "DEFAULT@SECLEVEL=0", cert=device)
            else:
                run = client(v, **words)
            yield Case(f"ccert-{name}-{v}-{stack}", run, causes, wire=wire,
                       conf=("require_certificate true", *conf))


ECDSA = "ECDHE-ECDSA-AES128-GCM-SHA256"
CHACHA = "ECDHE-RSA-CHACHA20-POLY1305"
MBED_ECDSA = "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"
ONLY256 = ("ciphers ECDHE-RSA-AES256-GCM-SHA384",)
GNU12 = ":-CIPHER-ALL:+CHACHA20-POLY1305"


def negotiation() -> Iterator[Case]:
    suite = (T + "no_common_cipher_suite",)
    scheme = (T + "no_common_signature_algorithm",)
    either = (*suite, *scheme)
    group = (T + "no_common_group",)
    version = (T + "no_common_version",)
    p: Wire = "probable"
    for name, run in (
        ("12-ossl", ossl("12", "-cipher", CHACHA)),
        ("12-mosq", mosq("12", "--ciphers", CHACHA)),
        ("12-paho", paho("12", ciphers=CHACHA)),
        ("12-gnutls", gnutls("12", priority=GNU12)),
        ("12-mbed", mbed(suite="TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256")),
        ("12-wolf", wolf("12", ciphers=CHACHA)),
    ):
        yield Case(f"cipher-noshared-{name}", run, suite, conf=ONLY256, wire=p)
    only13 = ("ciphers_tls1.3 TLS_AES_256_GCM_SHA384",)
    for name, run in (
        ("13-ossl", ossl("13", "-ciphersuites", "TLS_AES_128_GCM_SHA256")),
        ("13-gnutls", gnutls("13", priority=":-CIPHER-ALL:+AES-128-GCM")),
        ("13-wolf", wolf("13", ciphers="TLS13-AES128-GCM-SHA256")),
    ):
        yield Case(f"cipher-noshared-{name}", run, suite, conf=only13, wire=p)
    for name, run in (
        ("12-ossl", ossl("12", "-cipher", ECDSA)),
        ("12-mosq", mosq("12", "--ciphers", ECDSA)),
        ("12-paho", paho("12", ciphers=ECDSA)),
        ("12-mbed", mbed(suite=MBED_ECDSA)),
        ("12-wolf", wolf("12", ciphers=ECDSA)),
        ("12-gnutls", gnutls("12", priority=":-KX-ALL:+ECDHE-ECDSA")),
    ):
        yield Case(f"cipher-ecdsaonly-rsacert-{name}", run, either, wire=p)
    rsa = "ECDHE-RSA-AES128-GCM-SHA256"
    for name, run in (
        ("12-ossl", ossl("12", "-cipher", rsa)),
        ("12-mosq", mosq("12", "--ciphers", rsa)),
        ("12-mbed", mbed(suite="TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256")),
        ("12-wolf", wolf("12", ciphers=rsa)),
        ("12-gnutls", gnutls("12", priority=":-KX-ALL:+ECDHE-RSA")),
    ):
        yield Case(f"cipher-rsaonly-eccert-{name}", run, either, server="s-p256", wire=p)
    yield Case("cipher-ecdsaonly-rsacert-13-mosq", mosq("", "--ciphers", ECDSA))  # --ciphers does not touch TLS 1.3
    yield Case("sigalg-rsaonly-eccert-13-ossl", ossl("13", "-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"), scheme,
               server="s-p256", wire=p)
    yield Case("sigalg-rsaonly-eccert-12-ossl", ossl("12", "-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"), either,
               server="s-p256", wire=p)
    yield Case("sigalg-ecdsaonly-rsacert-13-ossl", ossl("13", "-sigalgs", "ECDSA+SHA256"), scheme, wire=p)
    yield Case("sigalg-ecdsaonly-rsacert-12-ossl", ossl("12", "-sigalgs", "ECDSA+SHA256"), either, wire=p)
    yield Case("sigalg-rsapkcs1only-rsacert-13-ossl", ossl("13", "-sigalgs", "RSA+SHA256"), scheme, wire=p)
    yield Case("sigalg-rsapkcs1only-rsacert-12-ossl", ossl("12", "-sigalgs", "RSA+SHA256"))
    yield Case("sigalg-sha1only-rsacert-12-ossl", ossl("12", "-sigalgs", "RSA+SHA1", "-cipher", "DEFAULT@SECLEVEL=0"),
               either, wire=p)
    yield Case("sigalg-ecdsaonly-rsacert-13-gnutls", gnutls("13", priority=":-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256"),
               scheme, wire=p)
    yield Case("sigalg-ecdsaonly-rsacert-12-gnutls", gnutls("12", priority=":-SIGN-ALL:+SIGN-ECDSA-SHA256"), either,
               wire=p)
    yield Case("sigalg-rsaonly-eccert-13-wolf", wolf("13", sigalgs="RSA-PSS+SHA256"), scheme, server="s-p256",
               wire=p)
    yield Case("sigalg-sha1only-12-mbed", mbed(sig="4"), either, wire=p)
    ecdhe = ("ciphers ECDHE",)
    for name, run in (
        ("12-ossl", ossl("12", "-groups", "X25519")),
        ("12-paho", paho("12", curve="X25519")),
        ("12-mbed", mbed(curve="9")),
        ("12-gnutls", gnutls("12", priority=":-GROUP-ALL:+GROUP-X25519")),
    ):
        yield Case(f"group-noshared-ecdhe-{name}", run, (*group, *suite) if "mbed" in name else group,
                   conf=ecdhe, openssl=("Groups = P-384",), wire=p)
    for name, run in (
        ("13-ossl", ossl("13", "-groups", "X25519")),
        ("13-gnutls", gnutls("13", priority=":-GROUP-ALL:+GROUP-X25519")),
        ("13-wolf", wolf("13", group="23")),
    ):
        yield Case(f"group-noshared-{name}", run, group, openssl=("Groups = P-384",), wire=p)
    yield Case("group-eccert-curve-12-ossl", ossl("12", "-groups", "X25519:P-256"), (*group, *suite), server="s-p384",
               wire=p)
    yield Case("group-eccert-curve-12-mbed", mbed(curve="3"), (*group, *suite), server="s-p384", wire=p)
    max12 = ("MaxProtocol = TLSv1.2",)
    only = ("tls_version tlsv1.3",)
    for stack, v, client in STACKS:
        if v == "13":
            yield Case(f"ver-client13-broker12only-{stack}", client("13"), version, openssl=max12)
        else:
            yield Case(f"ver-client12-broker13-{stack}", client("12"), version, conf=only)
    low = ("-cipher", "DEFAULT@SECLEVEL=0")
    yield Case("ver-client11-broker12-ossl", ossl("11", *low), version, conf=("tls_version tlsv1.2",))
    yield Case("ver-client11-default-ossl", ossl("11", *low), version)
    yield Case("ver-client10-default-ossl", ossl("10", *low), version)
    yield Case("ver-client10-broker12-mbed", mbed(max="1"), version, conf=("tls_version tlsv1.2",))
    yield Case("ver-client11-default-mbed", mbed(max="2"), version)
    psk = ("psk_hint hil", "psk_file psk", "allow_anonymous true")
    good_psk, bad = "01" * 16, "02" * 16
    for v, low in (("12", ("-cipher", "PSK-AES128-GCM-SHA256")), ("13", ("-ciphersuites", "TLS_AES_128_GCM_SHA256"))):
        for name, identity, key, causes, wire in (
            ("good", "dev1", good_psk, (), "yes"),
            ("unknownid", "nobody", good_psk, (T + "psk_unknown_identity",), "yes" if v == "12" else "probable"),
            ("wrongkey", "dev1", bad, (T + "psk_wrong_key",), "probable"),
        ):
            run = ossl(v, "-psk", key, "-psk_identity", identity, *low, verify=False)
            yield Case(f"psk-{name}-{v}-ossl", run, causes, conf=psk, wire=wire)  # type: ignore[arg-type]
    for name, identity, key, causes in (
        ("good", "dev1", "1", ()),
        ("unknownid", "nobody", "1", (T + "psk_unknown_identity",)),
        ("wrongkey", "dev1", "2", (T + "psk_wrong_key",)),
    ):
        run = mbed(ca="", psk=key, identity=identity, suite="TLS-PSK-WITH-AES-128-GCM-SHA256")
        yield Case(f"psk-{name}-12-mbed", run, causes, conf=psk, wire="probable")
    yield Case("psk-on-certificate-broker-12-ossl", ossl("12", "-psk", good_psk, "-psk_identity", "dev1", "-cipher",
               "PSK-AES128-GCM-SHA256", verify=False), suite, wire=p)
    yield Case("psk-certificate-client-12-ossl", ossl("12", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), suite,
               conf=psk, wire=p)


def accepted() -> Iterator[Case]:
    """Clients that do not check: they connect, and that is the finding. It needs a certificate that can be read."""
    runs: tuple[tuple[str, str, Callable[[str], Script]], ...] = (
        ("wolf", "12", lambda n: wolf("12", noverify="1", noname="1")),
        ("wolf", "13", lambda n: wolf("13", noverify="1", noname="1")),
        ("mbed", "12", lambda n: mbed(noverify="1")),
        ("ossl", "12", lambda n: ossl("12", verify=False)),
        ("ossl", "13", lambda n: ossl("13", verify=False)),
        ("paho", "12", lambda n: paho("12", noverify="1", ca="")),
        ("gnutls", "12", lambda n: gnutls("12", verify=False)),
    )
    for stack, v, run in runs:
        for name, server, finding in (
            ("expired", "s-expired", "accepted_expired"),
            ("future", "s-future", "accepted_expired"),
            ("wronghost", "s-wronghost", "accepted_wrong_name"),
            ("selfsigned", "s-self", "accepted_untrusted"),
        ):
            if stack == "paho" and name == "wronghost":
                continue  # it calls localhost, as the certificate of this case does not say
            yield Case(f"noverify-{name}-{v}-{stack}", run(name), findings=(S + finding,), server=server)
        yield Case(f"noverify-good-{v}-{stack}", run("good"))
