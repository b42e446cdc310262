// The gradient in float32: hidden units in vector lanes; the signs of a block of rows are in the L1 cache.
#pragma once
#include "maps.h"
#include "tiles.h"

namespace {

using lrea::Sums;

constexpr int SIGN_ROWS = 4 * 12;  // of a block: whole tiles
constexpr int SIGN_UNITS = 64;     // of a block, and the distance of its rows

// sign(x) * factor; sign(0) = 0, and so is that of what is no number
inline vec signed_by(vec x, float factor) {
    const vec flipped = (vec)(((ivec)x & (int32_t)0x80000000) ^ (ivec)splat(factor));
    return absolute(x) > vec{} ? flipped : splat(0 * factor);
}

// Keys and gradients of scores of a block of rows.
struct Rows {
    int count;              // rounded up to QUARTER
    const float *turned;    // [D][SIGN_ROWS]: a row of the block in each lane
    const float *keys;      // [rows][quarters(D)]
    const float *d_scores;  // [SIGN_ROWS], zero past the last row
    float *d_k;             // [count][Dp]
};

// V vectors of G = sign([k, 1] M) * d_scores, from the column that `map` points to; adds their sum over rows to `sums`
template <int ROWS, int V>
inline void sign_columns(const Operands &o, const Rows &rows, int r, const float *map, float *signs, vec (&sums)[V]) {
    for (; r + ROWS <= rows.count; r += ROWS) {
        vec hidden[ROWS][V];
        EACH (i, ROWS)
            EACH (v, V) hidden[i][v] = load(map + (size_t)o.D * o.Hp + v * LANES);
        accumulate<1>(hidden, rows.turned + r, SIGN_ROWS, map, o.Hp, o.D);
        EACH (i, ROWS)
            EACH (v, V) {
                const vec sign = signed_by(hidden[i][v], rows.d_scores[r + i]);
                store(signs + (r + i) * SIGN_UNITS + v * LANES, sign);
                sums[v] += sign;
            }
    }
    if constexpr (ROWS > QUARTER) sign_columns<ROWS - QUARTER, V>(o, rows, r, map, signs, sums);
}

template <int V>
inline void sign_vectors(const Operands &o, const Rows &rows, const float *map, float *signs, float *P_one) {
    vec sums[V];
    EACH (v, V) sums[v] = load(P_one + v * LANES);
    sign_columns<MOST_ROWS, V>(o, rows, 0, map, signs, sums);
    EACH (v, V) store(P_one + v * LANES, sums[v]);
}

// P [quarters(D)][Hp] += k^T G, P_one [Hp] += 1^T G, d_k += G (M w)^T of a block of rows; signs is memory for G
inline void pass_block(const Operands &o, const Rows &rows, const float *map, const float *turned, float *P,
                       float *P_one, float *signs) {
    for (int h = 0; h < o.Hp; h += SIGN_UNITS) {
        const int units = smaller(SIGN_UNITS, o.Hp - h);
        int c = 0;
        for (; c + 2 * LANES <= units; c += 2 * LANES) sign_vectors<2>(o, rows, map + h + c, signs + c, P_one + h + c);
        if (c < units) sign_vectors<1>(o, rows, map + h + c, signs + c, P_one + h + c);
        add_product<1>(quarters(o.D), units, rows.keys, quarters(o.D), signs, SIGN_UNITS, rows.count, P + h, o.Hp);
        add_product<SIGN_UNITS>(rows.count, o.Dp, signs, 1, turned + (size_t)h * o.Dp, o.Dp, smaller(units, o.H - h),
                                rows.d_k, o.Dp);
    }
}

inline float total(vec x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}

// From P and the map of one candidate: d_e [D], and what the candidate adds to the sums
inline void finish_candidate(const Operands &o, const float *e, const float *map, const float *P, const float *P_one,
                             const Sums &sums, float *d_e) {
    const float *map_one = map + (size_t)o.D * o.Hp;
    for (int h = 0; h < o.Hp; h += LANES) {
        const vec one = load(P_one + h);
        store(sums.b + h, load(sums.b + h) + one);
        store(sums.w + h, fma(one, load(map_one + h), load(sums.w + h)));
    }
    for (int d = 0; d < o.D; d++) {
        const vec factor = splat(e[d]);
        vec of_e{};
        for (int h = 0; h < o.Hp; h += LANES) {
            const size_t at = (size_t)d * o.Hp + h;
            const vec p = load(P + at), one = load(P_one + h);
            store(sums.w + h, fma(p, load(map + at), load(sums.w + h)));
            store(sums.W1 + at, fma(factor, one, load(sums.W1 + at)));
            store(sums.W2 + at, load(sums.W2 + at) + p);
            store(sums.W3 + at, fma(factor, p, load(sums.W3 + at)));
            of_e = fma(p, load(o.W3_w + at), fma(one, load(o.W1_w + at), of_e));
        }
        d_e[d] = total(of_e);
    }
}

// The pieces of a thread's scratch memory; R is rounded up to whole blocks.
struct Pieces {
    float *map;        // [D + 1][Hp]
    float *of_keys;    // [H][Dp], the transposed map of the keys times w
    float *signs;      // [SIGN_ROWS][SIGN_UNITS]
    float *P, *P_one;  // [quarters(D)][Hp] and [Hp]
    float *e;          // [Dp]
    float *d_scores;   // [R]
    float *d_k;        // [R][Dp]
    float *turned;     // [R / SIGN_ROWS][D][SIGN_ROWS]
    float *keys;       // [R][quarters(D)]
    size_t floats;

