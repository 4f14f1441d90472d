"""The client that people write with Python's ssl and paho: argv is version, then key=value words."""

import ssl
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

words = dict(w.split("=", 1) for w in sys.argv[1:])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(words["ca"]) if words.get("ca") else None
context.maximum_version = ssl.TLSVersion.TLSv1_2 if words["version"] == "12" else ssl.TLSVersion.TLSv1_3
if words["version"] == "13":
    context.minimum_version = ssl.TLSVersion.TLSv1_3
if words.get("noname") or words.get("noverify"):
    context.check_hostname = False
if words.get("noverify"):
    context.verify_mode = ssl.CERT_NONE
if words.get("ciphers"):
    context.set_ciphers(words["ciphers"])
if words.get("curve"):
    context.set_ecdh_curve(words["curve"])
if words.get("cert"):
    context.load_cert_chain(words["cert"], words["key"])
client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="paho1")
client.tls_set_context(context)
if words.get("user"):
    client.username_pw_set(words["user"], words["password"])
done: list[object] = []


def note(what: str, code: object) -> None:
    print(what, code)
    done.append(code)


client.on_connect = lambda c, u, f, code, p: note("CONNACK", code)
client.on_disconnect = lambda c, u, f, code, p: note("disconnected", code)
try:
    client.connect("localhost", int(words.get("port", "8883")), 60)
except (OSError, ssl.SSLError) as error:
    print(f"connect: {type(error).__name__} {error}")
    sys.exit(0)
for _ in range(60):
    rc = client.loop(0.05)
    if rc:
        print("loop:", mqtt.error_string(rc))
        break
    if done:
        client.disconnect()
        break
