/* JSON Web Tokens as cloud brokers take them for a password (RFC 7515, 7519): recognised by their form, read
 * far enough to say what is wrong. Neither the signature nor the token itself is given out. */
#ifndef HIL_WIRE_JWT_H
#define HIL_WIRE_JWT_H

#include "bytes.h"

#define HIL_JWT_PART 1024U

struct hil_jwt {
    char alg[32], typ[32], aud[256], iss[128], sub[128];
    bool has_alg, has_typ, has_aud, has_iss, has_sub, has_iat, has_exp, has_nbf, has_kid;
    bool times_are_text; /* iat or exp as a string: servers refuse it */
    int64_t iat, exp, nbf;
    size_t segments, sig_len;
    bool padding;           /* '=' somewhere: JWS leaves it out */
    bool standard_alphabet; /* '+' or '/' of plain base64 */
    const char *malformed;  /* NULL: both parts are JSON objects */
};

/* Whether it is meant to be one: three parts between dots, the first beginning with eyJ. */
bool hil_jwt_looks(struct hil_span s);
void hil_jwt_parse(struct hil_span s, struct hil_jwt *j);

#endif
