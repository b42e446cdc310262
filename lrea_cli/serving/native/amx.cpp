// The request on AMX tiles (x6 and x3), with AVX-512 around them; setup.py has the flags.
#if defined(__x86_64__)
#include "amx_interest.h"
#include "amx_mlp.h"

namespace lrea {
extern const Kernels amx_x6 = {"amx x6", enter, leave, linear_half, amx_interest<3>, amx_mlp<3>, add_to_bias};
extern const Kernels amx_x3 = {"amx x3", enter, leave, linear_half, amx_interest<2>, amx_mlp<2>, add_to_bias};
}
#endif
