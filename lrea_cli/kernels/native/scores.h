// The scores in float32: keys in vector lanes, hidden units in registers.
#pragma once
#include "maps.h"

namespace {

constexpr int UNITS = REGISTERS == 32 ? 8 : 4;  // times VECTORS: the accumulators of a block
constexpr int VECTORS = 3;
constexpr int BLOCK = VECTORS * LANES;  // keys of a block

// How many vectors the block of `left` keys has.
inline int vectors_for(int left) { return smaller(VECTORS, (left + LANES - 1) / LANES); }

// sum += sum_h w_h |k M|_h over the units from h on, U at a time, then the rest; k [D][V * LANES]
template <int U, int V>
inline void add_units(const Operands &o, const float *map, const float *k, int h, vec (&sum)[V]) {
    for (; h + U <= o.H; h += U) {
        const float *unit = map + h, *row = k, *offset = map + (size_t)o.D * o.Hp + h;
        vec x[U][V];
        EACH (i, U)
            EACH (v, V) x[i][v] = splat(offset[i]);
        for (int d = 0; d < o.D; d++, unit += o.Hp, row += V * LANES) {
            vec key[V];
            EACH (v, V) key[v] = load(row + v * LANES);
            EACH (i, U) {
                const vec factor = splat(unit[i]);
                EACH (v, V) x[i][v] = fma(factor, key[v], x[i][v]);
            }
        }
        EACH (i, U) {
            const vec weight = splat(o.w[h + i]);
            EACH (v, V) sum[v] = fma(absolute(x[i][v]), weight, sum[v]);
        }
    }
    if constexpr (U > 1) add_units<U / 2, V>(o, map, k, h, sum);
}

// The scores of V vectors of keys, of which `count` are written.
template <int V>
inline void score_block(const Operands &o, const float *map, const float *k, int count, float *scores) {
    vec sum[V] = {};
    add_units<UNITS, V>(o, map, k, 0, sum);
    if (count == V * LANES) {
        EACH (v, V) store(scores + v * LANES, sum[v]);
    } else {
        float some[V * LANES];
        EACH (v, V) store(some + v * LANES, sum[v]);
        for (int i = 0; i < count; i++) scores[i] = some[i];
    }
}

// Keys [R][D] as blocks [D][vectors * LANES]; a block starts at r * D.
inline void turn_keys(const Operands &o, const float *keys, float *blocks) {
    for (int r = 0; r < o.R; r += BLOCK) {
        const int count = smaller(BLOCK, o.R - r);
        turn_rows(count, o.D, keys + (size_t)r * o.D, vectors_for(count) * LANES, blocks + (size_t)r * o.D);
    }
}

size_t scratch_of_scores(const Operands &o) { return (size_t)(o.D + 1) * o.Hp + (size_t)(o.R + BLOCK) * o.D; }

void scores(const Operands &o, size_t request, int first, int count, float *out, float *scratch) {
    float *map = scratch, *blocks = map + (size_t)(o.D + 1) * o.Hp;
    turn_keys(o, o.k + request * o.R * o.D, blocks);
    for (int n = first; n < first + count; n++, out += o.R) {
        build_map(o, o.e + (request * o.N + n) * o.D, map);
        for (int r = 0; r < o.R; r += BLOCK) {
            const float *k = blocks + (size_t)r * o.D;
            const int left = smaller(BLOCK, o.R - r);
            switch (vectors_for(left)) {
                case 1: score_block<1>(o, map, k, left, out + r); break;
                case 2: score_block<2>(o, map, k, left, out + r); break;
                default: score_block<3>(o, map, k, left, out + r);
            }
        }
    }
}

}  // namespace
