// A request that brings the bytes of the user's record: they are read in place, the matches counted, then it is scored.
#include "lrea.h"
#include "model.h"
#include "rows.h"
#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

namespace lrea {
namespace {

constexpr int32_t FIRST_VALUE = 2;  // ids below are padding and a missing value, which match nothing
constexpr uint64_t CHECKSUM = 8;

struct BadRecord {};

// What a thread keeps of a record until the request is scored.
struct Kept {
    std::vector<float> scales[3], sums;
    std::vector<int32_t> values, amounts, counts;
};

// Reads one column of a record after the other; each is padded to 8 bytes.
class Columns {
  public:
    Columns(const void *record, uint64_t size) : at_(static_cast<const char *>(record)), left_(size) {}

    template <class T>
    T number() {
        T value;
        memcpy(&value, bytes(sizeof(T)), sizeof(T));
        return value;
    }

    const char *column(uint64_t size) {
        const char *start = bytes(size);
        bytes((8 - size % 8) % 8);
        return start;
    }

    void numbers(uint64_t count, std::vector<int32_t> &out) {
        const char *from = column(count * 4);
        out.resize(count);
        if (count) memcpy(out.data(), from, count * 4);
    }

    // Rows in a dtype; int8 ones are followed by their scales, in float16
    lrea_matrix matrix(uint64_t rows, uint64_t width, int32_t dtype, std::vector<float> &scales) {
        const uint64_t bytes_of[] = {4, 2, 1};
        lrea_matrix m{column(rows * width * bytes_of[dtype]), nullptr, dtype};
        if (dtype == LREA_INT8) {
            const char *halves = column(rows * 2);
            scales.resize(rows + 1);  // never without memory
            for (uint64_t r = 0; r < rows; r++) {
                uint16_t half;
                memcpy(&half, halves + 2 * r, 2);
                scales[r] = half_to_float(half);
            }
            m.scales = scales.data();
        }
        return m;
    }

    uint64_t left() const { return left_; }

  private:
    const char *bytes(uint64_t size) {
        if (size > left_) throw BadRecord{};
        const char *start = at_;
        at_ += size, left_ -= size;
        return start;
    }

    const char *at_;
    uint64_t left_;
};

// Adds to counts [candidates] how many of the known behaviors, and of the newer ones, have each candidate's value.
void count(const Kept &kept, const int32_t *candidates, int64_t N, const int32_t *newer, int64_t newest, int32_t *counts) {
    for (int64_t n = 0; n < N; n++) {
        const int32_t wanted = candidates[n];
        int64_t matches = 0;
        const auto place = std::lower_bound(kept.values.begin(), kept.values.end(), wanted);
        if (place != kept.values.end() && *place == wanted) matches = kept.amounts[place - kept.values.begin()];
        for (int64_t s = 0; s < newest && wanted >= FIRST_VALUE; s++) matches += newer[s] == wanted;
        if (matches < 0 || matches > INT32_MAX) throw BadRecord{};
        counts[n] = static_cast<int32_t>(matches);
    }
}

// The long part of a record of the model's kind.
void read_history(Columns &columns, const lrea_model &model, int32_t dtype, uint64_t rows, Kept &kept, lrea_long &history) {
    const uint64_t D = model.sizes.width;
    const int32_t wide = dtype == LREA_INT8 ? LREA_INT8 : LREA_FLOAT32;
    if (model.record_kind == RECORD_ROWS) {
        history.kind = LREA_LONG_ROWS;
        history.rows = rows;
        history.keys = columns.matrix(rows, D, dtype, kept.scales[0]);
        history.values = columns.matrix(rows, D, dtype, kept.scales[1]);
        history.linear = columns.matrix(D + 1, D, wide, kept.scales[2]);
    } else if (model.record_kind == RECORD_BUCKETS) {
        const uint64_t buckets = static_cast<uint64_t>(model.sizes.planes / model.sizes.tau) << model.sizes.tau;
        if (rows && rows != buckets) throw BadRecord{};
        history.kind = LREA_LONG_BUCKETS;
        history.rows = rows;
        const lrea_matrix sums = columns.matrix(rows, D, wide, kept.scales[0]);
        kept.sums.resize(rows * D);
        widen(sums, rows, D, D, kept.sums.data());
        history.sums = kept.sums.data();
    }
}

int score(const lrea_model &model, const lrea_record_request &asked, float *logits) {
    static thread_local Kept kept;
    const int64_t N = asked.candidates, C = model.sizes.counters;
    lrea_request request{};
    request.mode = asked.mode;
    request.candidates = N, request.candidate_ids = asked.candidate_ids;
    request.short_behaviors = asked.short_behaviors, request.short_ids = asked.short_ids;
    request.profile_ids = asked.profile_ids, request.profile_by_candidate = asked.profile_by_candidate;
    request.history_length = asked.newer;
    std::vector<int32_t> sizes(C, 0);
    Columns columns(asked.record, asked.record ? asked.record_size : 0);
    if (asked.record) {
        columns.number<int64_t>();  // the key
        const int32_t length = columns.number<int32_t>(), rows = columns.number<int32_t>();
        const char *counted = columns.column(C * 4);
        if (C) memcpy(sizes.data(), counted, C * 4);
        if (length < 0 || rows < 0) throw BadRecord{};
        request.history_length += length;
        read_history(columns, model, asked.record_dtype, rows, kept, request.history);
    }
    kept.counts.resize(C * N + 1);
    for (int64_t c = 0; c < C; c++) {
        if (sizes[c] < 0) throw BadRecord{};
        kept.values.clear();
        if (asked.record) columns.numbers(sizes[c], kept.values), columns.numbers(sizes[c], kept.amounts);
        const int64_t field = model.counted_fields[c];
        if (N) count(kept, asked.candidate_ids + field * N, N, asked.short_ids + field * asked.short_behaviors, asked.newer,
                     kept.counts.data() + c * N);
    }
    if (asked.record && columns.left() != CHECKSUM) throw BadRecord{};
    request.counts = kept.counts.data();
    return lrea_score(&model, &request, logits);
}

bool possible(const lrea_record_request &asked, const float *logits) {
    const bool right_sizes = asked.candidates >= 0 && asked.short_behaviors >= 0 && asked.newer >= 0;
    return right_sizes && asked.newer <= asked.short_behaviors && (asked.candidate_ids || !asked.candidates) &&
           (asked.short_ids || !asked.short_behaviors) && (logits || !asked.candidates) &&
           asked.record_dtype >= LREA_FLOAT32 && asked.record_dtype <= LREA_INT8;
}

}  // namespace
}  // namespace lrea

extern "C" int lrea_score_record(const lrea_model *model, const lrea_record_request *asked, float *logits) {
    if (!model || !asked || !lrea::possible(*asked, logits)) return LREA_BAD_ARGUMENT;
    if (model->record_kind == lrea::RECORD_OTHER) return LREA_UNSUPPORTED;
    try {
        return lrea::score(*model, *asked, logits);
    } catch (const lrea::BadRecord &) {
        return LREA_BAD_RECORD;
    } catch (const std::exception &) {  // bad_alloc; length_error of more candidates than memory can have
        return LREA_NO_MEMORY;
    }
}
