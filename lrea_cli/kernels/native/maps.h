// What kernels make of the operands before they multiply: the maps of a candidate, and keys in vector lanes.
#pragma once
#include "internal.h"
#include "simd.h"

namespace {

using lrea::Operands;

// The map of a candidate, M = [W2 + diag(e) W3; e W1 + b], [D + 1][Hp].
inline void build_map(const Operands &o, const float *e, float *map) {
    float *last = map + (size_t)o.D * o.Hp;
    for (int h = 0; h < o.Hp; h += LANES) {
        vec offset = load(o.b + h);
        for (int d = 0; d < o.D; d++) {
            const size_t at = (size_t)d * o.Hp + h;
            const vec factor = splat(e[d]);
            store(map + at, fma(factor, load(o.W3 + at), load(o.W2 + at)));
            offset = fma(factor, load(o.W1 + at), offset);
        }
        store(last + h, offset);
    }
}

// The transposed map of the keys times w, [H][Dp]: column h of W2 + diag(e) W3, times w_h. `e` has Dp columns.
inline void build_turned_map(const Operands &o, const float *e, float *turned) {
    for (int h = 0; h < o.H; h++)
        for (int d = 0; d < o.Dp; d += LANES) {
            const size_t at = (size_t)h * o.Dp + d;
            store(turned + at, fma(load(e + d), load(o.W3_turned + at), load(o.W2_turned + at)));
        }
}

// Rows [count][D] as [D][lanes]; lanes are a multiple of 4, and those past `count` repeat the last row.
inline void turn_rows(int count, int D, const float *rows, int lanes, float *to) {
    for (int i = 0; i < lanes; i += 4) {
        const float *next[4];
        for (int j = 0; j < 4; j++) next[j] = rows + (size_t)smaller(i + j, count - 1) * D;
        int d = 0;
        for (; d + 4 <= D; d += 4) {
            transpose_four(next, to + (size_t)d * lanes + i, lanes);
            for (int j = 0; j < 4; j++) next[j] += 4;
        }
        for (int left = 0; d + left < D; left++)
            for (int j = 0; j < 4; j++) to[(size_t)(d + left) * lanes + i + j] = next[j][left];
    }
}

}  // namespace
