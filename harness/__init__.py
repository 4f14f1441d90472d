"""Hardware-in-the-loop TLS/MQTT conformance harness for device firmware."""

SCHEMA = 1
