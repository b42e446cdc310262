// The kernels for what every processor of the architecture has (SSE2; NEON on ARM).
#include "fp32.h"

namespace lrea {
#if defined(__aarch64__)
extern const Kernels fp32_baseline = FP32_KERNELS("neon");
#else
extern const Kernels fp32_baseline = FP32_KERNELS("baseline");
#endif
}  // namespace lrea
