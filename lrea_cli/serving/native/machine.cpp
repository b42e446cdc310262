// Which paths this machine has, asked once a process.
#include "internal.h"
#include "lrea.h"
#include "cpu.h"
#include <cerrno>
#include <cstring>
#include <string>
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lrea {
namespace {

struct Machine {
    bool avx2 = false, avx512 = false, amx = false;
    std::string why;
};

#if defined(__x86_64__)
// The system saves tiles only for processes that ask for it; without, the first tile instruction ends the process.
bool system_allows_amx(std::string &why) {
#if defined(__linux__)
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
    if (syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0) return true;
    why = std::string("The CPU has AMX, but the system refuses it (arch_prctl: ") + strerror(errno) + ").";
#else
    why = "The CPU has AMX, but only Linux is known to allow it.";
#endif
    return false;
}

Machine ask() {
    Machine m;
    const Features cpu;
    m.avx2 = cpu.avx2();
    m.avx512 = m.avx2 && cpu.avx512();
    if (!m.avx512) m.why = m.avx2 ? "The CPU has AVX2, but no AVX-512 and no AMX." : "The CPU has no AVX2.";
    else if (!cpu.amx()) m.why = "The CPU has AVX-512, but no AMX for bfloat16.";
    else if (system_allows_amx(m.why)) m.amx = true, m.why = "The CPU has AMX, and the system allows it.";
    return m;
}
#else
Machine ask() {
    Machine m;
    m.why = "This is no x86-64 CPU: the vectors of the architecture's baseline are used.";
    return m;
}
#endif

const Machine &machine() {
    static const Machine asked = ask();
    return asked;
}

}  // namespace

bool has_amx() { return machine().amx; }

const Kernels *kernels_of(int32_t mode) {
    const Machine &m = machine();
#if defined(__x86_64__)
    switch (mode) {
        case LREA_AUTO: return m.amx ? &amx_x6 : kernels_of(LREA_FP32);
        case LREA_FP32: return m.avx512 ? &fp32_avx512 : m.avx2 ? &fp32_avx2 : &fp32_baseline;
        case LREA_X6: return m.amx ? &amx_x6 : nullptr;
        case LREA_X3: return m.amx ? &amx_x3 : nullptr;
        case LREA_AVX2: return m.avx2 ? &fp32_avx2 : nullptr;
        case LREA_AVX512: return m.avx512 ? &fp32_avx512 : nullptr;
    }
#else
    (void)m;
    if (mode == LREA_AUTO || mode == LREA_FP32) return &fp32_baseline;
#endif
    return mode == LREA_BASELINE ? &fp32_baseline : nullptr;
}

}  // namespace lrea

extern "C" {

const char *lrea_path(int32_t mode) {
    const lrea::Kernels *kernels = lrea::kernels_of(mode);
    return kernels ? kernels->name : nullptr;
}

const char *lrea_why(void) { return lrea::machine().why.c_str(); }

const char *lrea_status_text(int32_t status) {
    switch (status) {
        case LREA_OK: return "Done.";
        case LREA_BAD_ARGUMENT: return "A pointer is missing, or a number is impossible.";
        case LREA_BAD_ID: return "An id is negative.";
        case LREA_BAD_COUNT: return "A count of matches or the length of the history is negative.";
        case LREA_UNSUPPORTED: return "The machine lacks the mode, or the model lacks what the long part needs.";
        case LREA_NO_MEMORY: return "There is not enough memory.";
        case LREA_BAD_RECORD: return "The bytes are no record of this model in this dtype.";
    }
    return "The status is unknown.";
}
}
