// The float32 request for one instruction set: the source of fp32_*.cpp, which name its table.
#pragma once
#include "interest.h"
#include "mlp.h"

namespace {

constexpr int MLP_ROWS = 60;  // of one pass through all layers: a multiple of BLOCK_ROWS whose values stay in L2

// Rows of activations have some floats between them: rows a multiple of 4096 bytes apart evict each other.
constexpr int GAP = PANEL;

// out = phi(start + counters + x W), WIDE_PANEL outputs after the other; `counters` null except in layer 0
void layer_forward(const Mlp &mlp, const Layer &layer, int rows, int inputs, const float *start, const float *counters,
                   size_t counter_stride, const float *x, float *out) {
    const size_t x_row = inputs + GAP, out_row = layer.outputs + GAP;
    for (int c = 0; c < layer.outputs; c += WIDE_PANEL) {
        const float *weight = layer.weight + (size_t)c * layer.inputs, *from = start + c;
        if (counters) {
            multiply(rows, WIDE_PANEL, mlp.counters, {counters, 1, counter_stride}, mlp.counter_weight + c,
                     layer.outputs, from, out + c, out_row);
            from = nullptr;
        }
        multiply(rows, WIDE_PANEL, inputs, {x, x_row, 1}, weight, WIDE_PANEL, from, out + c, out_row, mlp.slope);
    }
}

void mlp_forward(const Mlp &mlp, const Inputs &in, float *logits, Scratch &scratch) {
    int widest = used_inputs(mlp, in);
    for (int i = 0; i < mlp.layers; i++) widest = mlp.layer[i].outputs > widest ? mlp.layer[i].outputs : widest;
    float *x = take(scratch, lrea::ACTIVATIONS, (size_t)MLP_ROWS * (widest + GAP));
    float *y = take(scratch, lrea::MORE_ACTIVATIONS, (size_t)MLP_ROWS * (widest + GAP));
    for (int n = 0; n < in.count; n += MLP_ROWS) {
        int rows = smaller(MLP_ROWS, in.count - n), inputs = used_inputs(mlp, in);
        join_inputs(in, n, rows, inputs, inputs + GAP, x);
        for (int i = 0; i < mlp.layers; i++) {
            const Layer &layer = mlp.layer[i];
            layer_forward(mlp, layer, rows, inputs, i ? layer.bias : in.bias,
                          i || !mlp.counters ? nullptr : in.counters + n, in.counter_stride, x, y);
            float *free = x;
            x = y, y = free, inputs = layer.outputs;
        }
        for (int i = 0; i < rows; i++) logits[n + i] = last_logit(mlp, x + (size_t)i * (inputs + GAP), inputs);
    }
}

}  // namespace

#define FP32_KERNELS(NAME) {NAME, nullptr, nullptr, linear_half, interest, mlp_forward, add_to_bias}
