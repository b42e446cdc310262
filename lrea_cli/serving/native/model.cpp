// Opens a model.bin: checks every size, and packs the weights of the scorers and of the MLP.
#include "model.h"
#include "sections.h"
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

namespace lrea {
namespace {

constexpr int64_t MOST_FIELDS = 1024, MOST_WIDTH = 4096, MOST_OUTPUTS = 65536, MOST_LAYERS = 64, MOST_PLANES = 4096;
constexpr int64_t MOST_TAU = 24, MOST_COUNTERS = 1024, MOST_ROWS = INT32_MAX;
constexpr int64_t TABLED_COUNTS = 4096;

int64_t within(const char *name, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most)
        throw BadModel(std::string("Its settings give ") + name + " = " + std::to_string(value) + ".");
    return value;
}

float to_float(uint16_t bfloat) {
    uint32_t bits = static_cast<uint32_t>(bfloat) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

uint16_t to_bfloat(float value) {  // to the nearest, ties to even
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// One scorer from its sections; sums of products with w_o are taken in float64.
void pack_scorer(const Sections &file, const std::string &name, int64_t D, int64_t H, float slope, PackedScorer &out) {
    const float *W[3] = {file.floats(name + ".W1", {D, H}), file.floats(name + ".W2", {D, H}),
                         file.floats(name + ".W3", {D, H})};
    const float *b = file.floats(name + ".b", {H}), *w_o = file.floats(name + ".w_o", {H});
    const int64_t units = rounded_up(H, PANEL), tile_width = rounded_up(D, WIDE_PANEL);
    Aligned<float> *panels[3] = {&out.W1, &out.W2, &out.W3}, *weighed[3] = {&out.W1_wo, &out.W2_wo, &out.W3_wo};
    Aligned<float> *rows[3] = {&out.W1_rows, nullptr, &out.W3_rows};
    for (int i = 0; i < 3; i++) {
        *panels[i] = Aligned<float>(units * D);
        *weighed[i] = Aligned<float>(D);
        if (rows[i]) *rows[i] = Aligned<float>(units * tile_width);
        for (int64_t d = 0; d < D; d++) {
            double sum = 0;
            for (int64_t h = 0; h < H; h++) {
                const float value = W[i][d * H + h];
                (*panels[i])[(h / PANEL * D + d) * PANEL + h % PANEL] = value;
                if (rows[i]) (*rows[i])[h * tile_width + d] = value;
                sum += static_cast<double>(value) * w_o[h];
            }
            (*weighed[i])[d] = static_cast<float>(sum);
        }
    }
    out.b = Aligned<float>(units);
    out.w = Aligned<float>(units);
    double b_wo = 0;
    for (int64_t h = 0; h < H; h++) {
        out.b[h] = b[h];
        out.w[h] = static_cast<float>((1 - static_cast<double>(slope)) / 2 * w_o[h]);
        b_wo += static_cast<double>(b[h]) * w_o[h];
    }
    out.view = {static_cast<int>(D),
                static_cast<int>(rounded_up(D, PANEL)),
                static_cast<int>(H),
                static_cast<int>(units),
                static_cast<int>(tile_width),
                slope,
                out.W1.get(),
                out.W2.get(),
                out.W3.get(),
                out.W1_rows.get(),
                out.W3_rows.get(),
                out.b.get(),
                out.w.get(),
                out.W1_wo.get(),
                out.W2_wo.get(),
                out.W3_wo.get(),
                static_cast<float>(b_wo)};
}

// Where each input of a layer stands among its padded ones; -1: elsewhere.
using Columns = std::vector<int64_t>;

void pack_layer(const float *weight, const float *bias, int64_t outputs, const Columns &columns, int64_t inputs,
                PackedLayer &out, Layer &view) {
    const int64_t padded_outputs = rounded_up(outputs, WIDE_PANEL);
    out.weight = Aligned<float>(padded_outputs * inputs);
    out.bias = Aligned<float>(padded_outputs);
    if (has_amx()) out.parts = Aligned<uint16_t>(padded_outputs * inputs * PARTS);
    for (int64_t m = 0; m < outputs; m++) {
        out.bias[m] = bias[m];
        for (size_t i = 0; i < columns.size(); i++) {
            const int64_t k = columns[i];
            if (k < 0) continue;
            float value = weight[m * columns.size() + i];
            out.weight[(m / WIDE_PANEL * inputs + k) * WIDE_PANEL + m % WIDE_PANEL] = value;
            for (int part = 0; out.parts.get() && part < PARTS; part++) {
                const uint16_t rounded = to_bfloat(value);
                const int64_t tile = (m / 16 * (inputs / 32) + k / 32) * PARTS + part;
                out.parts[(tile * 16 + k % 32 / 2) * 32 + m % 16 * 2 + k % 2] = rounded;
                value -= to_float(rounded);
            }
        }
    }
    view = {static_cast<int>(inputs), static_cast<int>(padded_outputs), out.weight.get(), out.parts.get(),
            out.bias.get()};
}

struct Settings {
    int64_t item_fields, profile_fields, field_width, width, hidden, counters, layers, planes, tau;
};

Settings read_settings(const Sections &file) {
    int64_t v[9];
    memcpy(v, file.integers("settings", 9), sizeof v);
    Settings s{within("item fields", v[0], 1, MOST_FIELDS),
               within("profile fields", v[1], 0, MOST_FIELDS),
               within("a field's width", v[2], 1, MOST_WIDTH),
               within("D", v[3], 1, MOST_WIDTH * MOST_FIELDS),
               within("H", v[4], 1, MOST_WIDTH),
               within("counters", v[5], 0, MOST_COUNTERS),
               within("layers", v[6], 1, MOST_LAYERS),
               within("planes", v[7], 0, MOST_PLANES),
               within("tau", v[8], 0, MOST_TAU)};
    if (s.width != s.item_fields * s.field_width) throw BadModel("D is not the width of all item fields.");
    if (s.planes && (s.tau < 1 || s.planes % s.tau)) throw BadModel("tau does not divide the planes.");
    return s;
}

std::vector<Table> read_tables(const Sections &file, const std::string &role, int64_t count, int64_t width) {
    std::vector<Table> tables;
    for (int64_t i = 0; i < count; i++) {
        const std::string name = role + "." + std::to_string(i);
        const int64_t rows = within(name.c_str(), file.rows_of(name, width), 2, MOST_ROWS);
        tables.push_back({file.floats(name, {rows, width}), static_cast<int32_t>(rows)});
    }
    return tables;
}

// Inputs of layer 0: five parts of D columns, each padded, then the profile. Counters and length stand apart.
Columns first_columns(const Settings &s, int64_t padded, int64_t shared) {
    Columns columns;
    for (int64_t i = 0; i < 5 * s.width; i++) columns.push_back(i / s.width * padded + i % s.width);
    for (int64_t i = 0; i < s.counters; i++) columns.push_back(-1);
    for (int64_t i = 0; i < s.profile_fields * s.field_width; i++) columns.push_back(shared + i);
    columns.push_back(-1);
    return columns;
}

// What the columns of the counters and of the length add to the first layer's sums.
void read_counter_weights(const float *weight, const Settings &s, int64_t outputs, int64_t row, lrea_model &model) {
    const int64_t stride = model.layers[0].outputs;
    model.counter_weight = Aligned<float>(s.counters * stride);
    model.length_weight = Aligned<float>(stride);
    for (int64_t m = 0; m < outputs; m++) {
        for (int64_t c = 0; c < s.counters; c++)
            model.counter_weight[c * stride + m] = weight[m * row + 5 * s.width + c];
        model.length_weight[m] = weight[m * row + row - 1];
    }
}

void read_mlp(const Sections &file, const Settings &s, float slope, lrea_model &model) {
    const int64_t padded = rounded_up(s.width, PANEL), profile = s.profile_fields * s.field_width;
    const int64_t shared = rounded_up(5 * padded, WIDE_PANEL);
    model.packed_layers.resize(s.layers);
    model.layers.resize(s.layers);
    int64_t before = 5 * s.width + s.counters + profile + 1;
    for (int64_t i = 0; i < s.layers; i++) {
        const std::string name = "mlp." + std::to_string(i);
        const int64_t outputs = within(name.c_str(), file.rows_of(name + ".weight", before), 1, MOST_OUTPUTS);
        const float *weight = file.floats(name + ".weight", {outputs, before}),
                    *bias = file.floats(name + ".bias", {outputs});
        Columns columns(before);
        for (int64_t k = 0; k < before; k++) columns[k] = k;
        if (i == 0) columns = first_columns(s, padded, shared);
        const int64_t inputs = i ? rounded_up(before, WIDE_PANEL) : shared + rounded_up(profile, WIDE_PANEL);
        pack_layer(weight, bias, outputs, columns, inputs, model.packed_layers[i], model.layers[i]);
        if (i == 0) read_counter_weights(weight, s, outputs, before, model);
        before = outputs;
    }
    model.last = Aligned<float>(rounded_up(before, WIDE_PANEL));
    memcpy(model.last.get(), file.floats("logit.weight", {before}), before * 4);
    model.mlp = {static_cast<int>(s.layers),
                 static_cast<int>(s.counters),
                 model.layers.data(),
                 static_cast<int>(shared),
                 model.counter_weight.get(),
                 model.last.get(),
                 *file.floats("logit.bias", {1}),
                 slope};
}

// Which records the model reads; a counter of a field that the model lacks cannot be read from ids.
void read_record_kind(const Sections &file, const Settings &s, lrea_model &model) {
    const int64_t *from = file.integers("record", 1 + s.counters);
    std::vector<int64_t> v(1 + s.counters);
    memcpy(v.data(), from, v.size() * sizeof v[0]);
    model.record_kind = static_cast<RecordKind>(within("the record's kind", v[0], RECORD_NONE, RECORD_OTHER));
    if (model.record_kind == RECORD_BUCKETS && !s.planes) throw BadModel("It has no planes for its buckets.");
    model.counted_fields.assign(v.begin() + 1, v.end());
    for (const int64_t field : model.counted_fields)
        if (within("a counter's field", field, -1, s.item_fields - 1) < 0) model.record_kind = RECORD_OTHER;
}

std::unique_ptr<lrea_model> read_model(const void *bytes, uint64_t size) {
    const Sections file(bytes, size);
    const Settings s = read_settings(file);
    const float slope = *file.floats("slope", {1});
    if (!(slope >= 0 && slope <= 1)) throw BadModel("Its slope is not in 0 to 1.");
    auto model = std::make_unique<lrea_model>();
    model->sizes = {s.item_fields, s.profile_fields, s.width, s.hidden, s.counters, s.planes, s.tau};
    model->field_width = s.field_width;
    model->items = read_tables(file, "item", s.item_fields, s.field_width);
    model->profiles = read_tables(file, "profile", s.profile_fields, s.field_width);
    pack_scorer(file, "short", s.width, s.hidden, slope, model->short_scorer);
    pack_scorer(file, "long", s.width, s.hidden, slope, model->long_scorer);
    read_mlp(file, s, slope, *model);
    read_record_kind(file, s, *model);
    model->planes = s.planes ? file.floats("planes", {s.width, s.planes}) : nullptr;
    for (int64_t m = 0; m < TABLED_COUNTS; m++)
        model->log1p.push_back(static_cast<float>(std::log1p(static_cast<double>(m))));
    return model;
}

}  // namespace
}  // namespace lrea

extern "C" {

int32_t lrea_abi(void) { return LREA_ABI; }

lrea_model *lrea_open(const void *bytes, uint64_t size, char *error, uint64_t error_size) {
    const char *text = "There is not enough memory.";
    try {
        if (!bytes) throw lrea::BadModel("There are no bytes.");
        return lrea::read_model(bytes, size).release();
    } catch (const lrea::BadModel &bad) {
        if (error && error_size) snprintf(error, error_size, "%s", bad.what());
        return nullptr;
    } catch (const std::exception &) {
        if (error && error_size) snprintf(error, error_size, "%s", text);
        return nullptr;
    }
}

void lrea_close(lrea_model *model) { delete model; }

void lrea_sizes_of(const lrea_model *model, lrea_sizes *sizes) { *sizes = model->sizes; }
}
