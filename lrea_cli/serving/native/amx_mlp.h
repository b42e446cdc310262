// The MLP on AMX tiles: 32 candidates times 32 outputs at once; activations stay split into bfloat16 parts.
#pragma once
#include "mlp.h"
#include "tiles.h"

namespace {

constexpr int AMX_ROWS = 64;       // candidates of one pass through all layers
constexpr int PAIR = 2 * TILE;     // rows, and outputs, of four tiles of sums

// Rows [rows][columns] as tiles [16 rows][step of 32 columns][part] of [16 rows][32 columns]; `real` rows are not zero
template <int PARTS>
void pack_rows(const float *x, int rows, int real, int columns, uint16_t *out) {
    const int steps = columns / DEPTH;
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < steps; k++) {
            const float *from = x + (size_t)i * columns + k * DEPTH;
            __m512 a = _mm512_setzero_ps(), b = a;
            if (i < real) a = _mm512_loadu_ps(from), b = _mm512_loadu_ps(from + TILE);
            split<PARTS>(a, b, out + ((size_t)(i / TILE * steps + k) * PARTS * TILE + i % TILE) * DEPTH, TILE_HALVES);
        }
}

#define ROWS_PART(part) \
    TILE_LOAD(4, rows0 + (part) * TILE_HALVES, 64); \
    TILE_LOAD(5, rows1 + (part) * TILE_HALVES, 64)
#define WEIGHT_PART(part) \
    TILE_LOAD(6, weight0 + (part) * TILE_HALVES, 64); \
    TILE_LOAD(7, weight1 + (part) * TILE_HALVES, 64)
#define ADD_PRODUCTS \
    TILE_ADD(0, 4, 6); \
    TILE_ADD(1, 4, 7); \
    TILE_ADD(2, 5, 6); \
    TILE_ADD(3, 5, 7)

// Sums [4][16][16] of 32 rows and 32 outputs: bias + x W
template <int PARTS>
inline void pair_sums(const uint16_t *x, int row_steps, const Layer &layer, int output, const float *bias, float *sums) {
    const size_t row_step = (size_t)PARTS * TILE_HALVES, weight_step = (size_t)lrea::PARTS * TILE_HALVES;
    const uint16_t *rows0 = x, *rows1 = x + row_steps * row_step;
    const uint16_t *weight0 = layer.parts + (size_t)(output / TILE) * (layer.inputs / DEPTH) * weight_step;
    const uint16_t *weight1 = weight0 + (size_t)(layer.inputs / DEPTH) * weight_step;
    TILE_LOAD(0, bias, 0);  // the same bias in each row
    TILE_LOAD(1, bias + TILE, 0);
    TILE_LOAD(2, bias, 0);
    TILE_LOAD(3, bias + TILE, 0);
    for (int k = 0; k < row_steps; k++) {
        if constexpr (PARTS == 2) {
            ROWS_PART(1); WEIGHT_PART(0); ADD_PRODUCTS;
            ROWS_PART(0); ADD_PRODUCTS;
            WEIGHT_PART(1); ADD_PRODUCTS;
        } else {
            ROWS_PART(2); WEIGHT_PART(0); ADD_PRODUCTS;
            ROWS_PART(1); ADD_PRODUCTS;
            WEIGHT_PART(1); ADD_PRODUCTS;
            ROWS_PART(0); ADD_PRODUCTS;
            WEIGHT_PART(0); ADD_PRODUCTS;
            WEIGHT_PART(2); ADD_PRODUCTS;
        }
        rows0 += row_step, rows1 += row_step, weight0 += weight_step, weight1 += weight_step;
    }
    TILE_STORE(0, sums);
    TILE_STORE(1, sums + TILE * TILE);
    TILE_STORE(2, sums + 2 * TILE * TILE);
    TILE_STORE(3, sums + 3 * TILE * TILE);
}

// What turns the sums of a layer into the inputs of the next one.
struct Epilogue {
    const Mlp &mlp;
    const float *counters;  // of the first row, null except in layer 0
    size_t counter_stride;
    int real;               // rows that exist
};

