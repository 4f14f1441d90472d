/*
 * libhil-sni.so: makes a TLS server that uses OpenSSL dynamically demand server_name, as the front ends of
 * cloud services do that choose their certificate by it. Mosquitto serves whoever comes.
 *
 *     LD_PRELOAD=libhil-sni.so mosquitto -c mosquitto.conf
 *
 * Every SSL_CTX the program makes gets a servername callback. A ClientHello without a host_name ends in a
 * fatal alert: missing_extension (109) in TLS 1.3 (RFC 8446 9.2), unrecognized_name (112) in TLS 1.2 (RFC
 * 6066 3), and one line on stderr says so. Which name it is does not matter here. A callback the program sets
 * itself later replaces ours; Mosquitto sets none. One line on stderr, HIL_SNI_ARMED, says that a context has
 * it: what ignores LD_PRELOAD says nothing.
 */
#ifndef HIL_SNI_H
#define HIL_SNI_H

#define HIL_SNI_ARMED "hil-sni: server_name is demanded"

#endif
