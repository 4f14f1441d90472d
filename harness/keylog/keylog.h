/*
 * libhil-keylog.so: TLS key log of any program that uses OpenSSL dynamically, without changing it.
 *
 *     LD_PRELOAD=libhil-keylog.so HIL_KEYLOG=keys.log mosquitto -c mosquitto.conf
 *
 * Every SSL_CTX the program makes (SSL_CTX_new, SSL_CTX_new_ex) gets a key-log callback that appends to the
 * file in the NSS format, which Wireshark, tshark and hil-wire read: one write a line, so that lines of
 * several processes or threads stay whole. A callback the program sets itself later replaces ours.
 *
 * The file is opened when the library is loaded (mode 0600, appended, not inherited by exec), before a
 * program drops its privileges. If it cannot be opened, one line on stderr says so and nothing is logged.
 * Setuid programs and those with file capabilities ignore LD_PRELOAD: check with a handshake
 * (harness/peer/canary.py) before relying on it.
 */
#ifndef HIL_KEYLOG_H
#define HIL_KEYLOG_H

#define HIL_KEYLOG_ENV "HIL_KEYLOG"

#endif
