// The request on AMX tiles (x6 and x3), with AVX-512 around them.
// x86-64: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512 -mtune=icelake-server -mavx512bf16
#if defined(__x86_64__)
#include "amx_interest.h"
#include "amx_mlp.h"

namespace lrea {
extern const Kernels amx_x6 = {"amx x6", enter, leave, linear_half, amx_interest<3>, amx_mlp<3>, add_to_bias};
extern const Kernels amx_x3 = {"amx x3", enter, leave, linear_half, amx_interest<2>, amx_mlp<2>, add_to_bias};
}  // namespace lrea
#endif
