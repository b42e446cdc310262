// The MLP on AMX tiles: 32 candidates times 32 outputs at once; activations stay split into bfloat16 parts.
#pragma once
#include "mlp.h"
#include "tiles.h"

namespace {

constexpr int AMX_ROWS = 64;    // candidates of one pass through all layers
constexpr int PAIR = 2 * TILE;  // rows, and outputs, of four tiles of sums

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

// One layer for a block of rows.
struct LayerPass {
    const Mlp &mlp;
    const Layer &layer;
    const float *bias;
    const uint16_t *x;      // tiles of the inputs, of pack_rows
    int steps;              // of 32 inputs
    int rows, real;         // a multiple of PAIR; those that exist
    const float *counters;  // of the first row, null except in layer 0
    size_t counter_stride;
    uint16_t *next;  // tiles of the outputs
    float *last;     // or, in the last layer, the outputs [rows][outputs]
};

// phi(sums + counters) of one row and 32 outputs
inline void finish_row(const LayerPass &p, int row, int output, __m512 &a, __m512 &b) {
    if (p.counters && row < p.real)
        for (int c = 0; c < p.mlp.counters; c++) {
            const float *weight = p.mlp.counter_weight + (size_t)c * p.layer.outputs + output;
            const __m512 count = _mm512_set1_ps(p.counters[c * p.counter_stride + row]);
            a = _mm512_fmadd_ps(count, _mm512_loadu_ps(weight), a);
            b = _mm512_fmadd_ps(count, _mm512_loadu_ps(weight + TILE), b);
        }
    const __m512 slope = _mm512_set1_ps(p.mlp.slope);
    a = _mm512_max_ps(a, _mm512_mul_ps(a, slope));
    b = _mm512_max_ps(b, _mm512_mul_ps(b, slope));
}

// Rows `from` to `to` of the sums [4][16][16] of 32 rows, the first of them `row`, and 32 outputs
template <int PARTS>
inline void finish_rows(const LayerPass &p, const float *sums, int row, int output, int from, int to) {
    const int steps = p.layer.outputs / DEPTH;
    for (int i = from; i < to; i++) {
        const float *sum = sums + (size_t)(i / TILE) * 2 * TILE * TILE + i % TILE * TILE;
        __m512 a = _mm512_load_ps(sum), b = _mm512_load_ps(sum + TILE * TILE);
        const int n = row + i;
        finish_row(p, n, output, a, b);
        if (p.last) {
            _mm512_storeu_ps(p.last + (size_t)n * p.layer.outputs + output, a);
            _mm512_storeu_ps(p.last + (size_t)n * p.layer.outputs + output + TILE, b);
        } else
            split<PARTS>(a, b, p.next + ((size_t)(n / TILE * steps + output / DEPTH) * PARTS * TILE + n % TILE) * DEPTH,
                         TILE_HALVES);
    }
}

// Products of one step of 32 inputs, for 32 rows and 32 outputs
template <int PARTS>
inline void add_step(const uint16_t *rows0, const uint16_t *rows1, const uint16_t *weight0, const uint16_t *weight1) {
    if constexpr (PARTS == 2) {
        ROWS_PART(1);
        WEIGHT_PART(0);
        ADD_PRODUCTS;
        ROWS_PART(0);
        ADD_PRODUCTS;
        WEIGHT_PART(1);
        ADD_PRODUCTS;
    } else {
        ROWS_PART(2);
        WEIGHT_PART(0);
        ADD_PRODUCTS;
        ROWS_PART(1);
        ADD_PRODUCTS;
        WEIGHT_PART(1);
        ADD_PRODUCTS;
        ROWS_PART(0);
        ADD_PRODUCTS;
        WEIGHT_PART(0);
        ADD_PRODUCTS;
        WEIGHT_PART(2);
        ADD_PRODUCTS;
    }
}

// Sums [4][16][16] of 32 rows and 32 outputs; after step k it calls between(k), whose work runs beside the products
template <int PARTS, class Between>
inline void pair_sums(const LayerPass &p, int row, int output, float *sums, Between between) {
    const size_t step = (size_t)PARTS * TILE_HALVES, weight_step = (size_t)lrea::PARTS * TILE_HALVES;
    const uint16_t *rows0 = p.x + (size_t)(row / TILE) * p.steps * step, *rows1 = rows0 + p.steps * step;
    const uint16_t *weight0 = p.layer.parts + (size_t)(output / TILE) * (p.layer.inputs / DEPTH) * weight_step;
    const uint16_t *weight1 = weight0 + (size_t)(p.layer.inputs / DEPTH) * weight_step;
    const float *bias = p.bias + output;
    TILE_LOAD(0, bias, 0);  // the same bias in each row
    TILE_LOAD(1, bias + TILE, 0);
    TILE_LOAD(2, bias, 0);
    TILE_LOAD(3, bias + TILE, 0);
    for (int k = 0; k < p.steps; k++) {
        add_step<PARTS>(rows0, rows1, weight0, weight1);
        rows0 += step, rows1 += step, weight0 += weight_step, weight1 += weight_step;
        between(k);
    }
    TILE_STORE(0, sums);
    TILE_STORE(1, sums + TILE * TILE);
    TILE_STORE(2, sums + 2 * TILE * TILE);
    TILE_STORE(3, sums + 3 * TILE * TILE);
}

// The sums of one block of 32 rows and 32 outputs are finished while the products of the next one are computed.
template <int PARTS>
void amx_layer(const LayerPass &p) {
    alignas(64) float sums[2][4 * TILE * TILE];
    const int row_pairs = p.rows / PAIR, blocks = p.layer.outputs / PAIR * row_pairs;
    auto row = [&](int block) { return block % row_pairs * PAIR; };
    auto output = [&](int block) { return block / row_pairs * PAIR; };
    for (int block = 0; block < blocks; block++) {
        const int before = block - 1;
        pair_sums<PARTS>(p, row(block), output(block), sums[block & 1], [&](int k) {
            if (before < 0) return;
            finish_rows<PARTS>(p, sums[before & 1], row(before), output(before), k * PAIR / p.steps,
                               (k + 1) * PAIR / p.steps);
        });
    }
    finish_rows<PARTS>(p, sums[(blocks - 1) & 1], row(blocks - 1), output(blocks - 1), 0, PAIR);
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
        join_inputs(in, n, real, inputs, inputs, floats);
        pack_rows<PARTS>(floats, rows, real, inputs, x);
        for (int i = 0, columns = inputs; i < mlp.layers; i++) {
            const Layer &layer = mlp.layer[i];
            amx_layer<PARTS>({mlp, layer, i ? layer.bias : in.bias, x, columns / DEPTH, rows, real,
                              i || !mlp.counters ? nullptr : in.counters + n, in.counter_stride, y,
                              i + 1 == mlp.layers ? floats : nullptr});
            uint16_t *free = x;
            x = y, y = free, columns = layer.outputs;
        }
        const int outputs = mlp.layer[mlp.layers - 1].outputs;
        for (int i = 0; i < real; i++) logits[n + i] = last_logit(mlp, floats + (size_t)i * outputs, outputs);
    }
}

}  // namespace
