// The interest on AMX tiles: a tile of hidden values has 16 units and 16 candidates, and starts from c_j in float32.
#pragma once
#include "attention.h"
#include "tiles.h"

namespace {

constexpr size_t MAPS_BYTES = 768 << 10;  // of the keys whose maps stay in L2 while the candidates pass
constexpr size_t TILES_BYTES = 48 << 10;  // of the candidates whose tiles stay near while a key passes

// Maps of one key, tiles [block of 16 units][step of 32 columns][part] of [16 units][32 columns]
template <int PARTS>
void pack_key(const Scorer &s, const float *key, uint16_t *out) {
    const int steps = s.tile_width / DEPTH;
    for (int h = 0; h < s.units; h++)
        for (int k = 0; k < steps; k++) {
            const float *W1 = s.W1_rows + (size_t)h * s.tile_width + k * DEPTH, *W3 = s.W3_rows + (W1 - s.W1_rows);
            const int left = s.padded - k * DEPTH;  // 16, or 32 and more: the rest of a tile row is zero in W1 and W3
            __m512 first = _mm512_loadu_ps(key + k * DEPTH);
            __m512 second = left > TILE ? _mm512_loadu_ps(key + k * DEPTH + TILE) : _mm512_setzero_ps();
            split<PARTS>(_mm512_fmadd_ps(first, _mm512_load_ps(W3), _mm512_load_ps(W1)),
                         _mm512_fmadd_ps(second, _mm512_load_ps(W3 + TILE), _mm512_load_ps(W1 + TILE)),
                         out + ((size_t)(h / TILE * steps + k) * PARTS * TILE + h % TILE) * DEPTH, TILE_HALVES);
        }
}

// Candidates as tiles [block of 16 candidates][step][part] of [16 pairs of columns][16 candidates][2]
template <int PARTS>
void pack_candidates(const Scorer &s, const float *candidates, int count, uint16_t *out) {
    alignas(64) uint16_t rows[PARTS * TILE_HALVES];
    const int steps = s.tile_width / DEPTH;
    for (int n = 0; n < count; n += TILE)
        for (int k = 0; k < steps; k++) {
            for (int i = 0; i < TILE; i++) {
                __m512 a = _mm512_setzero_ps(), b = a;
                const float *from = candidates + (size_t)(n + i) * s.padded + k * DEPTH;
                if (n + i < count) {
                    a = _mm512_loadu_ps(from);
                    if (s.padded - k * DEPTH > TILE) b = _mm512_loadu_ps(from + TILE);
                }
                split<PARTS>(a, b, rows + i * DEPTH, TILE_HALVES);
            }
            for (int part = 0; part < PARTS; part++, out += TILE_HALVES) pair_columns(rows + part * TILE_HALVES, out);
        }
}

// A start tile [16 units][16 candidates] of c_j
inline void start_tile(const float *offsets, float *tile) {
    for (int h = 0; h < TILE; h++) _mm512_store_ps(tile + h * TILE, _mm512_set1_ps(offsets[h]));
}

// scores [16] (+)= sum_h w_h |x_h| of x [16 units][16]
inline void weigh(const float *x, const float *w, bool add, float *scores) {
    __m512 sum[4] = {add ? _mm512_loadu_ps(scores) : _mm512_setzero_ps()};
    for (int i = 1; i < 4; i++) sum[i] = _mm512_setzero_ps();
    EACH (h, TILE / 4)
        EACH (i, 4) {
            const __m512 unit = _mm512_load_ps(x + (4 * h + i) * TILE);
            sum[i] = _mm512_fmadd_ps(_mm512_abs_ps(unit), _mm512_set1_ps(w[4 * h + i]), sum[i]);
        }
    _mm512_storeu_ps(scores, _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

// Tiles 0, 1, 2: the parts of 16 units. 3, 4: parts of 16 candidates. 5, 6, 7: sums of three blocks of candidates in
// turn, so that neither a product nor a store need wait for the one before it.
#define LOAD_UNITS(from) \
    TILE_LOAD(0, from, 64); \
    TILE_LOAD(1, (from) + TILE_HALVES, 64); \
    if (PARTS == 3) TILE_LOAD(2, (from) + 2 * TILE_HALVES, 64)

// The products of one step, small ones first: 6 of three parts, 3 of two
#define ADD_STEP(sum, from) \
    if (PARTS == 3) { \
        TILE_LOAD(3, (from) + 2 * TILE_HALVES, 64); \
        TILE_ADD(sum, 0, 3); \
    } \
    TILE_LOAD(4, (from) + TILE_HALVES, 64); \
    if (PARTS == 3) TILE_ADD(sum, 1, 4); \
    TILE_ADD(sum, 0, 4); \
    TILE_LOAD(3, from, 64); \
    if (PARTS == 3) TILE_ADD(sum, 2, 3); \
    TILE_ADD(sum, 1, 3); \
    TILE_ADD(sum, 0, 3)

// Compute the sums of block t, store those of the block before, and weigh those of the block before that.
#define TURN(sum, sum_before, t) \
    if ((t) < blocks) { \
        TILE_LOAD(sum, start, 64); \
        for (int k = 0; k < steps; k++) { \
            if (steps > 1) { \
                LOAD_UNITS(units + (size_t)k * PARTS * TILE_HALVES); \
            } \
            const uint16_t *block = candidates + ((size_t)(t) * steps + k) * PARTS * TILE_HALVES; \
            ADD_STEP(sum, block); \
        } \
    } \
    if ((t) >= 1 && (t) < blocks + 1) TILE_STORE(sum_before, hidden[((t) - 1) & 3]); \
    if ((t) >= 2 && (t) < blocks + 2) weigh(hidden[((t) - 2) & 3], s.w + h, h > 0, scores + ((t) - 2) * TILE)

// scores [blocks * 16] of one key for blocks of candidates
template <int PARTS>
inline void score_tiles(const Scorer &s, const uint16_t *maps, const float *offsets, const uint16_t *candidates,
                        int blocks, float *scores) {
    alignas(64) float start[TILE * TILE], hidden[4][TILE * TILE];
    const int steps = s.tile_width / DEPTH;
    for (int h = 0; h < s.units; h += TILE) {
        start_tile(offsets + h, start);
        const uint16_t *units = maps + (size_t)(h / TILE) * steps * PARTS * TILE_HALVES;
        if (steps == 1) {
            LOAD_UNITS(units);
        }
        for (int t = 0; t < blocks + 2; t += 3) {
            TURN(5, 7, t);
            TURN(6, 5, t + 1);
            TURN(7, 6, t + 2);
        }
    }
}

template <int PARTS>
void amx_interest(const Scorer &s, const Rows &rows, const float *candidates, int count, float *out, Scratch &scratch) {
    start_interest(s, rows, candidates, count, out);
    if (!rows.count || !count) return;
    const float *offsets = key_offsets(s, rows, scratch);
    const size_t key_size = (size_t)s.units * s.tile_width * PARTS, block_size = (size_t)TILE * s.tile_width * PARTS;
    const int keys_at_once = smaller(rows.count, (int)(MAPS_BYTES / (2 * key_size)) + 1);
    const int blocks = (count + TILE - 1) / TILE,
              blocks_at_once = smaller(blocks, (int)(TILES_BYTES / (2 * block_size)) + 1);
    uint16_t *maps = (uint16_t *)take_bytes(scratch, lrea::KEY_MAPS, keys_at_once * key_size * 2);
    uint16_t *tiles = (uint16_t *)take_bytes(scratch, lrea::CANDIDATE_TILES, blocks * block_size * 2);
    const size_t stride = (size_t)blocks_at_once * TILE;
    float *scores = take(scratch, lrea::SCORES, keys_at_once * stride);
    pack_candidates<PARTS>(s, candidates, count, tiles);
    for (int first = 0; first < rows.count; first += keys_at_once) {
        const int keys = smaller(keys_at_once, rows.count - first);
        for (int j = 0; j < keys; j++)
            pack_key<PARTS>(s, rows.keys + (size_t)(first + j) * s.padded, maps + j * key_size);
        for (int t = 0; t < blocks; t += blocks_at_once) {
            const int some = smaller(blocks_at_once, blocks - t), n = t * TILE;
            for (int j = 0; j < keys; j++)
                score_tiles<PARTS>(s, maps + j * key_size, offsets + (size_t)(first + j) * s.units,
                                   tiles + t * block_size, some, scores + j * stride);
            mix_values(s, keys, rows.values + (size_t)first * s.padded, scores, stride, smaller(some * TILE, count - n),
                       out + (size_t)n * s.padded);
        }
    }
}

}  // namespace
