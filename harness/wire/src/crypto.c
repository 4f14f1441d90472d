#include "crypto.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#define SECRET_MAX    48U
#define KEY_BLOCK_MAX 256U
#define TLS13         0x0304

static const struct {
    enum hil_cipher cipher;
    enum hil_block block;
    uint8_t key_len;
    const char *name;
} algorithms[] = {
    {HIL_CIPHER_GCM, HIL_BLOCK_AES, 16, "AES-128-GCM"},
    {HIL_CIPHER_GCM, HIL_BLOCK_AES, 32, "AES-256-GCM"},
    {HIL_CIPHER_CCM, HIL_BLOCK_AES, 16, "AES-128-CCM"},
    {HIL_CIPHER_CCM, HIL_BLOCK_AES, 32, "AES-256-CCM"},
    {HIL_CIPHER_CHACHA, HIL_BLOCK_AES, 32, "ChaCha20-Poly1305"},
    {HIL_CIPHER_CBC, HIL_BLOCK_AES, 16, "AES-128-CBC"},
    {HIL_CIPHER_CBC, HIL_BLOCK_AES, 32, "AES-256-CBC"},
    {HIL_CIPHER_CBC, HIL_BLOCK_3DES, 24, "DES-EDE3-CBC"},
    {HIL_CIPHER_CBC, HIL_BLOCK_CAMELLIA, 16, "CAMELLIA-128-CBC"},
    {HIL_CIPHER_CBC, HIL_BLOCK_CAMELLIA, 32, "CAMELLIA-256-CBC"},
    {HIL_CIPHER_GCM, HIL_BLOCK_ARIA, 16, "ARIA-128-GCM"},
    {HIL_CIPHER_GCM, HIL_BLOCK_ARIA, 32, "ARIA-256-GCM"},
    {HIL_CIPHER_CBC, HIL_BLOCK_ARIA, 16, "ARIA-128-CBC"},
    {HIL_CIPHER_CBC, HIL_BLOCK_ARIA, 32, "ARIA-256-CBC"},
};
#define ALGORITHMS (sizeof algorithms / sizeof *algorithms)

struct hil_opener {
    struct hil_crypto *crypto;
    struct hil_suite suite;
    EVP_CIPHER_CTX *ctx;
    EVP_MAC_CTX *mac;
    uint16_t version; /* negotiated */
    bool etm;
    uint8_t iv[16];
    uint8_t mac_len, block_len;
    uint8_t secret[SECRET_MAX], secret_len; /* TLS 1.3: for the next generation */
    uint64_t seq;
};

static const char *digest_name(enum hil_hash h) {
    static const char *const name[] = {"SHA256", "MD5", "SHA1", "SHA256", "SHA384"};
    return name[h];
}

static EVP_CIPHER *cipher_of(struct hil_crypto *k, const struct hil_suite *s) {
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i].cipher == s->cipher && algorithms[i].key_len == s->key_len &&
            algorithms[i].block == s->block) {
            if (k->cipher[i] == NULL) {
                k->cipher[i] = EVP_CIPHER_fetch(NULL, algorithms[i].name, NULL);
            }
            return k->cipher[i];
        }
    }
    return NULL;
}

static EVP_MAC_CTX *hmac_new(struct hil_crypto *k, enum hil_hash h, const uint8_t *key, size_t n) {
    if (k->hmac == NULL) {
        k->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    }
    EVP_MAC_CTX *m = k->hmac != NULL ? EVP_MAC_CTX_new(k->hmac) : NULL;
    char name[8];
    memcpy(name, digest_name(h), strlen(digest_name(h)) + 1);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_END};
    if (m != NULL && EVP_MAC_init(m, key, n, params) != 1) {
        EVP_MAC_CTX_free(m);
        return NULL;
    }
    return m;
}

/* One HMAC over up to three pieces with the context's key. */
static bool hmac(EVP_MAC_CTX *m, const struct hil_span *piece, size_t n, uint8_t *out, size_t len) {
    uint8_t full[64];
    size_t got = 0;
    if (EVP_MAC_init(m, NULL, 0, NULL) != 1) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (piece[i].n > 0 && EVP_MAC_update(m, piece[i].p, piece[i].n) != 1) {
            return false;
        }
    }
    if (EVP_MAC_final(m, full, &got, sizeof full) != 1 || got < len) {
        return false;
    }
    memcpy(out, full, len);
    return true;
}

void hil_crypto_free(struct hil_crypto *k) {
    for (size_t i = 0; i < ALGORITHMS; i++) {
        EVP_CIPHER_free(k->cipher[i]);
    }
    EVP_MAC_free(k->hmac);
    memset(k, 0, sizeof *k);
}

void hil_opener_free(struct hil_opener *o) {
    if (o != NULL) {
        EVP_CIPHER_CTX_free(o->ctx);
        EVP_MAC_CTX_free(o->mac);
        free(o);
    }
}

