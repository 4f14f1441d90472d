"""Sees the broker from outside, through its second listener: which messages arrived, and when; and talks to the device.

    with broker(profile, pki, workdir, watch=True) as running, watch(running) as watcher:
        watcher.publish("hil/down", b"hello", qos=1)
        seen = watcher.wait(lambda message: message.topic == "hil/up", timeout=5)

What the device's own connection carried is decided from the capture; this is the second witness. `clients()` comes
from the broker's log and is a hint for people, not evidence.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from harness.errors import LabError, UsageError
from harness.peer.mosquitto import RunningBroker

CONNECT_TIMEOUT = 10.0
PUBLISH_TIMEOUT = 5.0
CLIENT_ID = "hil-watcher"
MAX_MESSAGES = 10_000


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the broker passed it on. `t`: nanoseconds since 1970, when it arrived here."""

    t: int
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Watcher:
    """Subscribed to everything once the constructor is through. LabError when the broker does not play along."""

    def __init__(self, running: RunningBroker, filters: Sequence[str] = ("#",)) -> None:
        if running.watch_port is None:
            raise UsageError("this broker has no listener for a watcher", "start it with watch=True")
        self.messages: list[Message] = []
        self.lost = 0
        self._running = running
        self._filters = tuple(filters)
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._refused = ""
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=CLIENT_ID)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_socket_open = _no_delay
        try:
            self._client.connect("127.0.0.1", running.watch_port, keepalive=60)
            self._client.loop_start()
            if not self._ready.wait(CONNECT_TIMEOUT) or self._refused:
                why = self._refused or f"no answer within {CONNECT_TIMEOUT:.0f} s"
                raise LabError("lab.broker_failed", f"the watcher cannot subscribe: {why}", f"read {running.log}")
        except OSError as error:
            self.close()
            what = f"the watcher cannot connect: {error}"
            raise LabError("lab.broker_failed", what, f"read {running.log}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            self._ready.set()
            return
        client.subscribe([(name, 2) for name in self._filters])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._refused = ", ".join(refused)
        self._ready.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        seen = Message(
            t=time.time_ns(), topic=message.topic, payload=bytes(message.payload), qos=message.qos,
            retain=message.retain,
        )
        with self._changed:
            if len(self.messages) < MAX_MESSAGES:
                self.messages.append(seen)
            else:
                self.lost += 1
            self._changed.notify_all()

    def wait(self, wanted: Callable[[Message], bool], timeout: float, *, count: int = 1) -> list[Message]:
        """The messages `wanted` so far, as soon as there are `count`; after `timeout` seconds those that came."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [message for message in self.messages if wanted(message)]
                left = until - time.monotonic()
                if len(found) >= count or left <= 0:
                    return found
                self._changed.wait(left)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Sends to the device, and returns when the broker has it (QoS 0: when it is sent). Our own subscription sees
        it as well. LabError when the broker does not take it in PUBLISH_TIMEOUT seconds."""
        sent: MQTTMessageInfo = self._client.publish(topic, payload, qos=qos, retain=retain)
        if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            sent.wait_for_publish(PUBLISH_TIMEOUT)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS or not sent.is_published():
            raise LabError("lab.broker_failed", f"the broker did not take a message to {topic}",
                           f"read {self._running.log}")

    def clients(self) -> list[str]:
        """Client ids that the broker's log says were accepted, without our own, in order."""
        found = re.findall(
            r"New client connected from \S+ as (.*?) \((?:p\d, )?c\d", self._running.log.read_text(errors="replace")
        )
        return [name for name in found if name != CLIENT_ID]


def _no_delay(_client: Client, _data: Any, opened: Any) -> None:
    """Else Nagle and the broker's delayed ACK hold a second packet back for 40 ms."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextmanager
def watch(running: RunningBroker, filters: Sequence[str] = ("#",)) -> Iterator[Watcher]:
    """A watcher for the time of the `with`."""
    watcher = Watcher(running, filters)
    try:
        yield watcher
    finally:
        watcher.close()
