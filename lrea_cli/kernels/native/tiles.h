// Tiles of a matrix product that stay in registers: some rows by some vectors of columns.
#pragma once
#include "internal.h"
#include "simd.h"

namespace {

constexpr int QUARTER = 4;  // rows of products are a multiple of this: rows past the last real one are not used
constexpr int MOST_ROWS = REGISTERS == 32 ? 3 * QUARTER : QUARTER;  // of a tile: times 2 vectors, most of the registers

static_assert(lrea::PAD % LANES == 0);

inline int quarters(int n) { return (n + QUARTER - 1) / QUARTER * QUARTER; }

// tile[i] += sum_k x[i * STEP + k * x_k] b[k]
template <int STEP, int ROWS, int V>
inline void accumulate(vec (&tile)[ROWS][V], const float *x, size_t x_k, const float *b, size_t b_row, int K) {
    for (int k = 0; k < K; k++, x += x_k, b += b_row) {
        vec column[V];
        EACH (v, V) column[v] = load(b + v * LANES);
        EACH (i, ROWS) {
            const vec factor = splat(x[i * STEP]);
            EACH (v, V) tile[i][v] = fma(factor, column[v], tile[i][v]);
        }
    }
}

// Columns of out[rows][out_row] += x b, see `accumulate`; rows are a multiple of QUARTER
template <int STEP, int ROWS, int V>
inline void add_columns(int rows, const float *x, size_t x_k, const float *b, size_t b_row, int K, float *out,
                        size_t out_row) {
    int r = 0;
    for (; r + ROWS <= rows; r += ROWS, out += ROWS * out_row) {
        vec tile[ROWS][V];
        EACH (i, ROWS)
            EACH (v, V) tile[i][v] = load(out + i * out_row + v * LANES);
        accumulate<STEP>(tile, x + r * STEP, x_k, b, b_row, K);
        EACH (i, ROWS)
            EACH (v, V) store(out + i * out_row + v * LANES, tile[i][v]);
    }
    if constexpr (ROWS > QUARTER)
        if (r < rows) add_columns<STEP, ROWS - QUARTER, V>(rows - r, x + r * STEP, x_k, b, b_row, K, out, out_row);
}

// out[rows][columns] += x b; columns are a multiple of PAD
template <int STEP>
inline void add_product(int rows, int columns, const float *x, size_t x_k, const float *b, size_t b_row, int K,
                        float *out, size_t out_row) {
    int c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES)
        add_columns<STEP, MOST_ROWS, 2>(rows, x, x_k, b + c, b_row, K, out + c, out_row);
    if (c < columns) add_columns<STEP, MOST_ROWS, 1>(rows, x, x_k, b + c, b_row, K, out + c, out_row);
}

}  // namespace
