"""mosquitto.conf as listeners; cipher strings as OpenSSL itself evaluates them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness import paths
from harness.errors import UsageError
from harness.evidence import broker_conf, openssl_names
from harness.model import Listener

CAPTURES = Path(os.environ.get("HIL_FIELD_CAPTURES", paths.ROOT / "tests" / "data" / "field-captures"))
HERE = Path("nowhere")


def only(text: str, ssl: str = "") -> Listener:
    found = broker_conf.parse(text, HERE, broker_conf.parse_openssl_conf(ssl) if ssl else None)
    assert len(found) == 1
    return found[0][2]


TLS = "listener 8883\ncertfile a\nkeyfile b\n"


def test_defaults_of_a_tls_listener() -> None:
    one = only(TLS)
    assert one.source == "config" and one.tls
    assert one.versions == ("1.2", "1.3")
    assert one.suites13 == (0x1302, 0x1303, 0x1301)
    assert one.suites12 is not None and len(one.suites12) == 27 and 0xC02F in one.suites12
    assert one.groups is None and one.sigalgs is None, "only OPENSSL_CONF could say"
    assert one.client_certificate == "none"
    assert one.password is True, "Mosquitto 2 refuses anonymous clients unless told otherwise"
    assert one.certificate_files == ()


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("tls_version tlsv1.3", "versions", ("1.3",)),
        ("tls_version tlsv1.1\nciphers DEFAULT:@SECLEVEL=0", "versions", ("1.1", "1.2", "1.3")),
        ("ciphers ECDHE-RSA-AES256-GCM-SHA384", "suites12", (0xC030,)),
        ("ciphers NOSUCH", "suites12", None),
        ("ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256", "suites13", (0x1303,)),
        ("require_certificate true", "client_certificate", "require"),
        ("crlfile x", "checks_crl", True),
        ("allow_anonymous true", "password", False),
        ("password_file p", "password", True),
        ("acl_file a", "acl", True),
        ("max_packet_size 1000", "max_packet", 1000),
        ("use_identity_as_username true", "identity_as_username", True),
    ],
)
def test_option(line: str, attribute: str, value: object) -> None:
    base = TLS if line.startswith("allow") else TLS + "allow_anonymous true\n"
    assert getattr(only(base + line + "\n"), attribute) == value
    assert getattr(only(base), attribute) != value, "the option changes nothing"


def test_old_versions_are_out_of_reach_at_the_default_security_level() -> None:
    assert only(TLS + "tls_version tlsv1.1\n").versions == ("1.2", "1.3")


def test_a_psk_listener_is_tls_with_suites_that_are_not_known() -> None:
    one = only("listener 8883\npsk_hint hint\npsk_file p\n")
    assert one.tls and one.suites12 is None and one.certificate_files == ()


def test_openssl_conf_beside() -> None:
    ssl = (
        "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = sys\n[sys]\nMaxProtocol = TLSv1.2\n"
        "Groups = P-384:X25519\nSignatureAlgorithms = ECDSA+SHA256:rsa_pss_rsae_sha256\n[other]\n"
        "MaxProtocol = TLSv1.1\n"
    )
    one = only(TLS, ssl)
    assert one.versions == ("1.2",)
    assert one.groups == (24, 29)
    assert one.sigalgs == (0x0403, 0x0804)
    unknown = broker_conf.parse_openssl_conf(
        "[system_default_sect]\nGroups = P-384:unheard_of\nMinProtocol = TLSv1.3\n"
    )
    assert unknown.groups is None and unknown.minimum == "1.3"


def test_several_listeners_and_whose_options_are_whose(tmp_path: Path) -> None:
    conf = tmp_path / "m.conf"
    for name in ("srv.crt", "ca.crt"):
        (tmp_path / name).write_text("x")
    conf.write_text(
        "# comment\nallow_anonymous false\nlistener 1883 127.0.0.1\nlistener 8883 10.0.0.1\n"
        "certfile srv.crt\ncafile ca.crt\ncrlfile none.crl\npassword_file p\n"
        "connection bridge\naddress 1.2.3.4:8883\nbridge_certfile x\n"
    )
    found = broker_conf.listeners(conf)
    assert [(bind, port, one.tls) for bind, port, one in found] == [
        ("127.0.0.1", 1883, False),
        ("10.0.0.1", 8883, True),
    ]
    assert all(one.password for _, _, one in found)
    tls = broker_conf.read(conf, 8883)
    assert tls.certificate_files == (tmp_path / "srv.crt",) and tls.ca_files == (tmp_path / "ca.crt",)
    assert tls.crl_files == () and tls.checks_crl is True
    assert broker_conf.read(conf) == tls, "without a port the TLS listener"
    assert broker_conf.read(conf, 1883).tls is False
    with pytest.raises(UsageError, match="no listener on port 9"):
        broker_conf.read(conf, 9)


def test_per_listener_settings() -> None:
    text = "per_listener_settings {}\nlistener 1\nallow_anonymous true\nlistener 2\nallow_anonymous false\n"
    own = broker_conf.parse(text.format("true"), HERE)
    assert [one.password for _, _, one in own] == [False, True]
    shared = broker_conf.parse(text.format("false"), HERE)
    assert [one.password for _, _, one in shared] == [True, True]


def test_without_a_listener_line_the_broker_is_open_and_local() -> None:
    ((bind, port, one),) = broker_conf.parse("persistence false\n", HERE)
    assert (bind, port, one.tls, one.password) == ("", 1883, False, False)


@pytest.mark.parametrize(
    "text", ["listener\n", "listener x\n", "listener 99999999\ncertfile a\n", "=\n\x01\n", "port x\n"]
)
def test_broken_lines_do_not_break_it(text: str) -> None:
    for _, port, _ in broker_conf.parse(text, HERE):
        assert 0 <= port <= 65535


def test_what_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="directory"):
        broker_conf.read(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        broker_conf.read(tmp_path / "none")
    (tmp_path / "bin").write_bytes(b"\0" * 100)
    with pytest.raises(UsageError, match="not a mosquitto"):
        broker_conf.read(tmp_path / "bin")


def test_every_configuration_of_the_shared_captures() -> None:
    files = sorted(CAPTURES.glob("*.conf"))
    assert len(files) >= 80
    for file in files:
        found = broker_conf.listeners(file)
        assert len(found) == 1, file.name
        one = found[0][2]
        assert one.tls == ("certfile" in file.read_text()), file.name
        assert (one.client_certificate == "require") == ("require_certificate true" in file.read_text()), file.name


CIPHERS = [
    "DEFAULT", "HIGH:!aNULL", "ECDHE+AESGCM:ECDHE+CHACHA20:!aRSA", "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-SHA:AES256-SHA",
    "HIGH:!aNULL:!kRSA:!SHA1:!SHA256:!SHA384:!PSK:!SRP", "EECDH+AESGCM:EDH+AESGCM:!DSS", "ALL:!eNULL:-SHA:+RSA",
    "ECDHE:!3DES:@STRENGTH", "kRSA+AES128", "TLSv1.2+HIGH:!PSK", "DHE:RSA:!CAMELLIA",
    "HIGH:MEDIUM:!RC4:!SEED", "aECDSA",
    "ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH", "AESCCM:ARIA", "CHACHA20:!ECDSA", "DEFAULT:!AES256:!DHE",
]  # fmt: skip


@pytest.mark.parametrize("text", CIPHERS)
def test_cipher_strings_mean_what_openssl_says(text: str) -> None:
    done = subprocess.run(
        ["openssl", "ciphers", "-s", "-tls1_2", "-V", text], capture_output=True, text=True, timeout=20, check=True
    )
    theirs = set()
    for line in done.stdout.splitlines():
        high, low = line.split()[0].split(",")
        code = int(high, 16) << 8 | int(low, 16)
        if code >> 8 != 0x13:
            theirs.add(code)
    ours = openssl_names.suites12(text)
    assert ours is not None and set(ours) == theirs
    assert len(ours) == len(set(ours))
