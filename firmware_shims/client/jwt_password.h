/* The MQTT password as a token: made anew for each CONNECT when `jwt.audience` is set, signed with the
 * device's key. */
#ifndef HIL_JWT_PASSWORD_H
#define HIL_JWT_PASSWORD_H

#include "mqtt.h"

/* Errors beside HIL_JWT_*. */
#define HIL_JWT_NO_CLOCK (-10) /* `epoch` is 0: a token of 1970 helps nobody */
#define HIL_JWT_NO_KEY   (-11) /* no key, one that cannot be read, or a firmware that cannot sign */

/* Sets *out, which is good until the next call. 0, or a negative code; reported as the API call hil_jwt_make
 * in either case, never with the token. */
int hil_jwt_password(struct hil_slice *out);

/* What people get wrong, for the `defect` setting: a word of its own beside HIL_DEFECT_*. The bit of a name
 * (0: unknown, or this firmware cannot sign) and the `index`-th name (NULL behind the last). */
uint32_t hil_jwt_fault(const char *name, size_t len);
const char *hil_jwt_fault_name(size_t index);

#endif
