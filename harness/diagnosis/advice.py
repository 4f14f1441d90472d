"""What evidence would settle what is only probable, and how to get it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.diagnosis.facts import Story
from harness.diagnosis.outcome import works
from harness.diagnosis.rules.claim import Claim

KEYLOG = (
    "A TLS key log opens what is sealed here: preload libhil-keylog.so into Mosquitto (LD_PRELOAD, "
    "HIL_KEYLOG=keys.log), or on the device use mbedtls_ssl_set_export_keys_cb or wolfSSL's secret callback; "
    "then --keylog keys.log."
)
BROKER_LOG = "The broker's log (log_type all, log_dest stderr) names what the wire leaves open; then --broker-log."
CONFIG = "The broker's configuration says what the listener accepts, so the sets can be compared; then --broker-config."
UART = "The device's console names its own error code; then --uart LOG."
CAPTURE = "A capture (tcpdump -i any -w capture.pcap port 8883) shows what really went over the wire."


def settle(story: Story, ordered: Sequence[Claim]) -> tuple[str, ...]:
    """Advice, most useful first; nothing when the first cause is certain or the story works."""
    if works(story) is True and not ordered:
        return ()
    if ordered and ordered[0].confidence == "certain":
        return ()
    wanted: list[str] = []
    best = ordered[0].id if ordered else "tls."
    if story.keys_wrong:
        wanted.append("The key log given belongs to another session: none of its lines fits this capture.")
    if story.log is not None and story.log.binary:
        wanted.append("The UART log is mostly not text: wrong baud rate, or not a log.")
    if not story.has_wire:
        wanted.append(CAPTURE)
    refused_hello = best.startswith("tls.no_common")
    if refused_hello and story.listener is None:
        wanted.append(CONFIG)
    sealed = story.keys_missing and any(c.version == "1.3" or c.complete for c in story.conns)
    if sealed and not refused_hello:
        wanted.append(KEYLOG)
    if not story.has_broker and best.startswith(("mqtt.", "client_", "tls.", "protocol.", "network.ref")):
        wanted.append(BROKER_LOG)
    if not story.has_uart and best.startswith(("server_certificate.", "device.", "tls.", "certificate.", "network.no")):
        wanted.append(UART)
    if best.startswith("client_certificate.") and story.listener is None:
        wanted.append(CONFIG)
    return tuple(dict.fromkeys(wanted))
