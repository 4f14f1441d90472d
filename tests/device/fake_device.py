#!/usr/bin/env python3
"""A device that misbehaves on request: it speaks the shim's protocol on `--uart-fd N`, as the native firmware does.

`SET fake.<what> <value>` chooses: lose (answers to swallow), cut (bytes to drop from the next line), noise (1: foreign
text around every event), glue (1: foreign text on the line before the marker), slow (bytes per second), flood (bytes
printed by RUN), end (how RUN ends: done, fault, watchdog, reboot, segv, exit, hang, silent).
"""

from __future__ import annotations

import binascii
import contextlib
import os
import select
import signal
import sys
import time
import zlib

FLOOD_LINE = b"W (9999) wifi: bcn_timeout, ap_probe_send_start, rssi -77 dBm\r\n"


class Device:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.seq = 0
        self.started = time.monotonic()
        self.fake: dict[str, str] = {}
        self.slots: dict[str, bytes] = {}
        self.heard = b""

    def write(self, data: bytes) -> None:
        rate = int(self.fake.get("slow", "0"))
        step = 32 if rate else len(data)
        for at in range(0, len(data), step or 1):
            part = data[at : at + step]
            while part:
                part = part[os.write(self.fd, part) :]
            if rate:
                time.sleep(step / rate)  # the wire's speed, not a wait for anything

    def event(self, name: str, /, **fields: object) -> None:
        ms = int((time.monotonic() - self.started) * 1000)
        body = f"@H1 {self.seq} {ms} {name} " + "".join(f"{key}={value} " for key, value in fields.items())
        self.seq += 1
        line = f"{body}*{binascii.crc_hqx(body.encode(), 0xFFFF):04x}\n".encode()
        cut = int(self.fake.pop("cut", "0"))
        if cut:
            line = line[: len(line) // 2] + line[len(line) // 2 + cut :]
        if self.fake.get("noise"):
            line = b"I (12) app: \xff\xfe\x1b[31mred\x07\r\n" + line + b"\x00\x80garbage\r\n"
        if self.fake.get("glue"):
            line = b"D (3) half a line " + line
        self.write(line)

    def answer(self, name: str, /, **fields: object) -> None:
        left = int(self.fake.get("lose", "0"))
        if left:
            self.fake["lose"] = str(left - 1)
            self.seq += 1
            return
        self.event(name, **fields)

    def read(self, timeout: float) -> bool:
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            data = b""
        if not data:
            sys.exit(0)
        self.heard += data
        return True

    def boot(self, reset: str) -> None:
        self.seq = 0
        self.event("boot", build="fake", board="fake", stack="none", proto=1, level="command", reset=reset)
        self.event("ready")

    def serve(self) -> None:
        self.boot("power")
        while True:
            while b"\n" not in self.heard:
                self.read(10.0)
            line, _, self.heard = self.heard.partition(b"\n")
            self.command(line)

    def command(self, line: bytes) -> None:
        body, _, crc = line.rpartition(b"*")
        words = body.decode(errors="replace").split()
        cmd = words[0] if words else "?"
        if binascii.crc_hqx(body, 0xFFFF) != int(crc or b"0", 16):
            self.answer("err", cmd=cmd, reason="crc")
        elif cmd == "SET":
            self.set(words[1], words[2] if len(words) > 2 else "")
        elif cmd == "PUT":
            self.put(words[1], int(words[2]))
        elif cmd == "RUN":
            self.answer("ok", cmd="RUN")
            self.run()
        elif cmd == "RESET":
            self.answer("ok", cmd="RESET")
            self.boot("software")

    def set(self, key: str, value: str) -> None:
        if key == "nonsense":
            self.answer("err", cmd="SET", key=key, reason="unknown")
            return
        self.answer("ok", cmd="SET", key=key)
        if key.startswith("fake."):
            self.fake[key[5:]] = value

    def put(self, name: str, length: int) -> None:
        self.answer("ok", cmd="PUT", name=name)
        while len(self.heard) < length:
            if not self.read(1.0):
                self.heard = b""
                self.event("err", cmd="PUT", name=name, reason="timeout")
                return
        data, self.heard = self.heard[:length], self.heard[length:]
        self.slots[name] = data
        crc = zlib.crc32(data)
        if self.fake.pop("corrupt", ""):
            crc ^= 1
        self.answer("put", name=name, len=length, crc32=f"{crc:08x}")

    def run(self) -> None:
        self.event("tcp", state="connected", rc=0, attempt=1)
        flood = int(self.fake.get("flood", "0"))
        block = FLOOD_LINE * 60
        for sent in range(0, flood, len(block)):
            self.write(block)
            if sent % (len(block) * 100) == 0:
                self.event("tick", state="tls")
        end = self.fake.get("end", "done")
        if end == "fault":
            self.event("fault", kind="hardfault", pc="08001234", lr="08000011", cfsr="00008200", hfsr=0, bfar=0)
        elif end == "watchdog":
            self.event("fault", kind="watchdog", pc="08001234", lr=0, cfsr=0, hfsr=0, bfar=0)
            self.boot("watchdog")
        elif end == "reboot":
            self.boot("pin")
        elif end == "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif end == "exit":
            print("out of luck", file=sys.stderr)
            sys.exit(3)
        elif end == "hang":
            while True:
                self.event("tick", state="tls")
                self.read(0.05)
        elif end == "silent":
            while True:
                self.read(10.0)
        else:
            self.event("done", result="ok", stage="script", rc=0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        Device(int(sys.argv[sys.argv.index("--uart-fd") + 1])).serve()