/* ---- keys ---- */

/* P_hash of RFC 5246 section 5, combined into out with XOR, so that TLS 1.0's two halves can share it. */
static bool p_hash(struct hil_crypto *k, enum hil_hash h, const uint8_t *secret, size_t secret_n,
                   struct hil_span seed, uint8_t *out, size_t n) {
    EVP_MAC_CTX *m = hmac_new(k, h, secret, secret_n);
    size_t len = hil_hash_len(h);
    uint8_t a[48];
    uint8_t part[48];
    bool ok = m != NULL && hmac(m, &seed, 1, a, len);
    for (size_t at = 0; ok && at < n; at += len) {
        struct hil_span both[2] = {{a, len}, seed};
        struct hil_span again = {a, len};
        ok = hmac(m, both, 2, part, len) && hmac(m, &again, 1, a, len);
        for (size_t i = 0; i < len && at + i < n; i++) {
            out[at + i] ^= part[i];
        }
    }
    EVP_MAC_CTX_free(m);
    return ok;
}

static bool key_block(struct hil_crypto *k, const struct hil_suite *s, uint16_t version,
                      const uint8_t master[48], const uint8_t cr[32], const uint8_t sr[32], uint8_t *out,
                      size_t n) {
    uint8_t text[13 + 64];
    memcpy(text, "key expansion", 13); /* NOLINT(bugprone-not-null-terminated-result) */
    memcpy(text + 13, sr, 32);
    memcpy(text + 45, cr, 32);
    struct hil_span seed = {text, sizeof text};
    memset(out, 0, n);
    if (version >= 0x0303) {
        return p_hash(k, s->prf, master, 48, seed, out, n);
    }
    return p_hash(k, HIL_HASH_MD5, master, 24, seed, out, n) &&
           p_hash(k, HIL_HASH_SHA1, master + 24, 24, seed, out, n);
}

static bool cipher_init(struct hil_opener *o, const uint8_t *key) {
    EVP_CIPHER *c = cipher_of(o->crypto, &o->suite);
    if (o->ctx == NULL) {
        o->ctx = EVP_CIPHER_CTX_new();
    }
    if (c == NULL || o->ctx == NULL || EVP_DecryptInit_ex(o->ctx, c, NULL, NULL, NULL) != 1) {
        return false;
    }
    if (o->suite.cipher == HIL_CIPHER_CBC) {
        return EVP_DecryptInit_ex(o->ctx, NULL, NULL, key, NULL) == 1 &&
               EVP_CIPHER_CTX_set_padding(o->ctx, 0) == 1;
    }
    if (EVP_CIPHER_CTX_ctrl(o->ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) != 1) {
        return false;
    }
    if (o->suite.cipher == HIL_CIPHER_CCM &&
        EVP_CIPHER_CTX_ctrl(o->ctx, EVP_CTRL_AEAD_SET_TAG, o->suite.tag_len, NULL) != 1) {
        return false;
    }
    return EVP_DecryptInit_ex(o->ctx, NULL, NULL, key, NULL) == 1;
}

static struct hil_opener *opener_new(struct hil_crypto *k, const struct hil_suite *suite, uint16_t version) {
    struct hil_opener *o = suite->cipher != HIL_CIPHER_NONE ? calloc(1, sizeof *o) : NULL;
    if (o != NULL) {
        o->crypto = k;
        o->suite = *suite;
        o->version = version;
    }
    return o;
}

struct hil_opener *hil_opener_12(struct hil_crypto *k, const struct hil_suite *suite, uint16_t version,
                                 bool etm, const uint8_t master[48], const uint8_t client_random[32],
                                 const uint8_t server_random[32], bool client) {
    if (suite->tls13) {
        return NULL;
    }
    struct hil_opener *o = opener_new(k, suite, version);
    if (o == NULL) {
        return NULL;
    }
    bool cbc = suite->cipher == HIL_CIPHER_CBC;
    o->etm = etm && cbc;
    o->mac_len = (uint8_t)hil_hash_len(suite->mac);
    o->block_len = cbc ? (suite->block == HIL_BLOCK_3DES ? 8 : 16) : 0;
    size_t iv_len = cbc                                  ? (version <= 0x0301 ? o->block_len : 0)
                    : suite->cipher == HIL_CIPHER_CHACHA ? 12
                    : suite->cipher == HIL_CIPHER_NULL   ? 0
                                                         : 4;
    uint8_t block[KEY_BLOCK_MAX];
    size_t side = client ? 0 : 1;
    size_t total = 2 * ((size_t)o->mac_len + suite->key_len + iv_len);
    bool ok = key_block(k, suite, version, master, client_random, server_random, block, total);
    const uint8_t *mac_key = block + side * o->mac_len;
    const uint8_t *key = block + 2 * (size_t)o->mac_len + side * suite->key_len;
    const uint8_t *iv = block + 2 * ((size_t)o->mac_len + suite->key_len) + side * iv_len;
    memcpy(o->iv, iv, iv_len);
    if (o->mac_len > 0) {
        o->mac = ok ? hmac_new(k, suite->mac, mac_key, o->mac_len) : NULL;
        ok = o->mac != NULL;
    }
    if (ok && suite->cipher != HIL_CIPHER_NULL) {
        ok = cipher_init(o, key);
    }
    if (!ok) {
        hil_opener_free(o);
        return NULL;
    }
    return o;
}

