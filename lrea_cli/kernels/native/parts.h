// Work in numbered parts on several threads: whichever thread takes a part, the part is computed the same way.
#pragma once
#include "training.h"
#include <atomic>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace lrea {

// 64-byte aligned floats, zero at first.
class Memory {
  public:
    explicit Memory(size_t floats)
        : at_(static_cast<float *>(::operator new(floats * sizeof(float) + 64, std::align_val_t(64)))) {
        memset(at_, 0, floats * sizeof(float));
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory() { ::operator delete(at_, std::align_val_t(64)); }
    float *at() const { return at_; }

  private:
    float *at_;
};

// Call work(part, scratch) for each of `parts` parts; each thread has `scratch` floats of its own.
template <class Work>
int run_parts(size_t parts, int threads, size_t scratch, const Work &work) {
    std::atomic<size_t> next{0};
    std::atomic<bool> no_memory{false};
    auto take_parts = [&] {
        try {
            const Memory memory(scratch);
            for (size_t part; (part = next++) < parts;) work(part, memory.at());
        } catch (const std::bad_alloc &) {
            no_memory = true;
        }
    };
    std::vector<std::thread> others;
    try {
        while (others.size() + 1 < parts && others.size() + 1 < static_cast<size_t>(threads))
            others.emplace_back(take_parts);
    } catch (const std::exception &) {  // the system has no more threads: those that run take all parts
    }
    take_parts();
    for (std::thread &other : others) other.join();
    return no_memory ? LREA_TRAINING_NO_MEMORY : LREA_TRAINING_OK;
}

}  // namespace lrea
