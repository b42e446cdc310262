// Reads rows of embedding tables, which are larger than any cache.
#include "gather.h"
#include "status.h"
#include <cstring>

namespace lrea {
namespace {

constexpr int32_t UNKNOWN = 1;  // the row of a value that training did not see
constexpr int AHEAD = 16;       // rows that are fetched before they are read

}  // namespace

void gather(const Table &table, int64_t width, const int32_t *ids, int64_t count, float *out, int64_t stride) {
    need(ids);
    int32_t signs = 0;
    for (int64_t i = 0; i < count; i++) signs |= ids[i];
    need(signs >= 0, LREA_BAD_ID);
    auto row = [&](int32_t id) { return table.rows + (id < table.size ? id : UNKNOWN) * width; };
    for (int64_t i = 0; i < count; i++, out += stride) {
        if (i + AHEAD < count) __builtin_prefetch(row(ids[i + AHEAD]));
        if (width == 16) memcpy(out, row(ids[i]), 64);  // the usual width, and then no call
        else memcpy(out, row(ids[i]), width * 4);
    }
}

void item_vectors(const lrea_model &model, const int32_t *ids, int64_t stride, int64_t first, int64_t count,
                  float *out) {
    if (!count) return;
    need(ids);
    const int64_t width = model.field_width, padded = rounded_up(model.sizes.width, PANEL);
    if (padded > model.sizes.width) memset(out, 0, count * padded * 4);
    for (size_t f = 0; f < model.items.size(); f++)
        gather(model.items[f], width, ids + f * stride + first, count, out + f * width, padded);
}

}  // namespace lrea
