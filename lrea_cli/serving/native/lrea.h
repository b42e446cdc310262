/* lrea: scores the candidates of one request on the calling thread. C99 and C++.
 *
 *     logit_n = MLP([e, u_S, u_L, e * u_S, e * u_L, <e, u_S>, <e, u_L>, profile, log(1 + m_n), log(1 + length)])
 *     u       = sum_j phi(e W1 + k_j W2 + (e * k_j) W3 + b) w_o v_j        over the short (u_S) and the long part (u_L)
 *
 * A model is read from the bytes of a model.bin, which the caller keeps (mapped, for instance) as long as the model is
 * open: embedding tables are read in place. A model does not change after lrea_open, so any number of threads may score
 * with it at once; a call keeps its scratch memory for the next call of its thread.
 *
 * A logit depends on its candidate and on the user alone: the same bits for any thread, any order and any subset of the
 * candidates, in each mode. FP32 gives the same bits with AVX2, AVX-512 and NEON.
 *
 * Letters: N candidates, S short behaviors, R rows of the long part, D width of an item vector, H hidden width.
 * Matrices are row-major. All numbers are little-endian. Nothing here knows records or files of histories.
 *
 * model.bin
 *   byte 0    8 bytes "LREAMODL"; uint32 format (1); uint32 sections; uint64 size of the file;
 *             uint64 FNV-1a hash (64 bits) of the first 24 bytes and of the directory; 32 bytes of zero
 *   byte 64   the directory: for each section 128 bytes = 64 name (ended by zeros), uint32 dtype (0 float32, 1 int64),
 *             uint32 axes (1 or 2), 4 uint64 shape (zero past the axes), uint64 offset (of 64), uint64 bytes
 *   then      the sections, each at a multiple of 64
 *   "settings"          int64 [9]   item fields, profile fields, width of a field's vector, D, H, counters, hidden
 *                                   layers, planes (0 without sdim), tau (0 without sdim)
 *   "slope"             float32 [1] slope of phi below zero
 *   "item.I"            float32 [size][width]    embeddings of item field I; row 0 padding, row 1 unknown
 *   "profile.I"         float32 [size][width]    embeddings of user or context field I
 *   "short.W1", ".W2", ".W3"  float32 [D][H]; "short.b", "short.w_o" float32 [H]; the same for "long"
 *   "mlp.I.weight"      float32 [outputs][inputs], "mlp.I.bias" float32 [outputs], BatchNorms folded in; the inputs of
 *                       layer 0 are e, u_S, u_L, e * u_S, e * u_L (D columns each, the weights of the dot products
 *                       added to those of the products), counters, profile, length
 *   "logit.weight"      float32 [inputs], "logit.bias" float32 [1]
 *   "planes"            float32 [D][planes], of sdim alone
 *   "record"            int64 [1 + counters]   0 no long part, 1 keys and values, 2 bucket sums, 3 another record; then the
 *                       item field that each counter counts, or -1 where it is none of the model's
 */
#ifndef LREA_H
#define LREA_H
#include <stdint.h>

#if defined(__GNUC__)
#define LREA_API __attribute__((visibility("default")))
#else
#define LREA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a structure or the meaning of an argument does. */
#define LREA_ABI 1

/* What a call returns. */
enum lrea_status {
    LREA_OK = 0,
    LREA_BAD_ARGUMENT = 1, /* a pointer is NULL where one is needed, or a number is impossible */
    LREA_BAD_ID = 2,       /* an id is negative */
    LREA_BAD_COUNT = 3,    /* a count of matches or the history's length is negative */
    LREA_UNSUPPORTED = 4,  /* the machine lacks the mode, or the model lacks what the long part needs */
    LREA_NO_MEMORY = 5,
    LREA_BAD_RECORD = 6    /* the bytes are no record of this model in this dtype */
};

/* How to compute. X6 has the error of FP32; X3 is off by about 2e-6. */
enum lrea_mode {
    LREA_AUTO = 0,     /* X6 where there is AMX, else FP32 */
    LREA_FP32 = 1,     /* the fastest of AVX-512, AVX2, NEON and BASELINE */
    LREA_X6 = 2,       /* AMX: floats split into three bfloat16 parts, six products, float sums */
    LREA_X3 = 3,       /* AMX: two parts, three products */
    LREA_BASELINE = 4, /* what every processor of the architecture has: SSE2, or NEON on ARM */
    LREA_AVX2 = 5,
    LREA_AVX512 = 6
};

enum lrea_dtype {
    LREA_FLOAT32 = 0,
    LREA_FLOAT16 = 1,
    LREA_INT8 = 2
};

/* What a request knows of the long part of the history. */
enum lrea_long_kind {
    LREA_LONG_NONE = 0,      /* nothing: u_L = 0 (din-short, an empty history) */
    LREA_LONG_ROWS = 1,      /* keys and values of pseudo items (din, lrea, mean and every compressor) */
    LREA_LONG_BUCKETS = 2,   /* the bucket sums of sdim */
    LREA_LONG_BEHAVIORS = 3, /* ids: full attention, keys e_j and values e_j / sqrt(R) */
    LREA_LONG_INTEREST = 4   /* u_L itself (sim, eta, twin, and what reads pseudo items with softmax) */
};

