// The float32 request for AVX-512 (F, BW, DQ, VL); setup.py has the flags.
#if defined(__x86_64__)
#include "fp32.h"

namespace lrea {
extern const Kernels fp32_avx512 = FP32_KERNELS("avx512");
}
#endif
