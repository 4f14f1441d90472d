/* Whole captures: reader, links, IP, and everything above as far as the input gets. */
#include "fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_decoder d;
    struct memory m = {p, n};
    fixture_init(&d);
    (void)hil_decoder_run(&d, memory_read, &m);
    fixture_free(&d);
    return 0;
}