/* Rows of numbers: data[row][column], times scales[row] where dtype is int8. */
typedef struct lrea_matrix {
    const void *data;    /* any alignment */
    const float *scales; /* [rows], any alignment; NULL unless dtype is int8 */
    int32_t dtype;       /* lrea_dtype */
} lrea_matrix;

typedef struct lrea_long {
    int32_t kind;          /* lrea_long_kind */
    int64_t rows;          /* R of ROWS and BEHAVIORS, 0 and more; 0 for BUCKETS is an empty history */
    lrea_matrix keys;      /* ROWS: [R][D] */
    lrea_matrix values;    /* ROWS: [R][D], the factor of the history's length included */
    lrea_matrix linear;    /* ROWS: [D + 1][D], the half of the attention that is affine in e: u_L = e A + a0 + ..., A
                              first; data = NULL: computed from the rows */
    const float *sums;     /* BUCKETS: [planes / tau * 2^tau][D], any alignment */
    const int32_t *ids;    /* BEHAVIORS: [item fields][R] */
    const float *interest; /* INTEREST: [N][D], any alignment */
} lrea_long;

/* Ids from a table's size on are those of values that training did not see: they get the row of an unknown value. */
typedef struct lrea_request {
    int32_t mode;                 /* lrea_mode */
    int64_t candidates;           /* N, 0 and more */
    const int32_t *candidate_ids; /* [item fields][N] */
    int64_t short_behaviors;      /* S, 0 and more */
    const int32_t *short_ids;     /* [item fields][S], in any order */
    const int32_t *profile_ids;   /* [profile fields], or [profile fields][N] if profile_by_candidate */
    int32_t profile_by_candidate; /* 0: all candidates share the profile */
    const int32_t *counts;        /* [counters][N]: behaviors before the request with the candidate's value, m */
    int64_t history_length;       /* number of behaviors before the request */
    lrea_long history;
} lrea_request;

/* A request that brings the bytes of the user's record, from which the long part, the counts of matches and the history's
 * length are read. The checksum is the caller's to compare: the last 8 bytes are the XXH3 (64 bits) of all before.
 *
 *   record: int64 key | int32 history length | int32 rows R | int32 values M of each counter | columns | uint64 checksum
 *   columns: keys [R][D], values [R][D] in the cache's dtype, linear [D + 1][D] in float32, or int8 in an int8 cache; or
 *   the sums [R][D] of sdim in float32 or int8; or none (din-short). An int8 column is followed by the scales of its rows,
 *   in float16. Then for each counter its values int32 [M], ascending, and their counts int32 [M].
 *   The counters' sizes and each column are padded to 8 bytes.
 */
typedef struct lrea_record_request {
    int32_t mode;                 /* lrea_mode */
    const void *record;           /* NULL: a user without a record */
    uint64_t record_size;         /* bytes */
    int32_t record_dtype;         /* lrea_dtype of the cache */
    int64_t candidates;           /* N, 0 and more */
    const int32_t *candidate_ids; /* [item fields][N] */
    int64_t short_behaviors;      /* S, 0 and more */
    const int32_t *short_ids;     /* [item fields][S], newest first */
    int64_t newer;                /* so many of the newest the record does not know: they are counted, too */
    const int32_t *profile_ids;   /* as of lrea_request */
    int32_t profile_by_candidate;
} lrea_record_request;

/* What a model expects. */
typedef struct lrea_sizes {
    int64_t item_fields, profile_fields, width, hidden, counters, planes, tau;
} lrea_sizes;

typedef struct lrea_model lrea_model;

/* LREA_ABI of the library. */
LREA_API int32_t lrea_abi(void);

/* Open a model. Returns NULL and writes a text that ends with zero to `error` if the bytes are no whole model.bin.
 *   bytes       at least 4-byte aligned (64 is best); they must stay as they are until lrea_close
 *   size        of the bytes
 *   error_size  of `error`; 0 if no text is wanted
 */
LREA_API lrea_model *lrea_open(const void *bytes, uint64_t size, char *error, uint64_t error_size);
LREA_API void lrea_close(lrea_model *model);
LREA_API void lrea_sizes_of(const lrea_model *model, lrea_sizes *sizes);

/* Score: logits [N] float32. Returns lrea_status; the logits are undefined unless it is LREA_OK. */
LREA_API int lrea_score(const lrea_model *model, const lrea_request *request, float *logits);

/* The same with the bytes of a record; LREA_UNSUPPORTED for one that is searched (sim, eta, twin) or read with softmax. */
LREA_API int lrea_score_record(const lrea_model *model, const lrea_record_request *request, float *logits);

/* The long interest alone: interests [N][D] float32; it reads mode, candidates, candidate_ids and history. */
LREA_API int lrea_interest(const lrea_model *model, const lrea_request *request, float *interests);

/* The path that a mode takes on this machine: "amx x6", "amx x3", "avx512", "avx2", "neon" or "baseline"; NULL if the
 * machine lacks it. */
LREA_API const char *lrea_path(int32_t mode);

/* Why AUTO takes its path, in one sentence. */
LREA_API const char *lrea_why(void);

/* What a status means, in one sentence. */
LREA_API const char *lrea_status_text(int32_t status);

#ifdef __cplusplus
}
#endif
#endif
