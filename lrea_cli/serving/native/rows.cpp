// Converts rows in float32, float16 and int8.
#include "rows.h"
#include <cstring>

namespace lrea {
namespace {

float at(const void *floats, int64_t index) {
    float value;
    memcpy(&value, static_cast<const char *>(floats) + index * 4, 4);
    return value;
}

}  // namespace

// Exact: the exponent is moved by a multiplication, which also makes subnormal numbers normal.
float half_to_float(uint16_t half) {
    uint32_t bits = static_cast<uint32_t>(half & 0x7fff) << 13, move = 0x77800000;  // 2^112
    float value, power;
    memcpy(&value, &bits, 4);
    memcpy(&power, &move, 4);
    value *= power;
    memcpy(&bits, &value, 4);
    if ((half & 0x7c00) == 0x7c00) bits |= 0x7f800000;  // infinite, or no number
    bits |= static_cast<uint32_t>(half & 0x8000) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

void widen(const lrea_matrix &matrix, int64_t rows, int64_t width, int64_t padded, float *out) {
    const char *data = static_cast<const char *>(matrix.data);
    for (int64_t r = 0; r < rows; r++, out += padded) {
        if (matrix.dtype == LREA_FLOAT32) {
            memcpy(out, data + r * width * 4, width * 4);
        } else if (matrix.dtype == LREA_FLOAT16) {
            for (int64_t c = 0; c < width; c++) {
                uint16_t half;
                memcpy(&half, data + (r * width + c) * 2, 2);
                out[c] = half_to_float(half);
            }
        } else {
            const float scale = at(matrix.scales, r);
            for (int64_t c = 0; c < width; c++)
                out[c] = scale * static_cast<float>(static_cast<int8_t>(data[r * width + c]));
        }
        for (int64_t c = width; c < padded; c++) out[c] = 0;
    }
}

}  // namespace lrea
