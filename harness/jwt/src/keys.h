/* The registered devices of the service and their public keys.
 *
 * The file has a line for each key: the client id, a blank, the path of a PEM file with a public key or
 * certificate (relative to the file's folder). A device with several lines may use any of its keys
 * (rotation). `#` begins a remark.
 */
#ifndef HIL_JWT_KEYS_H
#define HIL_JWT_KEYS_H

#include "token.h"

#define HIL_KEYS_MAX 64U

struct hil_keys;

/* Reads the file. NULL when it cannot, with one line in `why`. Free with hil_keys_free(). */
struct hil_keys *hil_keys_load(const char *path, char *why, size_t room);
void hil_keys_free(struct hil_keys *keys);

/* Whether a device is registered under this client id. */
bool hil_keys_known(const struct hil_keys *keys, const char *client_id);

/* The registered id that shares most of its beginning with `client_id`, and the first part ("/") that
 * differs. */
void hil_keys_nearest(const struct hil_keys *keys, const char *client_id, char *why, size_t room);

struct hil_keys_device {
    const struct hil_keys *keys;
    const char *client_id;
};

/* A hil_token_verify; `context` is a struct hil_keys_device. */
enum hil_token_fault hil_keys_verify(void *context, const char *alg, const uint8_t *text, size_t text_n,
                                     const uint8_t *sig, size_t sig_n, char *why, size_t room);

#endif
