"""The rules, in one table. A rule takes a story and yields claims; it is small, and about one cause or one family.

`ALWAYS` also run on a story that works (a session may be closed later, an ACL denies in silence). `FAILED` run when it
does not. `FINDINGS` look at what works. The order here has no effect: claims are ordered by weight (`claim.py`).
"""

from __future__ import annotations

from harness.diagnosis.rules import (
    alert_alone,
    at_module,
    client_certificate,
    client_key,
    device,
    endings,
    findings,
    handshake,
    jwt,
    mqtt,
    mqtt_session,
    negotiation,
    network,
    netx,
    protocol,
    server_certificate,
    server_certificate_unread,
    socket_chip,
)
from harness.diagnosis.rules.claim import Rule

ALWAYS: tuple[Rule, ...] = (
    mqtt_session.denied,  # mqtt.not_authorised
    mqtt_session.ended_by_broker,  # keepalive_timeout, session_taken_over, packet_too_large, …
    mqtt_session.session_by_log,  # the same from the log alone
    handshake.record_corrupt,  # tls.record_corrupt
    handshake.unexpected,  # tls.unexpected_message
    handshake.too_large,  # tls.record_too_large
    device.faults,  # device.hard_fault, device.watchdog_reset
    device.connack_misparsed,  # device.connack_misparsed
    device.read_gated,  # device.read_gated_on_socket
    socket_chip.connack_unread,  # the same, where the device says that it waited
    netx.session_lost,  # mqtt.broker_closed
)

FAILED: tuple[Rule, ...] = (
    network.refused,  # network.refused
    network.broker_not_started,  # tls.broker_misconfigured
    network.unreachable,  # network.unreachable
    network.name_not_resolved,  # network.name_not_resolved
    network.no_traffic,  # network.no_traffic
    network.peer_silent,  # network.peer_silent
    network.reset,  # network.reset
    network.lost_bytes,  # tls.record_corrupt
    network.max_connections,  # mqtt.server_unavailable
    protocol.tls_on_plain_port,  # protocol.tls_on_plain_port
    protocol.plain_mqtt_on_tls_port,  # protocol.plain_mqtt_on_tls_port
    protocol.not_tls,  # protocol.not_tls, tls.malformed_message
    protocol.not_mqtt,  # protocol.not_mqtt
    negotiation.version,  # tls.no_common_version
    negotiation.named_by_alert,  # missing_extension, sni_*, alpn_mismatch, psk_unknown_identity
    negotiation.sets,  # no_common_cipher_suite, _group, _signature_algorithm, ecc_not_initialised
    alert_alone.forty_without_wire,  # several, as possible only
    negotiation.ecc_not_initialised,  # tls.ecc_not_initialised (no ClientHello)
    negotiation.psk_wrong_key,  # tls.psk_wrong_key
    negotiation.hidden_by_negotiation,  # client_certificate.wrong_store, named second
    server_certificate.by_alert,  # server_certificate.*, device.clock_unset
    server_certificate_unread.by_number,  # the same where the certificate cannot be read
    server_certificate_unread.by_uart,  # the same from the device's codes
    server_certificate_unread.by_log,  # tls.device_internal_error
    client_certificate.missing,  # client_certificate.missing, .wrong_store
    client_certificate.identity_demanded,  # client_certificate.missing
    client_certificate.by_alert,  # client_certificate.*
    client_key.key_mismatch,  # client_key.mismatch
    client_key.wrong_key_format,  # client_key.wrong_format, certificate.wrong_format
    client_certificate.refused_13_sealed,  # several, as possible only
    client_key.unsupported_by_device,  # client_certificate.unsupported
    client_key.hash_mismatch,  # tls.handshake_hash_mismatch, tls.finished_mismatch
    alert_alone.tls_on_plain_port,  # protocol.tls_on_plain_port
    alert_alone.no_tls_by_log,  # protocol.plain_mqtt_on_tls_port, protocol.not_tls
    alert_alone.name_demanded,  # tls.sni_missing
    alert_alone.decrypt_error_alone,  # the same without a capture
    handshake.device_decrypt_error,  # tls.record_corrupt, server_certificate.bad_signature
    handshake.malformed,  # tls.malformed_message
    handshake.flight_not_digested,  # handshake_fragmentation_unsupported, too_large, buffer_too_small
    handshake.device_internal_error,  # tls.device_internal_error
    handshake.device_handshake_failure,  # server_certificate.unsupported
    handshake.broker_failed,  # tls.broker_misconfigured
    endings.closed_without_a_word,  # tls.closed_by_device, tls.closed_by_broker
    endings.device_refuses_sealed,  # server_certificate.*, as possible only
    endings.broker_refuses_sealed,  # tls.record_corrupt, as possible only
    endings.closed_by_log,  # tls.closed_by_device
    endings.stops_mid_handshake,  # device.hang
    mqtt.refused,  # bad_credentials, client_id_refused, protocol_version_refused, server_unavailable
    mqtt.refused_by_log,  # the same from log or UART
    mqtt.closed_after_connect,  # malformed_packet, protocol_version_refused, closed_without_connack
    mqtt.first_packet_broken,  # mqtt.malformed_packet
    mqtt.sealed_refusal,  # mqtt.bad_credentials as possible
    mqtt.no_connect,  # device.no_connect
    netx.curves_not_set,  # tls.ecc_not_initialised
    netx.name_not_sent,  # tls.sni_missing
    netx.wrong_store,  # client_certificate.wrong_store
    netx.failed_alone,  # several, as possible only
    netx.tls_on_plain_port,  # protocol.tls_on_plain_port
    netx.plain_to_tls,  # protocol.plain_mqtt_on_tls_port
    netx.other_hash,  # tls.handshake_hash_mismatch
    netx.connect_timing,  # network.refused, .unreachable, .peer_silent
    jwt.jwt,  # jwt.*
    device.by_code,  # whatever a code names
    device.buffer,  # device.buffer_too_small
    device.silent,  # device.silent
    device.session_not_released,  # device.session_not_released
    device.transport,  # device.transport_returned_zero, .transport_overreported
    socket_chip.connack_unseen,  # device.connack_misparsed, .read_gated_on_socket
    socket_chip.over_reported,  # device.transport_overreported
    socket_chip.address_for_name,  # server_certificate.name_mismatch, tls.sni_missing
    device.retry_storm,  # device.retry_storm
    at_module.dialogue,  # at_module.*, server_certificate.*, client_key.*, certificate.wrong_format
)

FINDINGS: tuple[Rule, ...] = (
    findings.accepted_dates,  # server_certificate.accepted_expired
    findings.accepted_name,  # server_certificate.accepted_wrong_name
    findings.accepted_untrusted,  # server_certificate.accepted_untrusted
    findings.weak_suite,  # tls.weak_suite
    findings.verify_disabled,  # device.verify_disabled
)