// phi(sums + counters) of one row, 32 outputs
inline void finish_row(const Epilogue &e, int row, const Layer &layer, int output, __m512 &a, __m512 &b) {
    if (e.counters && row < e.real)
        for (int c = 0; c < e.mlp.counters; c++) {
            const float *weight = e.mlp.counter_weight + (size_t)c * layer.outputs + output;
            const __m512 count = _mm512_set1_ps(e.counters[c * e.counter_stride + row]);
            a = _mm512_fmadd_ps(count, _mm512_loadu_ps(weight), a);
            b = _mm512_fmadd_ps(count, _mm512_loadu_ps(weight + TILE), b);
        }
    const __m512 slope = _mm512_set1_ps(e.mlp.slope);
    a = _mm512_max_ps(a, _mm512_mul_ps(a, slope));
    b = _mm512_max_ps(b, _mm512_mul_ps(b, slope));
}

// One layer for `rows` rows, a multiple of 32: to `next` as tiles, or in the last layer to `last` as floats
template <int PARTS>
void amx_layer(const Epilogue &e, const Layer &layer, const float *bias, const uint16_t *x, int row_steps, int rows,
               uint16_t *next, float *last) {
    alignas(64) float sums[4 * TILE * TILE];
    const int steps = layer.outputs / DEPTH;
    for (int output = 0; output < layer.outputs; output += PAIR)
        for (int row = 0; row < rows; row += PAIR) {
            pair_sums<PARTS>(x + (size_t)row * row_steps * DEPTH * PARTS, row_steps, layer, output, bias + output, sums);
            for (int i = 0; i < PAIR; i++) {
                const float *from = sums + (size_t)(i / TILE) * 2 * TILE * TILE + i % TILE * TILE;
                __m512 a = _mm512_load_ps(from), b = _mm512_load_ps(from + TILE * TILE);
                const int n = row + i;
                finish_row(e, n, layer, output, a, b);
                if (last) {
                    _mm512_storeu_ps(last + (size_t)n * layer.outputs + output, a);
                    _mm512_storeu_ps(last + (size_t)n * layer.outputs + output + TILE, b);
                } else
                    split<PARTS>(a, b, next + ((size_t)(n / TILE * steps + output / DEPTH) * PARTS * TILE + n % TILE) * DEPTH,
                                 TILE_HALVES);
            }
        }
}

template <int PARTS>
void amx_mlp(const Mlp &mlp, const Inputs &in, float *logits, Scratch &scratch) {
    const int inputs = used_inputs(mlp, in);
    int widest = inputs;
    for (int i = 0; i < mlp.layers; i++) widest = mlp.layer[i].outputs > widest ? mlp.layer[i].outputs : widest;
    const size_t halves = (size_t)AMX_ROWS * widest * PARTS;
    uint16_t *x = (uint16_t *)take_bytes(scratch, lrea::ACTIVATIONS, halves * 2);
    uint16_t *y = (uint16_t *)take_bytes(scratch, lrea::MORE_ACTIVATIONS, halves * 2);
    float *floats = take(scratch, lrea::LAST_ACTIVATIONS, (size_t)AMX_ROWS * widest);
    for (int n = 0; n < in.count; n += AMX_ROWS) {
        const int real = smaller(AMX_ROWS, in.count - n), rows = (real + PAIR - 1) / PAIR * PAIR;
        join_inputs(in, n, real, inputs, floats);
        pack_rows<PARTS>(floats, rows, real, inputs, x);
        for (int i = 0, columns = inputs; i < mlp.layers; i++) {
            const Layer &layer = mlp.layer[i];
            const Epilogue epilogue = {mlp, i || !mlp.counters ? nullptr : in.counters + n, in.counter_stride, real};
            amx_layer<PARTS>(epilogue, layer, i ? layer.bias : in.bias, x, columns / DEPTH, rows, y,
                             i + 1 == mlp.layers ? floats : nullptr);
            uint16_t *free = x;
            x = y, y = free, columns = layer.outputs;
        }
        const int outputs = mlp.layer[mlp.layers - 1].outputs;
        for (int i = 0; i < real; i++) logits[n + i] = last_logit(mlp, floats + (size_t)i * outputs, outputs);
    }
}

}  // namespace
