// An open model: its tables in the caller's bytes, and its weights packed as the kernels read them.
#pragma once
#include "internal.h"
#include "lrea.h"
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace lrea {

// Numbers at a multiple of 64 bytes, zero at first.
template <class T>
class Aligned {
  public:
    Aligned() = default;
    explicit Aligned(size_t count)
        : data_(static_cast<T *>(::operator new(count * sizeof(T) + 64, std::align_val_t(64)))) {
        std::uninitialized_fill_n(data_.get(), count + 64 / sizeof(T), T());
    }
    T *get() { return data_.get(); }
    const T *get() const { return data_.get(); }
    T &operator[](size_t i) { return data_.get()[i]; }

  private:
    struct Free {
        void operator()(T *at) const { ::operator delete(at, std::align_val_t(64)); }
    };
    std::unique_ptr<T, Free> data_;
};

// An embedding table [size][width of a field's vector], in the caller's bytes.
struct Table {
    const float *rows;
    int32_t size;
};

// What a user's record holds of the long part.
enum RecordKind { RECORD_NONE, RECORD_ROWS, RECORD_BUCKETS, RECORD_OTHER };

struct PackedScorer {
    Scorer view;
    Aligned<float> W1, W2, W3, W1_rows, W3_rows, b, w, W1_wo, W2_wo, W3_wo;
};

struct PackedLayer {
    Aligned<float> weight, bias;
    Aligned<uint16_t> parts;
};

}  // namespace lrea

struct lrea_model {
    lrea_sizes sizes;
    int64_t field_width;  // of the vector of one field
    std::vector<lrea::Table> items, profiles;
    lrea::PackedScorer short_scorer, long_scorer;
    std::vector<lrea::PackedLayer> packed_layers;
    std::vector<lrea::Layer> layers;
    lrea::Aligned<float> counter_weight, length_weight, last;
    lrea::Mlp mlp;
    const float *planes;  // [D][planes] in the caller's bytes
    lrea::RecordKind record_kind;
    std::vector<int64_t> counted_fields;  // the item field of each counter
    std::vector<float> log1p;  // of small counts
};
