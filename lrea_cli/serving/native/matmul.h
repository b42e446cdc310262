// The product of a few rows with a matrix whose columns lie in vector lanes; every affine map of a request is one.
//
// Each result is a sum of chains of fma over CHAIN values of k, whatever the size of the block that it is computed in.
#pragma once
#include "simd.h"
#include <stddef.h>

namespace {

constexpr int CHAIN = 128;  // longer chains lose digits: 512 inputs in one chain doubled the error of a logit
constexpr int BLOCK_ROWS = REGISTERS == 32 ? 12 : 6;  // times 2 vectors: most of the registers

// x[i][k] = at[i * row + k * step]
struct Strided {
    const float *at;
    size_t row, step;
};

// acc[i] += sum_k x[i][k] b[k]
template <int ROWS, int VECTORS>
inline void accumulate(vec (&acc)[ROWS][VECTORS], Strided x, const float *b, size_t b_row, int K) {
    for (int k = 0; k < K; k++) {
        vec column[VECTORS];
        UNROLLED for (int v = 0; v < VECTORS; v++) column[v] = load(b + k * b_row + v * LANES);
        UNROLLED for (int i = 0; i < ROWS; i++) {
            vec factor = splat(x.at[i * x.row + k * x.step]);
            UNROLLED for (int v = 0; v < VECTORS; v++) acc[i][v] = fma(factor, column[v], acc[i][v]);
        }
    }
}

// What becomes of a result before it is stored.
struct AsItIs {
    vec operator()(vec x) const { return x; }
};
struct Leaky {
    float slope;  // in 0 to 1
    vec operator()(vec x) const { return leaky(x, slope); }
};

// out[i] = finish(start + sum_k x[i][k] b[k]) for one block; start null: what `out` holds
template <int ROWS, int VECTORS, class Finish>
inline void block(Strided x, const float *b, size_t b_row, int K, const float *start, float *out, size_t out_row,
                  Finish finish) {
    vec acc[ROWS][VECTORS];
    UNROLLED for (int i = 0; i < ROWS; i++)
        UNROLLED for (int v = 0; v < VECTORS; v++) acc[i][v] = load((start ? start : out + i * out_row) + v * LANES);
    accumulate(acc, x, b, b_row, smaller(K, CHAIN));
    for (int k = CHAIN; k < K; k += CHAIN) {
        UNROLLED for (int i = 0; i < ROWS; i++)
            UNROLLED for (int v = 0; v < VECTORS; v++) {
                store(out + i * out_row + v * LANES, acc[i][v]);
                acc[i][v] = vec{};
            }
        accumulate(acc, {x.at + k * x.step, x.row, x.step}, b + k * b_row, b_row, smaller(K - k, CHAIN));
        UNROLLED for (int i = 0; i < ROWS; i++)
            UNROLLED for (int v = 0; v < VECTORS; v++) acc[i][v] += load(out + i * out_row + v * LANES);
    }
    UNROLLED for (int i = 0; i < ROWS; i++)
        UNROLLED for (int v = 0; v < VECTORS; v++) store(out + i * out_row + v * LANES, finish(acc[i][v]));
}

template <int ROWS, int VECTORS, class Finish>
void all_rows(int rows, Strided x, const float *b, size_t b_row, int K, const float *start, float *out, size_t out_row,
              Finish finish) {
    int i = 0;
    for (; i + ROWS <= rows; i += ROWS)
        block<ROWS, VECTORS>({x.at + i * x.row, x.row, x.step}, b, b_row, K, start, out + i * out_row, out_row, finish);
    if constexpr (ROWS > 1)
        if (i < rows)
            all_rows<ROWS / 2, VECTORS>(rows - i, {x.at + i * x.row, x.row, x.step}, b, b_row, K, start,
                                        out + i * out_row, out_row, finish);
}

// out[rows][columns] = finish(start[columns] + x[rows][K] b[K][columns]); columns are a multiple of PANEL
template <class Finish = AsItIs>
inline void multiply(int rows, int columns, int K, Strided x, const float *b, size_t b_row, const float *start,
                     float *out, size_t out_row, Finish finish = {}) {
    int c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES)
        all_rows<BLOCK_ROWS, 2>(rows, x, b + c, b_row, K, start ? start + c : nullptr, out + c, out_row, finish);
    if (c < columns)
        all_rows<BLOCK_ROWS, 1>(rows, x, b + c, b_row, K, start ? start + c : nullptr, out + c, out_row, finish);
}

}  // namespace