/* HKDF-Expand-Label of RFC 8446 7.1 for outputs no longer than the hash: one HMAC. */
static bool expand(EVP_MAC_CTX *m, const char *label, uint8_t *out, size_t n) {
    uint8_t info[64];
    size_t label_n = strlen(label);
    hil_put16(info, (unsigned)n);
    info[2] = (uint8_t)(6 + label_n);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_n);
    info[9 + label_n] = 0;     /* no context */
    info[10 + label_n] = 0x01; /* counter of the only block */
    struct hil_span piece = {info, 11 + label_n};
    return hmac(m, &piece, 1, out, n);
}

static bool load_secret(struct hil_opener *o) {
    uint8_t key[32];
    EVP_MAC_CTX *m = hmac_new(o->crypto, o->suite.prf, o->secret, o->secret_len);
    bool ok = m != NULL && expand(m, "key", key, o->suite.key_len) && expand(m, "iv", o->iv, 12) &&
              cipher_init(o, key);
    EVP_MAC_CTX_free(m);
    o->seq = 0;
    return ok;
}

struct hil_opener *hil_opener_13(struct hil_crypto *k, const struct hil_suite *suite, const uint8_t *secret,
                                 size_t len) {
    if (!suite->tls13 || len != hil_hash_len(suite->prf) || len > SECRET_MAX) {
        return NULL;
    }
    struct hil_opener *o = opener_new(k, suite, TLS13);
    if (o == NULL) {
        return NULL;
    }
    memcpy(o->secret, secret, len);
    o->secret_len = (uint8_t)len;
    if (!load_secret(o)) {
        hil_opener_free(o);
        return NULL;
    }
    return o;
}

bool hil_opener_update(struct hil_opener *o) {
    uint8_t next[SECRET_MAX];
    EVP_MAC_CTX *m = hmac_new(o->crypto, o->suite.prf, o->secret, o->secret_len);
    bool ok = m != NULL && expand(m, "traffic upd", next, o->secret_len);
    EVP_MAC_CTX_free(m);
    if (ok) {
        memcpy(o->secret, next, o->secret_len);
        ok = load_secret(o);
    }
    return ok;
}

/* ---- records ---- */

/* The 13 bytes that TLS 1.2 authenticates with a record. */
static void header12(uint8_t aad[13], uint64_t seq, uint8_t type, uint16_t version, size_t len) {
    hil_put64(aad, seq);
    aad[8] = type;
    hil_put16(aad + 9, version);
    hil_put16(aad + 11, (unsigned)len);
}

static int open_aead(struct hil_opener *o, uint64_t seq, uint8_t type, uint16_t version, struct hil_span b,
                     uint8_t *out) {
    uint8_t nonce[12];
    uint8_t aad[13];
    size_t aad_n = 13;
    size_t tag_len = o->suite.tag_len;
    size_t whole = b.n;
    struct hil_span explicit_nonce;
    int n = 0;
    int last = 0;
    memcpy(nonce, o->iv, 12);
    if (o->version == TLS13 || o->suite.cipher == HIL_CIPHER_CHACHA) {
        for (unsigned i = 0; i < 8; i++) {
            nonce[11 - i] ^= (uint8_t)(seq >> (8 * i));
        }
    } else {
        if (!hil_take(&b, 8, &explicit_nonce)) {
            return -1;
        }
        memcpy(nonce + 4, explicit_nonce.p, 8);
    }
    if (b.n < tag_len) {
        return -1;
    }
    b.n -= tag_len;
    uint8_t tag[16];
    memcpy(tag, b.p + b.n, tag_len);
    if (o->version == TLS13) {
        aad_n = 5;
        aad[0] = type;
        hil_put16(aad + 1, version);
        hil_put16(aad + 3, (unsigned)whole);
    } else {
        header12(aad, seq, type, version, b.n);
    }
    EVP_CIPHER_CTX *c = o->ctx;
    if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, (int)tag_len, tag) != 1 ||
        EVP_DecryptInit_ex(c, NULL, NULL, NULL, nonce) != 1) {
        return -1;
    }
    bool ccm = o->suite.cipher == HIL_CIPHER_CCM;
    if (ccm && EVP_DecryptUpdate(c, NULL, &n, NULL, (int)b.n) != 1) {
        return -1;
    }
    if (EVP_DecryptUpdate(c, NULL, &n, aad, (int)aad_n) != 1 ||
        EVP_DecryptUpdate(c, out, &n, b.p, (int)b.n) != 1) {
        return -1;
    }
    if (!ccm && EVP_DecryptFinal_ex(c, out + n, &last) != 1) {
        return -1;
    }
    return n + last;
}

