/* X(name, number in 3.1.1, number in 5.0, what it says). Included where a table of rules is made; no include
 * guard. */
X(UTF8, "MQTT-1.5.3-1", "MQTT-1.5.4-1", "a string must be well-formed UTF-8 without surrogates")
X(UTF8_NUL, "MQTT-1.5.3-2", "MQTT-1.5.4-2", "a string must not hold the null character U+0000")
X(VARINT, NULL, "MQTT-1.5.5-1", "a variable byte integer must use the least number of bytes")
X(USER_PROPERTY, NULL, "MQTT-1.5.7-1", "both strings of a pair must be well-formed UTF-8")
X(RESERVED_FLAGS, "MQTT-2.2.2-1", "MQTT-2.1.3-1",
  "reserved flag bits of the fixed header must have the listed value")
X(ID_ZERO, "MQTT-2.3.1-1", "MQTT-2.2.1-3", "the packet identifier must not be zero")
X(ID_ZERO_SERVER, "MQTT-2.3.1-1", "MQTT-2.2.1-4", "the packet identifier must not be zero")
X(ID_IN_USE, "MQTT-2.3.1-2", "MQTT-2.2.1-3", "a new packet must take a packet identifier that is not in use")
X(ID_IN_USE_SERVER, "MQTT-2.3.1-4", "MQTT-2.2.1-4",
  "a new packet must take a packet identifier that is not in use")
X(ACK_ID, "MQTT-2.3.1-6", "MQTT-2.2.1-5",
  "an acknowledgement must carry the identifier of the PUBLISH it answers")
X(SUBACK_ID, "MQTT-2.3.1-7", "MQTT-2.2.1-6",
  "SUBACK and UNSUBACK must carry the identifier of the packet they answer")
X(PROPERTY_LENGTH, NULL, "MQTT-2.2.2-1", "without properties a property length of zero must be sent")
X(CONNECT_FIRST, "MQTT-3.1.0-1", "MQTT-3.1.0-1", "the client's first packet must be CONNECT")
X(CONNECT_ONCE, "MQTT-3.1.0-2", "MQTT-3.1.0-2", "a second CONNECT is a protocol violation")
X(PROTOCOL_NAME, "MQTT-3.1.2-1", "MQTT-3.1.2-1", "the protocol name must be MQTT")
X(PROTOCOL_LEVEL, "MQTT-3.1.2-2", "MQTT-3.1.2-2", "the protocol level must be one the standard defines")
X(CONNECT_RESERVED, "MQTT-3.1.2-3", "MQTT-3.1.2-3", "the reserved connect flag must be 0")
X(WILL_PRESENT, "MQTT-3.1.2-9", "MQTT-3.1.2-9",
  "with the will flag set, will topic and will message must be present")
X(WILL_QOS_UNUSED, "MQTT-3.1.2-13", "MQTT-3.1.2-11", "without a will, will QoS must be 0")
X(WILL_QOS_3, "MQTT-3.1.2-14", "MQTT-3.1.2-12", "will QoS must not be 3")
X(WILL_RETAIN_UNUSED, "MQTT-3.1.2-15", "MQTT-3.1.2-13", "without a will, will retain must be 0")
X(USERNAME_PRESENT, "MQTT-3.1.2-19", "MQTT-3.1.2-17",
  "with the user name flag set, a user name must be present")
X(PASSWORD_PRESENT, "MQTT-3.1.2-21", "MQTT-3.1.2-19",
  "with the password flag set, a password must be present")
X(PASSWORD_ALONE, "MQTT-3.1.2-22", NULL, "without a user name the password flag must be 0")
X(KEEP_ALIVE, "MQTT-3.1.2-23", "MQTT-3.1.2-20",
  "the client must send something within every keep-alive interval")
X(AUTH_FIRST, NULL, "MQTT-3.1.2-30",
  "during enhanced authentication only AUTH or DISCONNECT may be sent before CONNACK")
X(CONNECT_ORDER, "MQTT-3.1.3-1", "MQTT-3.1.3-1",
  "the payload's fields must be client id, will, user name, password, nothing else")
