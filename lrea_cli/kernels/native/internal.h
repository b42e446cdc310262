// What the files of the library share: the operands as kernels read them, and the table of each instruction set.
//
// Sources named fp32_*.cpp are compiled for other processors than the rest. They may define nothing with external
// linkage but their table, and use no inline function of the standard library: the linker keeps one copy of such a
// function, and it could be the one with AVX-512.
#pragma once
#include <stddef.h>

namespace lrea {

constexpr int PAD = 16;  // padded rows are a multiple of this: whole vectors of every instruction set

static constexpr size_t padded(size_t n) { return (n + PAD - 1) / PAD * PAD; }

// The operands; weights are padded with zeros to Hp = padded(H) or Dp = padded(D) columns.
struct Operands {
    int N, R, D, H, Hp, Dp;
    const float *e, *k;                  // [B][N][D], [B][R][D]
    const float *W1, *W2, *W3;           // [D][Hp]
    const float *b;                      // [Hp]
    const float *w;                      // [H]
    const float *W1_w, *W3_w;            // [D][Hp]: W1 w, W3 w
    const float *W2_turned, *W3_turned;  // [H][Dp]: the transposed W2 w and W3 w
};

// Sums over requests and candidates of the gradients of the weights, before the factor w.
struct Sums {
    float *W1, *W2, *W3;  // [D][Hp]
    float *b, *w;         // [Hp]
};

struct Kernels {
    const char *name;
    // floats of scratch memory that each function takes
    size_t (*scratch_of_scores)(const Operands &);
    size_t (*scratch_of_gradient)(const Operands &);
    // scores [count][R] of `count` candidates of a request, from `first` on
    void (*scores)(const Operands &, size_t request, int first, int count, float *scores, float *scratch);
    // one request: d_scores [N][R] -> d_e [N][D], d_k [R][D]; adds to the sums
    void (*gradient)(const Operands &, size_t request, const float *d_scores, float *d_e, float *d_k, const Sums &,
                     float *scratch);
};

extern const Kernels fp32_baseline;
#if defined(__x86_64__)
extern const Kernels fp32_avx2, fp32_avx512;
#endif

}  // namespace lrea
