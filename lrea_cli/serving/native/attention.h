// What the fp32 and the AMX kernels of the interest share: its linear half, the offsets of the keys, the mix of values.
//
//     u_n = e_n A + a0 + sum_j s_nj v_j,   s_nj = sum_h w_h |e_n U_j + c_j|_h,   w = g w_o
//     U_j = W1 + diag(k_j) W3,   c_j = k_j W2 + b
#pragma once
#include "internal.h"
#include "matmul.h"

namespace {

using lrea::PANEL;
using lrea::Rows;
using lrea::Scorer;
using lrea::Scratch;

// A = a [W1 w_o (sum v)^T + diag(W3 w_o) K^T V],   a0 = a [(b . w_o) sum v + (W2 w_o)^T K^T V],   a = (1 + slope) / 2
void linear_half(const Scorer &s, int count, const float *keys, const float *values, float *linear) {
    const float a = (1 + s.slope) / 2;
    float *offset = linear + (size_t)s.width * s.padded;
    for (size_t i = 0; i < (size_t)(s.width + 1) * s.padded; i++) linear[i] = 0;
    multiply(s.width, s.padded, count, {keys, 1, (size_t)s.padded}, values, s.padded, nullptr, linear, s.padded);
    for (int c = 0; c < s.padded; c += LANES) {
        vec total{}, crossed{};
        for (int j = 0; j < count; j++) total += load(values + (size_t)j * s.padded + c);
        for (int d = 0; d < s.width; d++) {
            float *A = linear + (size_t)d * s.padded + c;
            vec product = load(A);
            crossed = fma(splat(s.W2_wo[d]), product, crossed);
            store(A, splat(a) * fma(splat(s.W3_wo[d]), product, splat(s.W1_wo[d]) * total));
        }
        store(offset + c, splat(a) * fma(splat(s.b_wo), total, crossed));
    }
}

// c_j of all keys, [count][units]
inline float *key_offsets(const Scorer &s, const Rows &rows, Scratch &scratch) {
    float *offsets = take(scratch, lrea::KEY_OFFSETS, (size_t)rows.count * s.units);
    for (int p = 0; p < s.units; p += PANEL)
        multiply(rows.count, PANEL, s.width, {rows.keys, (size_t)s.padded, 1}, s.W2 + (size_t)p * s.width, PANEL,
                 s.b + p, offsets + p, s.units);
    return offsets;
}

// interest [count][padded] = e A + a0
inline void start_interest(const Scorer &s, const Rows &rows, const float *candidates, int count, float *interest) {
    multiply(count, s.padded, s.width, {candidates, (size_t)s.padded, 1}, rows.linear, s.padded,
             rows.linear + (size_t)s.width * s.padded, interest, s.padded);
}

// interest_n += sum_j s_nj v_j; scores [keys][stride], a column for each candidate
inline void mix_values(const Scorer &s, int keys, const float *values, const float *scores, size_t stride, int count,
                       float *interest) {
    multiply(count, s.padded, keys, {scores, 1, stride}, values, s.padded, nullptr, interest, s.padded);
}

}  // namespace
