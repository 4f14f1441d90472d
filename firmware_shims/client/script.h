/* Script: the steps of the `script` setting (docs/shim-protocol.md), with reconnects and back-off. */
#ifndef HIL_SCRIPT_H
#define HIL_SCRIPT_H

#include <stdbool.h>

/* True when every step is known and its argument well formed. */
bool hil_script_valid(const char *script);

/* Runs it; prints every event up to and including `done`. */
void hil_script_run(void);

#endif
