// The sections of a model.bin (lrea.h has the layout), every number of the directory checked against the bytes.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace lrea {

// What is wrong with a model.bin.
struct BadModel : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Sections {
  public:
    // Throws BadModel.
    Sections(const void *bytes, uint64_t size);

    // The numbers of a section, which must have exactly this dtype and shape. Throws BadModel.
    const float *floats(const std::string &name, const std::vector<int64_t> &shape) const;
    const int64_t *integers(const std::string &name, int64_t count) const;

    // Rows of a float32 matrix with so many columns. Throws BadModel.
    int64_t rows_of(const std::string &name, int64_t columns) const;

  private:
    struct Section {
        std::string name;
        uint32_t dtype, axes;
        uint64_t shape[4];
        const char *data;
    };
    const Section &find(const std::string &name) const;
    const char *checked(const std::string &name, uint32_t dtype, const std::vector<int64_t> &shape) const;
    std::vector<Section> sections_;
};

}  // namespace lrea
