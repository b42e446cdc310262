// The interface: packs the weights once a call, splits requests over threads, and adds the weights' gradients in order.
#include "training.h"
#include "cpu.h"
#include "internal.h"
#include "parts.h"
#include <new>

namespace lrea {
namespace {

constexpr size_t PARTS = 32;           // at most; of requests whose weights' gradients are added up by one thread
constexpr size_t SCORED_AT_ONCE = 64;  // candidates of a request, in one piece of work

const Kernels *kernels_of(int32_t mode) {
#if defined(__x86_64__)
    static const Features cpu;
    const bool avx2 = cpu.avx2(), avx512 = avx2 && cpu.avx512();
    switch (mode) {
        case LREA_TRAINING_AUTO: return avx512 ? &fp32_avx512 : avx2 ? &fp32_avx2 : &fp32_baseline;
        case LREA_TRAINING_AVX2: return avx2 ? &fp32_avx2 : nullptr;
        case LREA_TRAINING_AVX512: return avx512 ? &fp32_avx512 : nullptr;
    }
#else
    if (mode == LREA_TRAINING_AUTO) return &fp32_baseline;
#endif
    return mode == LREA_TRAINING_BASELINE ? &fp32_baseline : nullptr;
}

// The operands of a call, with memory for the padded weights.
class Packed {
  public:
    explicit Packed(const lrea_attention &a) : H(a.H), D(a.D), Hp(padded(H)), Dp(padded(D)), memory_(size(D, H)) {
        float *W1 = take(D * Hp), *W2 = take(D * Hp), *W3 = take(D * Hp), *b = take(Hp);
        float *W1_w = take(D * Hp), *W3_w = take(D * Hp), *W2_turned = take(H * Dp), *W3_turned = take(H * Dp);
        for (size_t h = 0; h < H; h++) {
            b[h] = a.b[h];
            for (size_t d = 0; d < D; d++) {
                const size_t from = d * H + h, to = d * Hp + h, turned = h * Dp + d;
                W1[to] = a.W1[from], W2[to] = a.W2[from], W3[to] = a.W3[from];
                W1_w[to] = a.W1[from] * a.w[h], W3_w[to] = W3_turned[turned] = a.W3[from] * a.w[h];
                W2_turned[turned] = a.W2[from] * a.w[h];
            }
        }
        auto number = [](size_t n) { return static_cast<int>(n); };
        operands = {number(a.N), number(a.R), number(D), number(H), number(Hp), number(Dp), a.e,       a.k,      W1,
                    W2,          W3,          b,         a.w,       W1_w,       W3_w,       W2_turned, W3_turned};
    }

    const size_t H, D, Hp, Dp;
    Operands operands;

  private:
    static size_t size(size_t D, size_t H) { return (5 * D + 1) * padded(H) + 2 * H * padded(D); }
    float *take(size_t floats) { return memory_.at() + (used_ += floats) - floats; }
    Memory memory_;
    size_t used_ = 0;
};

size_t floats_of_sums(const Packed &p) { return 3 * p.D * p.Hp + 2 * p.Hp; }

// The sums of part `number` in memory for several.
Sums sums_of(const Packed &p, float *memory, size_t number) {
    const size_t matrix = p.D * p.Hp;
    float *at = memory + number * floats_of_sums(p);
    return {at, at + matrix, at + 2 * matrix, at + 3 * matrix, at + 3 * matrix + p.Hp};
}

// to [rows][H] = w * the sum of `parts` matrices [rows][Hp], `step` floats apart, the first one first
void add_parts(const Packed &p, size_t rows, const float *from, size_t parts, size_t step, bool times_w, float *to) {
    for (size_t d = 0; d < rows; d++)
        for (size_t h = 0; h < p.H; h++) {
            float sum = 0;
            for (size_t part = 0; part < parts; part++) sum += from[part * step + d * p.Hp + h];
            to[d * p.H + h] = times_w ? sum * p.operands.w[h] : sum;
        }
}

int scores(const lrea_attention &a, const Kernels &kernels, int threads, float *out) {
    const Packed packed(a);
    const Operands &o = packed.operands;
    const size_t N = a.N, R = a.R, blocks = (N + SCORED_AT_ONCE - 1) / SCORED_AT_ONCE;
    return run_parts(a.B * blocks, threads, kernels.scratch_of_scores(o), [&](size_t item, float *scratch) {
        const size_t request = item / blocks, first = item % blocks * SCORED_AT_ONCE;
        const size_t count = N - first < SCORED_AT_ONCE ? N - first : SCORED_AT_ONCE;
        kernels.scores(o, request, static_cast<int>(first), static_cast<int>(count), out + (request * N + first) * R,
                       scratch);
    });
}

int backward(const lrea_attention &a, const float *d_scores, const Kernels &kernels, int threads,
             const lrea_attention_gradient &to) {
    const Packed packed(a);
    const Operands &o = packed.operands;
    const size_t B = a.B, N = a.N, R = a.R, D = a.D;
    const size_t in_part = (B + PARTS - 1) / PARTS, parts = in_part ? (B + in_part - 1) / in_part : 0;
    const size_t step = floats_of_sums(packed);
    const Memory memory(parts * step);
    const int status = run_parts(parts, threads, kernels.scratch_of_gradient(o), [&](size_t part, float *scratch) {
        const Sums sums = sums_of(packed, memory.at(), part);
        for (size_t request = part * in_part; request < B && request < (part + 1) * in_part; request++)
            kernels.gradient(o, request, d_scores + request * N * R, to.e + request * N * D, to.k + request * R * D,
                             sums, scratch);
    });
    if (status) return status;
    const Sums first = sums_of(packed, memory.at(), 0);
    add_parts(packed, D, first.W1, parts, step, true, to.W1);
    add_parts(packed, D, first.W2, parts, step, true, to.W2);
    add_parts(packed, D, first.W3, parts, step, true, to.W3);
    add_parts(packed, 1, first.b, parts, step, true, to.b);
    add_parts(packed, 1, first.w, parts, step, false, to.w);
    return LREA_TRAINING_OK;
}

}  // namespace
}  // namespace lrea

extern "C" {

int32_t lrea_training_abi(void) { return LREA_TRAINING_ABI; }

const char *lrea_training_path(int32_t mode) {
    const lrea::Kernels *kernels = lrea::kernels_of(mode);
    return kernels ? kernels->name : nullptr;
}

int lrea_attention_scores(const lrea_attention *attention, int32_t mode, int32_t threads, float *scores) {
    const lrea::Kernels *kernels = lrea::kernels_of(mode);
    if (!kernels) return LREA_TRAINING_UNSUPPORTED;
    try {
        return lrea::scores(*attention, *kernels, threads, scores);
    } catch (const std::bad_alloc &) {
        return LREA_TRAINING_NO_MEMORY;
    }
}

int lrea_attention_backward(const lrea_attention *attention, const float *d_scores, int32_t mode, int32_t threads,
                            const lrea_attention_gradient *gradient) {
    const lrea::Kernels *kernels = lrea::kernels_of(mode);
    if (!kernels) return LREA_TRAINING_UNSUPPORTED;
    try {
        return lrea::backward(*attention, d_scores, *kernels, threads, *gradient);
    } catch (const std::bad_alloc &) {
        return LREA_TRAINING_NO_MEMORY;
    }
}
}
