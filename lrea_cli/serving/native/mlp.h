// The MLP in float32, and what its AMX form shares with it: blocks of candidates pass through all layers in turn.
#pragma once
#include "internal.h"
#include "matmul.h"

namespace {

using lrea::Inputs;
using lrea::Layer;
using lrea::Mlp;
using lrea::Scratch;
using lrea::WIDE_PANEL;

// Inputs of layer 0 that are used: without the columns of a profile that all candidates share.
inline int used_inputs(const Mlp &mlp, const Inputs &in) {
    return mlp.shared_inputs + (in.profile ? in.profile_columns : 0);
}

// x [count][row] = [e, u_S, u_L, e * u_S, e * u_L, zeros, profile], `columns` in all, of the candidates from `first` on
inline void join_inputs(const Inputs &in, int first, int count, int columns, size_t row, float *x) {
    const int padded = in.padded, products = 5 * padded;
    const int shared = columns - (in.profile ? in.profile_columns : 0);
    for (int i = 0; i < count; i++, x += row) {
        const size_t at = (size_t)(first + i) * padded;
        for (int c = 0; c < padded; c += LANES) {
            vec e = load(in.candidate + at + c), s = load(in.short_interest + at + c),
                l = load(in.long_interest + at + c);
            store(x + c, e);
            store(x + padded + c, s);
            store(x + 2 * padded + c, l);
            store(x + 3 * padded + c, e * s);
            store(x + 4 * padded + c, e * l);
        }
        for (int c = products; c < shared; c++) x[c] = 0;
        if (in.profile)
            for (int c = 0; c < in.profile_columns; c++)
                x[shared + c] = in.profile[(size_t)(first + i) * in.profile_columns + c];
    }
}

// The logit of one candidate: 16 partial sums, added up in a fixed order, for the same bits at any number of lanes.
inline float last_logit(const Mlp &mlp, const float *x, int inputs) {
    vec sums[16 / LANES] = {};
    for (int k = 0; k < inputs; k += 16)
        EACH (v, 16 / LANES) sums[v] = fma(load(x + k + v * LANES), load(mlp.last + k + v * LANES), sums[v]);
    float sum[16];
    for (int v = 0; v < 16 / LANES; v++) store(sum + v * LANES, sums[v]);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) sum[i] += sum[i + half];
    return sum[0] + mlp.last_bias;
}

void add_to_bias(const Layer &layer, int first, int count, const float *values, float *bias) {
    for (int c = 0; c < layer.outputs; c += WIDE_PANEL)
        multiply(1, WIDE_PANEL, count, {values, 0, 1},
                 layer.weight + (size_t)c * layer.inputs + (size_t)first * WIDE_PANEL, WIDE_PANEL, nullptr, bias + c,
                 0);
}

}  // namespace
