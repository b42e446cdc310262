// The kernels for one instruction set: the source of fp32_*.cpp, which name their table.
#pragma once
#include "gradient.h"
#include "scores.h"

#define FP32_KERNELS(NAME) {NAME, scratch_of_scores, scratch_of_gradient, scores, gradient}
