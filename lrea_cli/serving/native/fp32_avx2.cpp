// The float32 request for AVX2 with FMA; setup.py has the flags.
#if defined(__x86_64__)
#include "fp32.h"

namespace lrea {
extern const Kernels fp32_avx2 = FP32_KERNELS("avx2");
}
#endif
