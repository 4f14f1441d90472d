/* Command lines of any kind: the model's parser stays inside the line and its bounds; the certificate store
 * takes whatever comes as a certificate. */
#include "check.h"
#include "command.h"
#include "store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct at_command c;
    const uint8_t *end = memchr(data, '\r', size);
    size_t line = end != NULL ? (size_t)(end - data) : size;
    char *exact = malloc(line > 0 ? line : 1);
    CHECK(exact != NULL);
    if (line > 0)
        memcpy(exact, data, line);
    at_command_parse(exact, line, &c);
    free(exact);
    CHECK(c.length <= AT_DATA_MAX && strlen(c.host) <= AT_NAME_MAX && strlen(c.name) <= AT_NAME_MAX);
    CHECK(c.kind != AT_SOCK_ON || (c.port > 0 && c.port < 65536));
    CHECK(!c.has_data || c.length > 0);
    if (end == NULL || !c.has_data)
        return 0;
    static struct store store;
    size_t rest = size - line - 1;
    bool key_id;
    rest = rest < c.length ? rest : c.length;
    if (c.kind == AT_CERT_CA && store_add_ca(&store, end + 1, rest, &key_id))
        CHECK(store.count == 1 && store_ids(&store) == (key_id ? 1u : 0u));
    if (c.kind == AT_CERT_CERT)
        (void)store_set_own(&store, end + 1, rest);
    if (c.kind == AT_CERT_KEY)
        (void)store_set_key(&store, end + 1, rest);
    store_clean(&store);
    return 0;
}
