// The kernels for AVX2 with FMA.
// x86-64: -mavx2 -mfma -mtune=haswell
#if defined(__x86_64__)
#include "fp32.h"

namespace lrea {
extern const Kernels fp32_avx2 = FP32_KERNELS("avx2");
}
#endif
