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
        EACH (v, VECTORS) column[v] = load(b + k * b_row + v * LANES);
        EACH (i, ROWS) {
            vec factor = splat(x.at[i * x.row + k * x.step]);
            EACH (v, VECTORS) acc[i][v] = fma(factor, column[v], acc[i][v]);
        }
    }
}

// One block of `multiply`, for one chain
template <int ROWS, int VECTORS>
inline void block(Strided x, const float *b, size_t b_row, int K, const float *start, float *out, size_t out_row,
                  float slope) {
    vec acc[ROWS][VECTORS];
    EACH (i, ROWS)
        EACH (v, VECTORS) acc[i][v] = start ? load(start + v * LANES) : vec{};
    accumulate(acc, x, b, b_row, K);
    EACH (i, ROWS)
        EACH (v, VECTORS) {
            float *to = out + i * out_row + v * LANES;
            store(to, leaky(start ? acc[i][v] : acc[i][v] + load(to), slope));
        }
}

template <int ROWS, int VECTORS>
void all_rows(int rows, Strided x, const float *b, size_t b_row, int K, const float *start, float *out, size_t out_row,
              float slope) {
    int i = 0;
    for (; i + ROWS <= rows; i += ROWS)
        block<ROWS, VECTORS>({x.at + i * x.row, x.row, x.step}, b, b_row, K, start, out + i * out_row, out_row, slope);
    if constexpr (ROWS > 1)
        if (i < rows)
            all_rows<ROWS / 2, VECTORS>(rows - i, {x.at + i * x.row, x.row, x.step}, b, b_row, K, start,
                                        out + i * out_row, out_row, slope);
}

// out[rows][columns] = leaky(start[columns] + x[rows][K] b[K][columns]); start null: the products are added to what
// `out` holds; slope 1: leaky(y) = y. Columns are a multiple of PANEL. The rows of b that one chain reads stay in L1.
inline void multiply(int rows, int columns, int K, Strided x, const float *b, size_t b_row, const float *start,
                     float *out, size_t out_row, float slope = 1) {
    for (int c = 0; c < columns;) {
        const bool two = c + 2 * LANES <= columns;
        int k = 0;
        do {
            const int some = smaller(CHAIN, K - k);
            const Strided part = {x.at + k * x.step, x.row, x.step};
            (two ? all_rows<BLOCK_ROWS, 2> : all_rows<BLOCK_ROWS, 1>)(rows, part, b + k * b_row + c, b_row, some,
                                                                      k || !start ? nullptr : start + c, out + c,
                                                                      out_row, k + some < K ? 1 : slope);
            k += some;
        } while (k < K);
        c += two ? 2 * LANES : LANES;
    }
}

}  // namespace