    Pieces(const Operands &o, float *scratch) {
        const size_t Hp = o.Hp, Dp = o.Dp, D = o.D, R = (o.R + SIGN_ROWS - 1) / SIGN_ROWS * SIGN_ROWS;
        floats = 0;
        auto take = [&](size_t count) { return scratch + (floats += count) - count; };
        map = take((D + 1) * Hp), of_keys = take(o.H * Dp), signs = take(SIGN_ROWS * SIGN_UNITS);
        P = take(quarters(o.D) * Hp), P_one = take(Hp), e = take(Dp), d_k = take(R * Dp);
        d_scores = take(R), turned = take(R * D), keys = take(R * quarters(o.D));
    }
};

size_t scratch_of_gradient(const Operands &o) { return Pieces(o, nullptr).floats; }

// Keys [R][D] for both products, and d_k = 0
inline void start_request(const Operands &o, const float *keys, const Pieces &at) {
    const size_t D = o.D, row = quarters(o.D), Dp = o.Dp;
    for (int r = 0; r < o.R; r += SIGN_ROWS)
        turn_rows(smaller(SIGN_ROWS, o.R - r), o.D, keys + r * D, SIGN_ROWS, at.turned + r * D);
    for (int r = 0; r < o.R; r++) {
        for (size_t d = 0; d < D; d++) at.keys[r * row + d] = keys[r * D + d];
        for (size_t d = 0; d < Dp; d++) at.d_k[r * Dp + d] = 0;
    }
}

// P and P_one of one candidate, whose maps are built; adds its part to d_k
inline void pass_rows(const Operands &o, const Pieces &at, const float *d_scores) {
    for (int i = 0; i < quarters(o.D) * o.Hp; i++) at.P[i] = 0;
    for (int h = 0; h < o.Hp; h++) at.P_one[h] = 0;
    for (int r = 0; r < o.R; r++) at.d_scores[r] = d_scores[r];
    for (int r = 0; r < o.R; r += SIGN_ROWS) {
        const Rows rows = {quarters(smaller(SIGN_ROWS, o.R - r)), at.turned + (size_t)r * o.D,
                           at.keys + (size_t)r * quarters(o.D), at.d_scores + r, at.d_k + (size_t)r * o.Dp};
        pass_block(o, rows, at.map, at.of_keys, at.P, at.P_one, at.signs);
    }
}

void gradient(const Operands &o, size_t request, const float *d_scores, float *d_e, float *d_k, const Sums &sums,
              float *scratch) {
    const Pieces at(o, scratch);
    const size_t D = o.D, R = o.R;
    start_request(o, o.k + request * R * D, at);
    for (int n = 0; n < o.N; n++) {
        const float *e = o.e + (request * o.N + n) * D;
        for (size_t d = 0; d < D; d++) at.e[d] = e[d];
        build_map(o, e, at.map);
        build_turned_map(o, at.e, at.of_keys);
        pass_rows(o, at, d_scores + n * R);
        finish_candidate(o, e, at.map, at.P, at.P_one, sums, d_e + n * D);
    }
    for (size_t r = 0; r < R; r++)
        for (size_t d = 0; d < D; d++) d_k[r * D + d] = at.d_k[r * o.Dp + d];
}

}  // namespace
