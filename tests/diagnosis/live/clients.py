"""The clients: each function gives a script for `Case.run`. `v` is "12" or "13"."""

from __future__ import annotations

from collections.abc import Callable

from tests.diagnosis.live.bench import Stage, openssl_cnf
from tests.diagnosis.live.case import Script

HOST = "broker.test"
CA = "pki/ca-all.crt"
CONNECT = bytes.fromhex("101000044d5154540402003c00046f73736c")


def ossl(
    v: str, *more: str, ca: str = CA, cert: str = "", key: str = "", host: str = HOST, verify: bool = True,
    send: bytes = CONNECT, sni: str = HOST,
) -> Script:
    def run(stage: Stage) -> str:
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{stage.port}", "-quiet", "-no_ign_eof"]
        argv += ["-servername", sni] if sni else ["-noservername"]
        argv += [{"12": "-tls1_2", "13": "-tls1_3", "11": "-tls1_1", "10": "-tls1"}.get(v, "-tls1_2")] if v else []
        argv += ["-CAfile", ca] if ca else []
        if verify:
            argv += ["-verify_return_error", "-verify_hostname", host] if host else ["-verify_return_error"]
        argv += ["-cert", f"pki/{cert}.crt", "-key", f"pki/{key or cert}.key"] if cert else []
        out, err = stage.run(*argv, *more, send=send)
        return _hex(out) + err

    return run


def _hex(data: bytes) -> str:
    lines = []
    for at in range(0, min(len(data), 80), 16):
        row = data[at : at + 16]
        pairs = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{at:08x}: {pairs:<40} {text}\n")
    return "".join(lines)


def mosq(
    v: str, *more: str, ca: str = CA, cert: str = "", key: str = "", topic: str = "a/b", qos: int = 1,
    host: str = "localhost", max12: bool = False, program: str = "mosquitto_pub",
) -> Script:
    """libmosquitto. `--tls-version` is a minimum, so 1.2 needs MaxProtocol in the client's own openssl.cnf."""

    def run(stage: Stage) -> str:
        argv = [program, "-d", "-i", "mosq1", "-h", host, "-p", str(stage.port), "-t", topic, "-q", str(qos)]
        argv += ["-m", "hi"] if program == "mosquitto_pub" else ["-C", "1", "-W", "1"]
        argv += ["--cafile", ca] if ca else []
        argv += ["--cert", f"pki/{cert}.crt", "--key", f"pki/{key or cert}.key"] if cert else []
        env = {}
        if v == "12":
            cnf = stage.work / "client.cnf"
            cnf.write_text(openssl_cnf(("MaxProtocol = TLSv1.2",)))
            env["OPENSSL_CONF"] = str(cnf)
        elif v == "13":
            argv += ["--tls-version", "tlsv1.3"]
        out, err = stage.run(*argv, *more, env=env)
        return out.decode(errors="replace") + err

    return run


def paho(v: str, python: str = "", **words: str) -> Script:
    def run(stage: Stage) -> str:
        import sys

        given = {"ca": CA, "port": str(stage.port), **words}
        if "cert" in given:
            given.setdefault("key", f"pki/{given['cert']}.key")
            given["cert"] = f"pki/{given['cert']}.crt"
        argv = [f"{k}={w}" for k, w in given.items() if w]
        out, err = stage.run(python or sys.executable, "paho_client.py", f"version={v}", *argv)
        return out.decode(errors="replace") + err

    return run


def gnutls(
    v: str, *, ca: str = CA, cert: str = "", priority: str = "", verify: bool = True, host: str = HOST
) -> Script:
    def run(stage: Stage) -> str:
        wanted = f"NORMAL:-VERS-ALL:+VERS-TLS1.{v[1]}{priority}"
        argv = ["gnutls-cli", "--priority", wanted, "-p", str(stage.port), "--sni-hostname", HOST]
        argv += ["--x509cafile", ca] if ca else []
        argv += ["--verify-hostname", host] if verify else ["--no-ca-verification"]
        argv += ["--x509certfile", f"pki/{cert}.leaf.crt", "--x509keyfile", f"pki/{cert}.key"] if cert else []
        out, err = stage.run(*argv, "127.0.0.1", send=CONNECT)
        lines = (out.decode(errors="replace") + err).splitlines()
        kept = ("- Status", "- Description", "- Handshake", "- Peer", "***", "|<1>|", "- Server has")
        return "".join(f"{line}\n" for line in lines if line.strip().startswith(kept))

    return run


def _words(program: str, **words: str) -> Script:
    def run(stage: Stage) -> str:
        given = {"port": str(stage.port), "host": HOST, "ca": CA, **words}
        if "cert" in given:
            given.setdefault("key", f"pki/{given['cert']}.key")
            given["cert"] = f"pki/{given['cert']}.crt"
        out, err = stage.run(f"./{program}", *[f"{k}={w}" for k, w in given.items() if w])
        return out.decode(errors="replace") + err

    return run


def mbed(v: str = "12", **words: str) -> Script:
    return _words("mbed", **words)


def wolf(v: str, **words: str) -> Script:
    return _words("wolf", version=v, **words)


def sequence(*scripts: Script) -> Script:
    def run(stage: Stage) -> str:
        return "".join(script(stage) for script in scripts)

    return run


Maker = Callable[..., Script]
STACKS: tuple[tuple[str, str, Maker], ...] = (
    ("ossl", "12", ossl),
    ("ossl", "13", ossl),
    ("mosq", "12", mosq),
    ("mosq", "13", mosq),
    ("paho", "12", paho),
    ("paho", "13", paho),
    ("gnutls", "12", gnutls),
    ("gnutls", "13", gnutls),
    ("mbed", "12", mbed),
    ("wolf", "12", wolf),
    ("wolf", "13", wolf),
)
