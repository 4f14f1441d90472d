/* One certificate, and the same bytes as a Name. */
#include "fixture.h"
#include "x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct hil_cert c;
    char name[HIL_NAME_MAX];
    hil_x509_parse((struct hil_span){p, n}, &c);
    if (strlen(c.subject) >= sizeof c.subject || strlen(c.cn) >= sizeof c.cn || c.dns_n > HIL_SAN_MAX) {
        abort();
    }
    hil_x509_name((struct hil_span){p, n}, name, sizeof name);
    return 0;
}