X(CLIENT_ID_PRESENT, "MQTT-3.1.3-3", "MQTT-3.1.3-3",
  "the client identifier must be the first field of the payload")
X(CLIENT_ID_UTF8, "MQTT-3.1.3-4", "MQTT-3.1.3-4", "the client identifier must be a UTF-8 string")
X(EMPTY_CLIENT_ID, "MQTT-3.1.3-7", NULL, "an empty client identifier needs clean session 1")
X(WILL_TOPIC_UTF8, "MQTT-3.1.3-10", "MQTT-3.1.3-11", "the will topic must be a UTF-8 string")
X(USERNAME_UTF8, "MQTT-3.1.3-11", "MQTT-3.1.3-12", "the user name must be a UTF-8 string")
X(CONNACK_FIRST, "MQTT-3.2.0-1", "MQTT-3.2.0-1", "the server's first packet must be CONNACK")
X(CONNACK_ONCE, NULL, "MQTT-3.2.0-2", "the server must not send more than one CONNACK")
X(CONNACK_FLAGS, NULL, "MQTT-3.2.2-1", "bits 7 to 1 of the acknowledge flags must be 0")
X(SESSION_PRESENT, "MQTT-3.2.2-4", "MQTT-3.2.2-6", "with a refusal, session present must be 0")
X(CONNACK_CODE, NULL, "MQTT-3.2.2-8", "CONNACK must use one of its reason codes")
X(MAXIMUM_QOS, NULL, "MQTT-3.2.2-11", "a PUBLISH must not exceed the server's Maximum QoS")
X(RETAIN_AVAILABLE, NULL, "MQTT-3.2.2-14", "retain must not be used when the server does not offer it")
X(MAXIMUM_PACKET, NULL, "MQTT-3.2.2-15", "a packet must not exceed the server's Maximum Packet Size")
X(MAXIMUM_PACKET_SERVER, NULL, "MQTT-3.1.2-24", "a packet must not exceed the client's Maximum Packet Size")
X(ALIAS_FORBIDDEN, NULL, "MQTT-3.2.2-18", "topic aliases must not be used when the server gave no maximum")
X(DUP_QOS0, "MQTT-3.3.1-2", "MQTT-3.3.1-2", "DUP must be 0 with QoS 0")
X(QOS_3, "MQTT-3.3.1-4", "MQTT-3.3.1-4", "QoS must not be 3")
X(TOPIC_UTF8, "MQTT-3.3.2-1", "MQTT-3.3.2-1",
  "the topic name must be a UTF-8 string at the start of the packet")
X(TOPIC_WILDCARD, "MQTT-3.3.2-2", "MQTT-3.3.2-2", "a topic name must not hold wildcards")
X(ALIAS_ZERO, NULL, "MQTT-3.3.2-8", "a topic alias must not be 0")
X(ALIAS_MAXIMUM, NULL, "MQTT-3.3.2-9", "a topic alias must not exceed the server's maximum")
X(ALIAS_MAXIMUM_SERVER, NULL, "MQTT-3.3.2-11", "a topic alias must not exceed the client's maximum")
X(RESPONSE_TOPIC_UTF8, NULL, "MQTT-3.3.2-13", "the response topic must be a UTF-8 string")
X(RESPONSE_TOPIC, NULL, "MQTT-3.3.2-14", "the response topic must not hold wildcards")
X(CONTENT_TYPE, NULL, "MQTT-3.3.2-19", "the content type must be a UTF-8 string")
X(SUBSCRIPTION_ID, NULL, "MQTT-3.3.4-6", "a client's PUBLISH must not hold a subscription identifier")
X(RECEIVE_MAXIMUM, NULL, "MQTT-3.3.4-7",
  "no more unacknowledged PUBLISH packets than the server's Receive Maximum")
X(RECEIVE_MAXIMUM_SERVER, NULL, "MQTT-3.3.4-9",
  "no more unacknowledged PUBLISH packets than the client's Receive Maximum")
