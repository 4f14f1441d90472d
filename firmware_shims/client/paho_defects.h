/* What story 002 went through, as defects of the firmware with the W5500 and the Paho-style client. The names
 * are in client/paho_session.c, the numbers behind HIL_DEFECT_OWN_FIRST. */
#ifndef HIL_PAHO_DEFECTS_H
#define HIL_PAHO_DEFECTS_H

enum {
    HIL_PAHO_READ_GATED = 1u << 16,   /* mqttread asks the chip's counter before it asks TLS */
    HIL_PAHO_CONNACK_255 = 1u << 17,  /* the same with the client of 2022: it takes a failed length for 0 */
    HIL_PAHO_NO_YIELD = 1u << 18,     /* the application never calls MQTTYield */
    HIL_PAHO_IP_FOR_NAME = 1u << 19,  /* no DNS: the address is what is given to TLS as the name */
    HIL_W5500_RECV_ZERO = 1u << 20,   /* the receive callback returns 0 when the chip is empty */
    HIL_W5500_OVER_REPORT = 1u << 21, /* the receive callback returns what was asked for */
    HIL_W5500_SMALL_INPUT = 1u << 22  /* MBEDTLS_SSL_IN_CONTENT_LEN 4096 */
};

#endif
