// Peaks of one thread, for benchmarks/native.py: float32 FMA of the widest vectors, and AMX products of bfloat16.
#include <ctime>
#include <immintrin.h>
#include <stdint.h>

#if defined(__AVX512F__)
typedef __m512 vec;
#define SPLAT _mm512_set1_ps
#define FMA _mm512_fmadd_ps
#else
typedef __m256 vec;
#define SPLAT _mm256_set1_ps
#define FMA _mm256_fmadd_ps
#endif
constexpr int CHAINS = 12;

static double seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

// GFLOP/s of `rounds` times CHAINS products and sums
extern "C" double peak_fma(long rounds) {
    vec a = SPLAT(0.999f), b = SPLAT(1e-3f), x[CHAINS];
    for (vec &each : x) each = b;
    asm volatile("" : "+v"(a), "+v"(b));
    const double start = seconds();
    for (long i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) x[c] = FMA(x[c], a, b);
    const double spent = seconds() - start;
    for (vec &each : x) asm volatile("" ::"v"(each));
    return rounds * (CHAINS * sizeof(vec) / 2.0) / spent * 1e-9;
}

// GFLOP/s of products of tiles; a process that lrea allowed to use AMX may call it
extern "C" double peak_amx(long rounds) {
    struct alignas(64) {
        uint8_t palette = 1, start = 0, zero[14] = {};
        uint16_t bytes[16] = {};
        uint8_t rows[16] = {};
    } config;
    for (int i = 0; i < 8; i++) config.bytes[i] = 64, config.rows[i] = 16;
    asm volatile("ldtilecfg %0" ::"m"(config));
    asm volatile("tilezero %tmm0\n tilezero %tmm1\n tilezero %tmm2\n tilezero %tmm3\n tilezero %tmm4\n tilezero %tmm5");
    const double start = seconds();
    for (long i = 0; i < rounds; i++)
        asm volatile(
            "tdpbf16ps %tmm5, %tmm4, %tmm0\n tdpbf16ps %tmm5, %tmm4, %tmm1\n"
            "tdpbf16ps %tmm5, %tmm4, %tmm2\n tdpbf16ps %tmm5, %tmm4, %tmm3");
    const double spent = seconds() - start;
    asm volatile("tilerelease");
    return rounds * 4 * (2.0 * 16 * 16 * 32) / spent * 1e-9;
}
