// AMX tiles of 16 rows of 64 bytes, and floats as sums of bfloat16 numbers.
//
// A product of two floats, each split into PARTS bfloat16 numbers, is the sum of the largest products of parts: three
// of two parts (x3), or six of three (x6). AMX multiplies bfloat16 numbers exactly and adds in float32. The
// instructions are written here, since the intrinsics of GCC 12 name neither all memory that they read (stores before
// them are dropped) nor that they read it at all.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // its own immintrin.h has such variables
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define TILE_LOAD(tile, from, stride) \
    asm volatile("tileloadd (%0,%1,1), %%tmm" #tile::"r"(from), "r"((long)(stride)) : "memory")
#define TILE_STORE(tile, to) asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"(64L) : "memory")
#define TILE_ADD(sum, a, b) asm volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum::)

namespace {

constexpr int TILE = 16;                   // rows, and floats in a row
constexpr int DEPTH = 32;                  // bfloat16 numbers in a row
constexpr int TILE_HALVES = TILE * DEPTH;  // bfloat16 numbers in a tile

struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// Tiles belong to the thread: another library may configure or release them between two calls.
void enter() {
    TileConfig config;
    for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = TILE;
    asm volatile("ldtilecfg %0" ::"m"(config));
}

void leave() { asm volatile("tilerelease" ::: "memory"); }

// 32 floats (a first) as PARTS rows of 32 bfloat16 numbers, the largest part first: `out` advances by `step` a part
template <int PARTS>
inline void split(__m512 a, __m512 b, uint16_t *out, size_t step) {
    for (int part = 0; part < PARTS; part++) {
        __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(b, a);
        _mm512_store_si512(out + part * step, rounded);
        auto widened = [](__m256i half) { return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16); };
        a = _mm512_sub_ps(a, widened(_mm512_castsi512_si256(rounded)));
        b = _mm512_sub_ps(b, widened(_mm512_extracti64x4_epi64(rounded, 1)));
    }
}

// Rows [16][32] of bfloat16 as the right operand of a product over their columns: [16 pairs of columns][16 rows][2]
inline void pair_columns(const uint16_t *rows, uint16_t *out) {
    const __m512i row = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                           _mm512_set1_epi32(DEPTH / 2));
    for (int pair = 0; pair < TILE; pair++)
        _mm512_store_si512(out + pair * DEPTH, _mm512_i32gather_epi32(row, (const int *)rows + pair, 4));
}

}  // namespace
