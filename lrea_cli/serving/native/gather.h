// Embedding tables: ids to vectors.
#pragma once
#include "model.h"

namespace lrea {

// The rows of some ids, `width` floats each: out [count][stride]. Throws Refused if an id is negative.
void gather(const Table &table, int64_t width, const int32_t *ids, int64_t count, float *out, int64_t stride);

// Item vectors [count][padded width] of ids [item fields][stride], from `first` on. Throws Refused.
void item_vectors(const lrea_model &model, const int32_t *ids, int64_t stride, int64_t first, int64_t count,
                  float *out);

}  // namespace lrea
