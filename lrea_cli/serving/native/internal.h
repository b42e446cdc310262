// What the files of the native request share: packed weights, and the table of functions that each path fills.
//
// Sources named fp32_*.cpp and amx.cpp are compiled for other processors than the rest. They may define nothing with
// external linkage but their table, and use no inline function of the standard library: the linker keeps one copy of
// such a function, and it could be the one with AVX-512.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace lrea {

constexpr int PANEL = 16;       // units or columns that lie side by side in packed weights
constexpr int WIDE_PANEL = 32;  // the same of the MLP; and the bfloat16 numbers in a row of an AMX tile
constexpr int PARTS = 3;        // bfloat16 numbers that a packed weight is split into
constexpr int SLAB = 1024;      // candidates at once, so that scratch memory is bounded

static constexpr int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// DIN's scorer. D = width; vectors have `padded` columns, zero past D. Units past H have w = 0.
struct Scorer {
    int width, padded, hidden;
    int units;       // H rounded up to PANEL
    int tile_width;  // D rounded up to WIDE_PANEL
    float slope;
    const float *W1, *W2, *W3;           // [units / PANEL][D][PANEL]
    const float *W1_rows, *W3_rows;      // [units][tile_width], the transposed W1 and W3
    const float *b, *w;                  // [units]; w = g w_o with g = (1 - slope) / 2
    const float *W1_wo, *W2_wo, *W3_wo;  // [D]: W1 w_o, W2 w_o, W3 w_o
    float b_wo;                          // b . w_o
};

// One hidden layer, zero past its real inputs and outputs, which are rounded up to WIDE_PANEL.
struct Layer {
    int inputs, outputs;
    const float *weight;    // [outputs / WIDE_PANEL][inputs][WIDE_PANEL]
    const uint16_t *parts;  // the same as tiles [outputs / 16][inputs / 32][PARTS], see model.cpp; null without AMX
    const float *bias;      // [outputs]
};

struct Mlp {
    int layers, counters;
    const Layer *layer;
    int shared_inputs;            // of layer 0: the columns before those of the profile
    const float *counter_weight;  // [counters][outputs of layer 0]
    const float *last;            // [outputs of the last layer]
    float last_bias, slope;
};

// Keys and values of one attention, all with `padded` columns, and its linear half [D + 1][padded].
struct Rows {
    int count;
    const float *keys, *values, *linear;
};

// What the MLP reads of some candidates.
struct Inputs {
    int count, padded;
    const float *candidate, *short_interest, *long_interest;  // [count][padded]
    const float *profile;                                     // [count][profile columns], or null: in the bias
    int profile_columns;                                      // rounded up to WIDE_PANEL
    const float *counters;                                    // [counters][stride]
    size_t counter_stride;
    const float *bias;  // of layer 0, with all that the candidates share
};

// Memory that a thread keeps from call to call; a piece is valid until the same slot is taken again.
enum Slot {
    // of request.cpp
    CANDIDATE_VECTORS,
    SHORT_ROWS,
    LONG_ROWS,
    SHORT_INTEREST,
    LONG_INTEREST,
    PROFILE,
    COUNTERS,
    BIAS,
    // of the kernels
    CANDIDATE_TILES,
    KEY_MAPS,
    KEY_OFFSETS,
    SCORES,
    ACTIVATIONS,
    MORE_ACTIVATIONS,
    LAST_ACTIVATIONS,
    SLOTS
};
class Scratch;
void *take_bytes(Scratch &scratch, Slot slot, size_t bytes);  // 64-byte aligned, uninitialized
static inline float *take(Scratch &scratch, Slot slot, size_t floats) {
    return static_cast<float *>(take_bytes(scratch, slot, floats * sizeof(float)));
}

// One way to compute: a table for each instruction set.
struct Kernels {
    const char *name;
    void (*enter)();  // before the first and after the last function of a call; null if there is nothing to do
    void (*leave)();
    // linear [D + 1][padded] of keys and values [count][padded]
    void (*linear_half)(const Scorer &, int count, const float *keys, const float *values, float *linear);
    // interest [count][padded] of candidates [count][padded]
    void (*interest)(const Scorer &, const Rows &, const float *candidates, int count, float *interest, Scratch &);
    void (*mlp)(const Mlp &, const Inputs &, float *logits, Scratch &);
    // bias [outputs] += values [count] times the inputs from `first` on of a layer
    void (*add_to_bias)(const Layer &, int first, int count, const float *values, float *bias);
};

extern const Kernels fp32_baseline;
#if defined(__x86_64__)
extern const Kernels fp32_avx2, fp32_avx512, amx_x6, amx_x3;
#endif

// The table of a mode, or null if the machine lacks it.
const Kernels *kernels_of(int32_t mode);
bool has_amx();

}  // namespace lrea
