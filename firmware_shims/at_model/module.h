/* A model of the SPWF04SA Wi-Fi module's AT interface, for the stand-in of story 004. It does TLS towards the
 * network with OpenSSL and answers as the story shows; docs/boards/f401-spwf04.md says what is from the story
 * and what is not.
 */
#ifndef HIL_AT_MODEL_MODULE_H
#define HIL_AT_MODEL_MODULE_H

/* Boots, and serves the host at `fd` (socket or terminal in raw mode) until it hangs up. */
void at_module_run(int fd);

#endif
