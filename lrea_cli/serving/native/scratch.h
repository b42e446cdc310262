// Memory that a thread keeps from call to call: new memory costs a page fault for every 4 kB.
#pragma once
#include "internal.h"
#include <new>

namespace lrea {

class Scratch {
  public:
    // The scratch of the calling thread.
    static Scratch &of_thread() {
        static thread_local Scratch scratch;
        return scratch;
    }

    void *take(Slot slot, size_t bytes) {
        Piece &piece = pieces_[slot];
        if (piece.bytes < bytes) {
            piece.release();
            piece.at = ::operator new(bytes + SPARE, std::align_val_t(64));
            piece.bytes = bytes;
        }
        return piece.at;
    }

  private:
    static constexpr size_t SPARE = 256;  // kernels may read or write whole vectors past the last row
    struct Piece {
        void *at = nullptr;
        size_t bytes = 0;
        void release() {
            ::operator delete(at, std::align_val_t(64));
            at = nullptr, bytes = 0;
        }
        ~Piece() { release(); }
    };
    Piece pieces_[SLOTS];
};

}  // namespace lrea
