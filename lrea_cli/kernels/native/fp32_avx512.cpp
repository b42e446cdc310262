// The kernels for AVX-512 (F, BW, DQ, VL).
// x86-64: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512 -mtune=icelake-server
#if defined(__x86_64__)
#include "fp32.h"

namespace lrea {
extern const Kernels fp32_avx512 = FP32_KERNELS("avx512");
}
#endif
