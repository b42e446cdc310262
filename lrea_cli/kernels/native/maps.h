// The map of a candidate, M = [W2 + diag(e) W3; e W1 + b], (D + 1, Hp), in the L1 cache.
#pragma once
#include "internal.h"
#include "simd.h"

namespace {

using lrea::Operands;

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

}  // namespace
