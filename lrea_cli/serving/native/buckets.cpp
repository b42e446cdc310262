// SDIM's interest. Signs of projections are computed in float64, as those of the behaviors were.
#include "buckets.h"
#include <cmath>
#include <cstring>

namespace lrea {
namespace {

constexpr double LEAST_NORM = 1e-12;  // as torch's normalize has it

int64_t padded_width(const lrea_model &model) { return rounded_up(model.sizes.width, PANEL); }

}  // namespace

Buckets prepare_buckets(const lrea_model &model, const float *sums, Scratch &scratch) {
    const int64_t D = model.sizes.width, padded = padded_width(model);
    const int64_t rows = model.sizes.planes / model.sizes.tau << model.sizes.tau;
    float *out = take(scratch, LONG_ROWS, rows * padded);
    for (int64_t r = 0; r < rows; r++) {
        float *row = out + r * padded;
        memset(row, 0, padded * 4);
        memcpy(row, reinterpret_cast<const char *>(sums) + r * D * 4, D * 4);
        double square = 0;
        for (int64_t d = 0; d < D; d++) square += static_cast<double>(row[d]) * row[d];
        const double norm = std::fmax(std::sqrt(square), LEAST_NORM);
        for (int64_t d = 0; d < D; d++) row[d] = static_cast<float>(row[d] / norm);
    }
    return {out};
}

void bucket_interest(const lrea_model &model, const Buckets &buckets, const float *candidates, int count,
                     float *interest) {
    const int64_t D = model.sizes.width, padded = padded_width(model), planes = model.sizes.planes,
                  tau = model.sizes.tau;
    const int64_t groups = planes / tau;
    const float share = 1 / static_cast<float>(groups);
    double projection[4096];
    for (int n = 0; n < count; n++, candidates += padded, interest += padded) {
        memset(projection, 0, planes * sizeof(double));
        for (int64_t d = 0; d < D; d++) {
            const double e = candidates[d];
            for (int64_t p = 0; p < planes; p++) projection[p] += e * model.planes[d * planes + p];
        }
        memset(interest, 0, padded * 4);
        for (int64_t g = 0; g < groups; g++) {
            int64_t bucket = 0;
            for (int64_t bit = 0; bit < tau; bit++)
                bucket |= static_cast<int64_t>(projection[g * tau + bit] > 0) << bit;
            const float *direction = buckets.directions + ((g << tau) + bucket) * padded;
            for (int64_t d = 0; d < padded; d++) interest[d] += direction[d];
        }
        for (int64_t d = 0; d < padded; d++) interest[d] *= share;
    }
}

}  // namespace lrea
