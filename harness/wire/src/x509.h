/* The facts of an X.509 certificate (RFC 5280) that a diagnosis needs. DER is read strictly enough to be
 * safe, not to judge validity: fields that cannot be read stay empty, and `malformed` says where reading
 * stopped. */
#ifndef HIL_WIRE_X509_H
#define HIL_WIRE_X509_H

#include "bytes.h"

#define HIL_NAME_MAX 512
#define HIL_SAN_MAX  64
#define HIL_EKU_MAX  8

struct hil_cert {
    char subject[HIL_NAME_MAX], issuer[HIL_NAME_MAX],
        cn[256]; /* "C=…, O=…, CN=…" in the order of the certificate */
    struct hil_span subject_der, issuer_der, serial, ski, aki;
    int64_t not_before, not_after; /* Unix seconds */
    struct hil_span dns[HIL_SAN_MAX], ip[HIL_SAN_MAX];
    size_t dns_n, ip_n, names_more; /* names_more: beyond the maximum */
    const char *key, *curve, *sig;  /* curve NULL: none or not known */
    uint32_t bits;
    bool ca, has_key_usage, self_signed, has_basic;
    uint16_t key_usage; /* bit 0: digitalSignature … bit 8: decipherOnly */
    const char *eku[HIL_EKU_MAX];
    size_t eku_n;
    bool has_eku;
    const char *malformed;
};

void hil_x509_parse(struct hil_span der, struct hil_cert *c);
/* A DER Name as text. */
void hil_x509_name(struct hil_span name, char *to, size_t room);
extern const char *const hil_key_usage_name[9];

#endif
