/* Any datagram as an answer: never read past its end, and an address only from a record of four bytes. */
#include "check.h"
#include "w5500.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t ip[4] = {0, 0, 0, 0}, query[512];
    CHECK(hil_w5500_dns_query(query, sizeof query, 0x1234, "broker.hil.test") > 0);
    int rc = hil_w5500_dns_answer(data, size, 0x1234, "broker.hil.test", ip);
    CHECK(rc >= -1 && rc <= 1);
    CHECK(rc == 1 || (ip[0] | ip[1] | ip[2] | ip[3]) == 0);
    char name[300]; /* and any text as a name */
    size_t len = size < sizeof name - 1 ? size : sizeof name - 1;
    for (size_t i = 0; i < len; i++)
        name[i] = (char)(data[i] != 0 ? data[i] : '.');
    name[len] = '\0';
    CHECK(hil_w5500_dns_query(query, sizeof query, 1, name) <= sizeof query);
    return 0;
}
