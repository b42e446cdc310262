// Vectors of LANES floats, by the vector extensions of GCC and Clang: one source for AVX-512, AVX2, NEON and SSE2.
//
// Sources are compiled with -ffp-contract=off: a product and a sum are one rounding exactly where `fma` is written, so
// results do not depend on what the compiler fuses. Only SSE2 has no such instruction; there `fma` rounds twice.
#pragma once
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif
// for i in 0 .. n - 1, without a loop: what it touches stays in registers
#define EACH(i, n) UNROLLED for (int i = 0; i < (n); i++)

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int LANES = 8, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int LANES = 4, REGISTERS = 32;
#else
constexpr int LANES = 4, REGISTERS = 16;
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef float loose_vec __attribute__((vector_size(4 * LANES), may_alias, aligned(4)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

inline vec load(const float *from) { return *reinterpret_cast<const loose_vec *>(from); }
inline void store(float *to, vec x) { *reinterpret_cast<loose_vec *>(to) = x; }
inline vec splat(float x) { return x - vec{}; }
inline vec absolute(vec x) { return (vec)((ivec)x & 0x7fffffff); }

inline vec fma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
    return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}

inline vec leaky(vec x, float slope) {  // 0 <= slope <= 1
    vec scaled = x * splat(slope);
    return x > scaled ? x : scaled;
}

typedef float four __attribute__((vector_size(16), may_alias, aligned(4)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLED(a, b, i, j, k, l) __builtin_shuffle(a, b, (int32_t __attribute__((vector_size(16)))){i, j, k, l})
#endif

// out[c][i] = rows[i][c] for 4 rows and 4 columns
inline void transpose_four(const float *const rows[4], float *out, size_t out_row) {
    const four *r[4];
    for (int i = 0; i < 4; i++) r[i] = reinterpret_cast<const four *>(rows[i]);
    const four low = SHUFFLED(*r[0], *r[1], 0, 4, 1, 5), high = SHUFFLED(*r[0], *r[1], 2, 6, 3, 7);
    const four low2 = SHUFFLED(*r[2], *r[3], 0, 4, 1, 5), high2 = SHUFFLED(*r[2], *r[3], 2, 6, 3, 7);
    *reinterpret_cast<four *>(out) = SHUFFLED(low, low2, 0, 1, 4, 5);
    *reinterpret_cast<four *>(out + out_row) = SHUFFLED(low, low2, 2, 3, 6, 7);
    *reinterpret_cast<four *>(out + 2 * out_row) = SHUFFLED(high, high2, 0, 1, 4, 5);
    *reinterpret_cast<four *>(out + 3 * out_row) = SHUFFLED(high, high2, 2, 3, 6, 7);
}

inline int smaller(int a, int b) { return a < b ? a : b; }

}  // namespace