X(PUBACK_CODE, NULL, "MQTT-3.4.2-1", "PUBACK must use one of its reason codes")
X(PUBREC_CODE, NULL, "MQTT-3.5.2-1", "PUBREC must use one of its reason codes")
X(PUBREL_FLAGS, "MQTT-3.6.1-1", "MQTT-3.6.1-1", "the flags of PUBREL must be 0010")
X(PUBREL_CODE, NULL, "MQTT-3.6.2-1", "PUBREL must use one of its reason codes")
X(PUBCOMP_CODE, NULL, "MQTT-3.7.2-1", "PUBCOMP must use one of its reason codes")
X(SUBSCRIBE_FLAGS, "MQTT-3.8.1-1", "MQTT-3.8.1-1", "the flags of SUBSCRIBE must be 0010")
X(FILTER_UTF8, "MQTT-3.8.3-1", "MQTT-3.8.3-1", "topic filters must be UTF-8 strings")
X(SUBSCRIBE_EMPTY, "MQTT-3.8.3-3", "MQTT-3.8.3-2", "SUBSCRIBE must hold at least one topic filter")
X(SHARED_NO_LOCAL, NULL, "MQTT-3.8.3-4", "no local must not be set on a shared subscription")
X(SUBSCRIBE_OPTIONS, "MQTT-3-8.3-4", "MQTT-3.8.3-5",
  "reserved bits of the subscription options must be 0, QoS must not be 3")
X(SUBACK_CODE, "MQTT-3.9.3-2", "MQTT-3.9.3-2", "SUBACK must use one of its codes")
X(UNSUBSCRIBE_FLAGS, "MQTT-3.10.1-1", "MQTT-3.10.1-1", "the flags of UNSUBSCRIBE must be 0010")
X(UNFILTER_UTF8, "MQTT-3.10.3-1", "MQTT-3.10.3-1", "topic filters must be UTF-8 strings")
X(UNSUBSCRIBE_EMPTY, "MQTT-3.10.3-2", "MQTT-3.10.3-2", "UNSUBSCRIBE must hold at least one topic filter")
X(UNSUBACK_CODE, NULL, "MQTT-3.11.3-2", "UNSUBACK must use one of its reason codes")
X(DISCONNECT_EARLY, NULL, "MQTT-3.14.0-1",
  "the server must not send DISCONNECT before a CONNACK that accepts")
X(DISCONNECT_FLAGS, "MQTT-3.14.1-1", "MQTT-3.14.1-1", "the reserved bits of DISCONNECT must be 0")
X(DISCONNECT_CODE, NULL, "MQTT-3.14.2-1", "DISCONNECT must use one of its reason codes")
X(DISCONNECT_EXPIRY, NULL, "MQTT-3.14.2-2",
  "the server must not send a session expiry interval in DISCONNECT")
X(AFTER_DISCONNECT, "MQTT-3.14.4-2", "MQTT-3.14.4-1", "nothing may be sent after DISCONNECT")
X(AUTH_FLAGS, NULL, "MQTT-3.15.1-1", "the reserved bits of AUTH must be 0")
X(AUTH_CODE, NULL, "MQTT-3.15.2-1", "AUTH must use one of its reason codes")
X(RESEND, NULL, "MQTT-4.4.0-1", "packets must not be sent again on a connection that stayed open")
X(PUBACK_ORDER, "MQTT-4.6.0-2", "MQTT-4.6.0-2",
  "PUBACK packets must come in the order of the PUBLISH packets")
X(PUBREC_ORDER, "MQTT-4.6.0-3", "MQTT-4.6.0-3",
  "PUBREC packets must come in the order of the PUBLISH packets")
X(FILTER_HASH, "MQTT-4.7.1-2", "MQTT-4.7.1-1", "# must be alone in the last level of a topic filter")
X(FILTER_PLUS, "MQTT-4.7.1-3", "MQTT-4.7.1-2", "+ must be alone in its level of a topic filter")
X(TOPIC_EMPTY, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "topic names and filters must have at least one character")
X(TOPIC_NUL, "MQTT-4.7.3-2", "MQTT-4.7.3-2", "topic names and filters must not hold the null character")
X(SHARE_NAME, NULL, "MQTT-4.8.2-1", "a shared subscription must name its share")
X(SHARE_FORM, NULL, "MQTT-4.8.2-2",
  "a share name must hold no wildcard and be followed by / and a topic filter")
