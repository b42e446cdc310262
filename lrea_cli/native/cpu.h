// Which vector instructions an x86-64 processor has, for the libraries that choose among their sources as they run.
#pragma once
#if defined(__x86_64__)
#include <cpuid.h>

namespace lrea {

// What the CPU has, and the system saves when it switches threads.
class Features {
  public:
    Features() {
        unsigned a = 0, b = 0, c = 0, d = 0;
        __get_cpuid(1, &a, &b, &c, &d);
        fma_ = c >> 12 & 1;
        if (c >> 27 & 1) {  // the system lets programs ask for what it saves
            unsigned high;
            asm volatile("xgetbv" : "=a"(saved_), "=d"(high) : "c"(0));
        }
        __get_cpuid_count(7, 0, &a, &b_, &c, &d_);
        __get_cpuid_count(7, 1, &a_, &b, &c, &d);
    }
    bool avx2() const { return fma_ && bit(b_, 5) && saves(0x6); }
    bool avx512() const { return bit(b_, 16) && bit(b_, 17) && bit(b_, 30) && bit(b_, 31) && saves(0xe6); }
    // Tiles, their products of bfloat16, and AVX512-BF16, which splits floats
    bool amx() const { return bit(d_, 24) && bit(d_, 22) && bit(a_, 5); }

  private:
    static bool bit(unsigned word, int number) { return word >> number & 1; }
    bool saves(unsigned registers) const { return (saved_ & registers) == registers; }
    bool fma_ = false;
    unsigned saved_ = 0, a_ = 0, b_ = 0, d_ = 0;
};

}  // namespace lrea
#endif
