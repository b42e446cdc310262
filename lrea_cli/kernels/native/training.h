/* The absolute half of DIN's attention for training, in float32 on a CPU, and its gradient. C99 and C++.
 *
 *     score[b][n][r] = sum_h w_h |[k_br, 1] M_bn|_h,   M_bn = [W2 + diag(e_bn) W3; e_bn W1 + b]   (D + 1, H)
 *
 * No hidden value [k, 1] M goes through memory: both functions compute it in registers, the gradient once more. With
 * G = sign([k, 1] M_n) * d_score_n, where sign(0) = 0, and P = [k, 1]^T G:
 *
 *     d M = P w,   d k += G (M w)^T,   d w += sum_d P * M,   and d M goes on to e, W1, W2, W3 and b.
 *
 * The bits of a result depend on the instruction set alone, not on the number of threads.
 *
 * Letters: B requests, N candidates, R rows, D width of an item vector, H hidden units. Matrices are row-major.
 */
#ifndef LREA_TRAINING_H
#define LREA_TRAINING_H
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
#define LREA_TRAINING_ABI 1

/* What a call returns. */
enum lrea_training_status {
    LREA_TRAINING_OK = 0,
    LREA_TRAINING_NO_MEMORY = 1,
    LREA_TRAINING_UNSUPPORTED = 2 /* the machine lacks the instruction set */
};

enum lrea_training_mode {
    LREA_TRAINING_AUTO = 0, /* the fastest that the machine has */
    LREA_TRAINING_BASELINE = 1,
    LREA_TRAINING_AVX2 = 2,
    LREA_TRAINING_AVX512 = 3
};

typedef struct lrea_attention {
    int64_t B, N, R, D, H;     /* 0 and more */
    const float *e;            /* [B][N][D], the candidates */
    const float *k;            /* [B][R][D], the keys */
    const float *W1, *W2, *W3; /* [D][H] */
    const float *b, *w;        /* [H]; w = g w_o */
} lrea_attention;

/* The gradients, of the same shapes; each is written, not added to. */
typedef struct lrea_attention_gradient {
    float *e, *k, *W1, *W2, *W3, *b, *w;
} lrea_attention_gradient;

/* LREA_TRAINING_ABI of the library. */
LREA_API int32_t lrea_training_abi(void);

/* The name of the instruction set that a mode takes on this machine; NULL if the machine lacks it. */
LREA_API const char *lrea_training_path(int32_t mode);

/* scores [B][N][R]. Returns lrea_training_status; `threads` is 1 or more. */
LREA_API int lrea_attention_scores(const lrea_attention *attention, int32_t mode, int32_t threads, float *scores);

/* The gradient of sum d_scores * scores; d_scores [B][N][R]. Returns lrea_training_status. */
LREA_API int lrea_attention_backward(const lrea_attention *attention, const float *d_scores, int32_t mode,
                                     int32_t threads, const lrea_attention_gradient *gradient);

#ifdef __cplusplus
}
#endif
#endif