static bool mac_fits(struct hil_opener *o, uint64_t seq, uint8_t type, uint16_t version,
                     struct hil_span content, const uint8_t *want) {
    uint8_t head[13];
    uint8_t got[48];
    header12(head, seq, type, version, content.n);
    struct hil_span piece[2] = {{head, sizeof head}, content};
    return hmac(o->mac, piece, 2, got, o->mac_len) && memcmp(got, want, o->mac_len) == 0;
}

static int open_cbc(struct hil_opener *o, uint64_t seq, uint8_t type, uint16_t version, struct hil_span b,
                    uint8_t *out) {
    size_t block = o->block_len;
    const uint8_t *iv = o->iv;
    int n = 0;
    if (o->etm) { /* RFC 7366: the MAC is over the IV and the ciphertext */
        if (b.n < o->mac_len) {
            return -1;
        }
        b.n -= o->mac_len;
        if (!mac_fits(o, seq, type, version, b, b.p + b.n)) {
            return -1;
        }
    }
    if (o->version > 0x0301) {
        struct hil_span explicit_iv;
        if (!hil_take(&b, block, &explicit_iv)) {
            return -1;
        }
        iv = explicit_iv.p;
    }
    if (b.n == 0 || b.n % block != 0 || EVP_DecryptInit_ex(o->ctx, NULL, NULL, NULL, iv) != 1 ||
        EVP_DecryptUpdate(o->ctx, out, &n, b.p, (int)b.n) != 1 || (size_t)n != b.n) {
        return -1;
    }
    size_t len = (size_t)n;
    size_t padding = (size_t)out[len - 1] + 1;
    size_t mac = o->etm ? 0 : o->mac_len;
    if (len < padding + mac) {
        return -1;
    }
    for (size_t i = 0; i < padding; i++) {
        if (out[len - 1 - i] != out[len - 1]) {
            return -1;
        }
    }
    len -= padding + mac;
    if (mac > 0 && !mac_fits(o, seq, type, version, (struct hil_span){out, len}, out + len)) {
        return -1;
    }
    return (int)len;
}

static int open_null(struct hil_opener *o, uint64_t seq, uint8_t type, uint16_t version, struct hil_span b,
                     uint8_t *out) {
    if (b.n < o->mac_len) {
        return -1;
    }
    b.n -= o->mac_len;
    if (o->mac_len > 0 && !mac_fits(o, seq, type, version, b, b.p + b.n)) {
        return -1;
    }
    memcpy(out, b.p, b.n);
    return (int)b.n;
}

static int open_one(struct hil_opener *o, uint64_t seq, uint8_t type, uint16_t version, struct hil_span b,
                    uint8_t *out) {
    switch (o->suite.cipher) {
    case HIL_CIPHER_GCM:
    case HIL_CIPHER_CCM:
    case HIL_CIPHER_CHACHA:
        return open_aead(o, seq, type, version, b, out);
    case HIL_CIPHER_CBC:
        return open_cbc(o, seq, type, version, b, out);
    case HIL_CIPHER_NULL:
        return open_null(o, seq, type, version, b, out);
    default:
        return -1;
    }
}

/* TLSInnerPlaintext: the type is the last byte that is not zero. */
static int inner(const uint8_t *p, int n, uint8_t *type) {
    while (n > 0 && p[n - 1] == 0) {
        n--;
    }
    if (n == 0) {
        return -1;
    }
    *type = p[n - 1];
    return n - 1;
}

int hil_opener_open(struct hil_opener *o, uint8_t *type, uint16_t version, const uint8_t *body, size_t len,
                    uint8_t *out, unsigned ahead) {
    int n = -1;
    for (unsigned k = 0; k <= ahead && n < 0; k++) {
        n = open_one(o, o->seq + k, *type, version, (struct hil_span){body, len}, out);
        if (n >= 0) {
            o->seq += k + 1;
        }
    }
    size_t sealed = len - (o->etm && len >= o->mac_len ? o->mac_len : 0U);
    if (o->version <= 0x0301 && o->block_len > 0 && sealed >= o->block_len) {
        memcpy(o->iv, body + sealed - o->block_len, o->block_len); /* TLS 1.0: the IV of the next record */
    }
    return n >= 0 && o->version == TLS13 ? inner(out, n, type) : n;
}
