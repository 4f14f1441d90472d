"""Every kind of session OpenSSL can speak, against tshark: versions, suites, extensions, key update, renegotiation,
early data, pre-shared keys. One session a row; all go into one capture."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.wire import decode
from tests.wire.captures import Packet, pcap
from tests.wire.sessions import CONNECT, packets, run, run_all
from tests.wire.tshark import TSHARK, frames, tshark

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

OLD = ["-cipher", "ALL:COMPLEMENTOFALL@SECLEVEL=0"]


def suite(name: str, cert: str = "rsa", *more: str) -> tuple[list[str], list[str], dict[str, Any]]:
    """A TLS 1.2 suite of both sides."""
    args = ["-tls1_2", "-cipher", f"{name}:@SECLEVEL=0", *more]
    return args, ["-tls1_2", "-cipher", f"{name}:@SECLEVEL=0", *more], {"cert": cert}


def suite13(name: str, *more: str) -> tuple[list[str], list[str], dict[str, Any]]:
    return ["-tls1_3", "-ciphersuites", name], ["-tls1_3", *more], {"cert": "ec"}


PSK = ["-psk", "00112233445566778899aabbccddeeff"]

SESSIONS: dict[str, tuple[list[str], list[str], dict[str, Any]]] = {
    "1.2 aes128-gcm rsa": suite("ECDHE-RSA-AES128-GCM-SHA256"),
    "1.2 aes256-gcm ec": suite("ECDHE-ECDSA-AES256-GCM-SHA384", "ec"),
    "1.2 chacha": suite("ECDHE-RSA-CHACHA20-POLY1305"),
    "1.2 ccm": suite("ECDHE-ECDSA-AES128-CCM", "ec"),
    "1.2 ccm8": suite("ECDHE-ECDSA-AES128-CCM8", "ec"),
    "1.2 aes256-ccm8": suite("ECDHE-ECDSA-AES256-CCM8", "ec"),
    "1.2 static rsa": suite("AES128-GCM-SHA256"),
    "1.2 dhe": suite("DHE-RSA-AES128-GCM-SHA256"),
    "1.2 cbc sha1 etm": suite("ECDHE-RSA-AES128-SHA"),
    "1.2 cbc sha1 mte": suite("ECDHE-RSA-AES256-SHA", "rsa", "-no_etm"),
    "1.2 cbc sha256 mte": suite("AES256-SHA256", "rsa", "-no_etm"),
    "1.2 cbc sha384 etm": suite("ECDHE-RSA-AES256-SHA384"),
    "1.2 camellia": suite("CAMELLIA128-SHA"),
    "1.2 aria-gcm": suite("ARIA128-GCM-SHA256"),
    "1.2 null": suite("NULL-SHA256"),
    "1.2 psk": ([*PSK, "-nocert", "-tls1_2"], ["-tls1_2", *PSK], {"cert": "none"}),
    "1.1 cbc": (["-tls1_1", *OLD], ["-tls1_1", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"], {}),
    "1.0 cbc": (["-tls1", *OLD], ["-tls1", "-cipher", "AES256-SHA:@SECLEVEL=0"], {}),
    "1.0 cbc mte": (["-tls1", *OLD, "-no_etm"], ["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"], {}),
    "1.2 renegotiation": (
        ["-tls1_2", "-legacy_renegotiation", "-client_renegotiation"],
        ["-tls1_2"],
        {"commands": [b"R\n"]},
    ),
    "1.2 mutual": (["-tls1_2", "-Verify", "1"], ["-tls1_2", "-cert", "@rsa", "-key", "@rsa"], {}),
    "1.2 small fragments": (["-tls1_2", "-max_send_frag", "600"], ["-tls1_2", "-maxfraglen", "1024"], {}),
    "1.2 alpn, status": (["-tls1_2", "-alpn", "mqtt"], ["-tls1_2", "-alpn", "mqtt,x", "-status"], {}),
    "1.3 aes128": suite13("TLS_AES_128_GCM_SHA256"),
    "1.3 aes256": suite13("TLS_AES_256_GCM_SHA384"),
    "1.3 chacha": suite13("TLS_CHACHA20_POLY1305_SHA256"),
    "1.3 ccm": suite13("TLS_AES_128_CCM_SHA256", "-ciphersuites", "TLS_AES_128_CCM_SHA256"),
    "1.3 ccm8": suite13("TLS_AES_128_CCM_8_SHA256", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"),
    "1.3 retry": (["-tls1_3", "-groups", "P-384"], ["-tls1_3", "-groups", "P-256:P-384"], {}),
    "1.3 padded": (["-tls1_3", "-record_padding", "64"], ["-tls1_3", "-record_padding", "128"], {}),
    "1.3 key update": (["-tls1_3"], ["-tls1_3"], {"commands": [b"K\n", b"k\n", b"K\n"]}),
    "1.3 mutual": (["-tls1_3", "-Verify", "1"], ["-tls1_3", "-cert", "@ec", "-key", "@ec"], {}),
    "1.3 no middlebox": (["-tls1_3", "-no_middlebox"], ["-tls1_3", "-no_middlebox"], {}),
    "1.3 psk": ([*PSK, "-nocert", "-tls1_3"], ["-tls1_3", *PSK], {"cert": "none"}),
    "1.3 alpn": (["-tls1_3", "-alpn", "mqtt"], ["-tls1_3", "-alpn", "mqtt"], {}),
    "1.3 small fragments": (["-tls1_3", "-max_send_frag", "512"], ["-tls1_3"], {}),
    "no shared suite": (["-tls1_2", "-cipher", "AES128-SHA"], ["-tls1_2", "-cipher", "AES256-SHA"], {}),
    "no shared version": (["-tls1_3"], ["-tls1_2"], {}),
}


# A first session and one that takes it up again: with a ticket, a session id, a PSK, and with early data.
RESUMED: dict[str, tuple[list[str], list[str], list[str]]] = {
    "1.2 ticket": (["-tls1_2"], ["-sess_out", "@a"], ["-sess_in", "@a"]),
    "1.2 session id": (["-tls1_2", "-no_ticket"], ["-sess_out", "@b"], ["-sess_in", "@b"]),
    "1.3 ticket": (["-tls1_3"], ["-sess_out", "@c"], ["-sess_in", "@c"]),
    "1.3 early": (["-tls1_3", "-early_data"], ["-sess_out", "@d"], ["-sess_in", "@d", "-early_data", "@early"]),
}
UNREAD = {"1.2 aria-gcm"}  # by tshark 4.0, whose library lacks ARIA


@dataclass(frozen=True)
class Sessions:
    capture: Path
    keys: Path
    names: list[str]  # of each frame
    numbers: dict[str, int]  # connection of each session


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    folder = tmp_path_factory.mktemp("sessions")
    out: list[Packet] = []
    names: list[str] = []
    keys, start = "", 1_750_000_000 * 10**9
    numbers: dict[str, int] = {}
    for number, (name, (server, client, more)) in enumerate(SESSIONS.items(), 1):
        args = [str(folder / f"{arg[1:]}.pem") if arg.startswith("@") else arg for arg in client]
        recording = run(folder, server, args, **more)
        keys += recording.keys
        made = packets(recording, start, number)
        numbers[name] = number
        start = made[-1].t + 10**9
        out += made
        names += [name] * len(made)
    (folder / "s.early").write_bytes(CONNECT)
    for name, (server, first, second) in RESUMED.items():
        number = len(numbers) + 1
        both = [[arg.replace("@", str(folder / "s.")) for arg in client] for client in (first, second)]
        for extra, recording in zip(("", " again"), run_all(folder, server, both), strict=True):
            keys += recording.keys
            made = packets(recording, start, number)
            numbers[name + extra] = number
            start = made[-1].t + 10**9
            number += 1
            out += made
            names += [name + extra] * len(made)
    capture, keylog = folder / "sessions.pcap", folder / "all.keys"
    capture.write_bytes(pcap(out))
    keylog.write_text(keys)
    return Sessions(capture, keylog, names, numbers)


@pytest.mark.skipif(not TSHARK, reason="tshark is not installed")
@pytest.mark.parametrize("keyed", [False, True], ids=["sealed", "keys"])
def test_same_as_tshark(sessions: Sessions, keyed: bool) -> None:
    keylog = sessions.keys if keyed else None
    theirs, ours = tshark(sessions.capture, keylog), frames(decode(sessions.capture, keylog=keylog))
    found = [
        f"frame {n} ({sessions.names[n - 1]}): tshark {theirs.get(n)}, hil-wire {ours.get(n)}"
        for n in sorted(theirs.keys() | ours.keys())
        if theirs.get(n) != ours.get(n) and sessions.names[n - 1] not in (UNREAD if keyed else ())
    ]
    assert not found, "\n".join(found[:20])


REFUSED = {"no shared suite", "no shared version"}


@pytest.fixture(scope="module")
def opened(sessions: Sessions) -> dict[str, list[dict[str, Any]]]:
    """Events with keys, by session."""
    by_number: dict[int, list[dict[str, Any]]] = {}
    for event in decode(sessions.capture, keylog=sessions.keys):
        if "conn" in event:
            by_number.setdefault(event["conn"], []).append(event)
    return {name: by_number[number] for name, number in sessions.numbers.items()}


def test_taken_up_again(opened: dict[str, list[dict[str, Any]]]) -> None:
    def events(name: str, kind: str) -> list[dict[str, Any]]:
        return [e for e in opened[name] if e["ev"] == kind]

    for name in RESUMED:
        again = f"{name} again"
        assert not events(again, "certificate"), name
        assert not events(again, "sealed"), name
        assert events(name, "certificate"), name
        close = events(again, "close")[0]
        assert (close["decrypted"], close["keys"], close["handshake"]) == (True, "matched", "complete"), name
        if name.startswith("1.2"):
            assert events(again, "server_hello")[0]["resumed"] is True, name
        else:
            assert events(again, "server_hello")[0]["psk"] == 0, name
            assert events(again, "client_hello")[0]["psk"] is True, name
    early = opened["1.3 early again"]
    assert next(e for e in early if e["ev"] == "client_hello")["early_data"] is True
    kinds = [e["ev"] for e in early]
    assert kinds.index("end_of_early_data") > kinds.index("encrypted_extensions")
    assert kinds.index("mqtt") < kinds.index("server_hello")


@pytest.mark.parametrize("name", [name for name in SESSIONS if name not in REFUSED])
def test_everything_opens(opened: dict[str, list[dict[str, Any]]], name: str) -> None:
    events = opened[name]
    close = next(e for e in events if e["ev"] == "close")
    mqtt = [(e["dir"], e["type"]) for e in events if e["ev"] == "mqtt"]
    if name == "1.2 renegotiation":  # s_client may end before its second handshake has
        mqtt.append(("c", "PUBLISH"))
    assert sorted(set(mqtt)) == [("c", "CONNECT"), ("c", "PUBLISH"), ("s", "CONNACK")]
    assert not [e for e in events if e["ev"] == "sealed"]
    assert (close["keys"], close["decrypted"], close["handshake"]) == ("matched", True, "complete")
    assert close["version"] == {"1.0": "0301", "1.1": "0302", "1.2": "0303", "1.3": "0304"}[name[:3]]
    finished = [e["dir"] for e in events if e["ev"] == "finished"]
    assert sorted(set(finished)) == ["c", "s"]


def test_what_is_special_is_told(opened: dict[str, list[dict[str, Any]]]) -> None:
    def events(name: str, kind: str) -> list[dict[str, Any]]:
        return [e for e in opened[name] if e["ev"] == kind]

    assert len(events("1.3 key update", "key_update")) >= 3
    assert [e["hrr_retry"] for e in events("1.3 retry", "client_hello")] == [False, True]
    assert [e["hrr"] for e in events("1.3 retry", "server_hello")] == [True, False]
    assert events("1.3 retry", "server_hello")[0]["retry_group"] == 24
    assert len(events("1.2 renegotiation", "client_hello")) == 2
    assert events("1.2 renegotiation", "client_hello")[1]["renegotiation"] is True
    assert events("1.2 psk", "server_hello")[0]["suite_name"].find("PSK") > 0
    assert events("1.3 psk", "server_hello")[0]["psk"] == 0
    assert events("1.3 alpn", "encrypted_extensions")[0]["alpn"] == "mqtt"
    assert events("1.2 alpn, status", "client_hello")[0]["status_request"] is True
    assert [e["dir"] for e in events("1.2 mutual", "certificate")] == ["s", "c"]
    assert [e["count"] for e in events("1.3 mutual", "certificate")] == [1, 1]
    assert events("1.2 small fragments", "client_hello")[0]["max_fragment_length"] == 2
    assert max(e["records"] for e in events("1.2 small fragments", "certificate")) > 1
    assert events("1.2 dhe", "server_key_exchange")[0]["kind"] == "dhe"
    assert not events("1.2 static rsa", "server_key_exchange")
    assert [e["code"] for e in events("no shared suite", "alert")] == [40]
    assert [e["code"] for e in events("no shared version", "alert")] == [70]


def test_keys_of_other_sessions_are_wrong_or_none_and_open_nothing(sessions: Sessions, tmp_path: Path) -> None:
    """Secrets swapped between the connections: every one has a line, none fits."""
    lines = [line.split() for line in sessions.keys.read_text().splitlines() if line and line[0] != "#"]
    swapped = tmp_path / "swapped.keys"
    by_label: dict[tuple[str, int], list[list[str]]] = {}
    for line in lines:
        by_label.setdefault((line[0], len(line[2])), []).append(line)
    text = ""
    for group in by_label.values():
        secrets = [line[2] for line in group]
        for line, secret in zip(group, secrets[1:] + secrets[:1], strict=True):
            text += f"{line[0]} {line[1]} {secret}\n" if secret != line[2] else ""
    swapped.write_text(text)
    events = decode(sessions.capture, keylog=swapped)
    closes = [e for e in events if e["ev"] == "close"]
    assert {e["keys"] for e in closes} <= {"wrong", "none", "matched"}
    assert not [e for e in closes if e["decrypted"]]
    assert len([e for e in closes if e["keys"] == "wrong"]) > 20
    assert not [e for e in events if e["ev"] in ("mqtt", "app", "finished")]
