// SDIM's interest: the mean of the directions of the bucket sums that a candidate falls into.
#pragma once
#include "model.h"
#include "scratch.h"

namespace lrea {

// What a request needs of the bucket sums of its user.
struct Buckets {
    const float *directions;  // [groups * 2^tau][padded], S / |S|, zero for an empty bucket
};

Buckets prepare_buckets(const lrea_model &model, const float *sums, Scratch &scratch);

// interest [count][padded] of candidates [count][padded]
void bucket_interest(const lrea_model &model, const Buckets &buckets, const float *candidates, int count,
                     float *interest);

}  // namespace lrea
