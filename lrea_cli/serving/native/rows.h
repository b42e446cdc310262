// Rows of numbers as a request brings them, in float32 with zero columns up to the padded width.
#pragma once
#include "lrea.h"
#include <cstddef>
#include <cstdint>

namespace lrea {

float half_to_float(uint16_t half);

// out [rows][padded] of a matrix [rows][width]
void widen(const lrea_matrix &matrix, int64_t rows, int64_t width, int64_t padded, float *out);

}  // namespace lrea
