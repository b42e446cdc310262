// The interest in float32: candidates in vector lanes; the maps of one key are built in the L1 cache.
#pragma once
#include "attention.h"

namespace {

constexpr int UNITS = REGISTERS == 32 ? 8 : 4;  // times VECTORS: the accumulators of a block
constexpr int VECTORS = 3;
constexpr int BLOCK = VECTORS * LANES;  // candidates of a block
constexpr int CHUNK = 6 * BLOCK;        // candidates whose vectors stay in L1 while keys pass
constexpr int KEYS = 128;               // keys whose scores are kept until they are mixed

// U_j as [units / PANEL][D][PANEL]
inline void build_maps(const Scorer &s, const float *key, float *maps) {
    size_t at = 0;
    for (int p = 0; p < s.units; p += PANEL)
        for (int d = 0; d < s.width; d++)
            for (int i = 0; i < PANEL; i += LANES, at += LANES)
                store(maps + at, fma(splat(key[d]), load(s.W3 + at), load(s.W1 + at)));
}

// s_nj of V vectors of candidates: e [D][V * LANES] -> scores [V * LANES]
template <int V>
inline void score_block(const Scorer &s, const float *maps, const float *offsets, const float *e, float *scores) {
    vec sum[V] = {};
    for (int h = 0; h < s.units; h += UNITS) {
        const float *map = maps + (size_t)(h / PANEL) * PANEL * s.width + h % PANEL;
        vec x[UNITS][V];
        EACH (i, UNITS)
            EACH (v, V) x[i][v] = splat(offsets[h + i]);
        const float *column_of_d = e;
        for (int d = 0; d < s.width; d++, map += PANEL, column_of_d += V * LANES) {
            vec column[V];
            EACH (v, V) column[v] = load(column_of_d + v * LANES);
            EACH (i, UNITS) {
                vec factor = splat(map[i]);
                EACH (v, V) x[i][v] = fma(factor, column[v], x[i][v]);
            }
        }
        EACH (i, UNITS) {
            vec weight = splat(s.w[h + i]);
            EACH (v, V) sum[v] = fma(absolute(x[i][v]), weight, sum[v]);
        }
    }
    EACH (v, V) store(scores + v * LANES, sum[v]);
}

// How many vectors the block of `left` candidates has.
inline int vectors_for(int left) { return smaller(VECTORS, (left + LANES - 1) / LANES); }

// Candidates [count][padded] as blocks [D][vectors * LANES]; lanes past `count` repeat the last candidate. A block
// starts at n * D, and may write 3 rows more than D, into the next one.
inline void transpose(const Scorer &s, const float *candidates, int count, float *blocks) {
    for (int n = 0; n < count; n += BLOCK) {
        const int lanes = vectors_for(count - n) * LANES;
        float *to = blocks + (size_t)n * s.width;
        for (int d = 0; d < s.width; d += 4)
            for (int i = 0; i < lanes; i += 4) {
                const float *rows[4];
                for (int r = 0; r < 4; r++) rows[r] = candidates + (size_t)smaller(n + i + r, count - 1) * s.padded + d;
                transpose_four(rows, to + (size_t)d * lanes + i, lanes);
            }
    }
}

inline void score_key(const Scorer &s, const float *maps, const float *offsets, const float *blocks, int count,
                      float *scores) {
    for (int n = 0; n < count; n += BLOCK) {
        const float *e = blocks + (size_t)n * s.width;
        switch (vectors_for(count - n)) {
            case 1: score_block<1>(s, maps, offsets, e, scores + n); break;
            case 2: score_block<2>(s, maps, offsets, e, scores + n); break;
            default: score_block<3>(s, maps, offsets, e, scores + n);
        }
    }
}

void interest(const Scorer &s, const Rows &rows, const float *candidates, int count, float *out, Scratch &scratch) {
    start_interest(s, rows, candidates, count, out);
    if (!rows.count) return;
    const float *offsets = key_offsets(s, rows, scratch);
    float *blocks = take(scratch, lrea::CANDIDATE_TILES, (size_t)CHUNK * (s.width + 3));
    float *maps = take(scratch, lrea::KEY_MAPS, (size_t)s.units * s.width);
    float *scores = take(scratch, lrea::SCORES, (size_t)KEYS * CHUNK);
    for (int n = 0; n < count; n += CHUNK) {
        int some = smaller(CHUNK, count - n);
        transpose(s, candidates + (size_t)n * s.padded, some, blocks);
        for (int first = 0; first < rows.count; first += KEYS) {
            int keys = smaller(KEYS, rows.count - first);
            for (int j = 0; j < keys; j++) {
                build_maps(s, rows.keys + (size_t)(first + j) * s.padded, maps);
                score_key(s, maps, offsets + (size_t)(first + j) * s.units, blocks, some, scores + (size_t)j * CHUNK);
            }
            mix_values(s, keys, rows.values + (size_t)first * s.padded, scores, CHUNK, some,
                       out + (size_t)n * s.padded);
        }
    }
}

}  // namespace
