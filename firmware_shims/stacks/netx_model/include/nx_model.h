/* What the model can do and the library cannot: options of its build, switched at run time. A shim uses this
 * only under NX_MODEL, and says on the board what its build was made with. */
#ifndef NETX_MODEL_NX_MODEL_H
#define NETX_MODEL_NX_MODEL_H

#include "nx_secure_tls_api.h"

#define NX_MODEL 1

/* true: as built with NX_SECURE_TLS_DISABLE_PROTOCOL_VERSION_DOWNGRADE: TLS 1.3 offers no 1.2 beside it. */
VOID nx_model_no_downgrade(UINT on);

/* true: ECDSA verifications end in NX_CRYPTO_NOT_SUCCESSFUL, as with a crypto engine that is set up wrongly.
 */
VOID nx_model_ecc_engine(UINT broken);

/* The seed of the next session's random generator (32 bytes, kept). */
VOID nx_model_seed(const UCHAR *seed);

NX_IP *nx_model_ip(VOID);
NX_PACKET_POOL *nx_model_pool(VOID);

#endif
