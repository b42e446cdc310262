// A request: what all candidates share is prepared once, then slabs of candidates are scored one after the other.
#include "buckets.h"
#include "gather.h"
#include "lrea.h"
#include "model.h"
#include "rows.h"
#include "scratch.h"
#include "status.h"
#include <cmath>
#include <cstring>

namespace lrea {

void *take_bytes(Scratch &scratch, Slot slot, size_t bytes) { return scratch.take(slot, bytes); }

namespace {

constexpr int64_t MOST_ROWS = 1 << 24;  // of one history

class Request {
  public:
    Request(const lrea_model &model, const lrea_request &asked, const Kernels &kernels)
        : model_(model),
          asked_(asked),
          kernels_(kernels),
          scratch_(Scratch::of_thread()),
          padded_(rounded_up(model.sizes.width, PANEL)) {
        if (kernels_.enter) kernels_.enter();
    }
    ~Request() {
        if (kernels_.leave) kernels_.leave();
    }

    void score(float *logits) {
        need(asked_.short_behaviors >= 0 && asked_.short_behaviors <= MOST_ROWS);
        need(asked_.history_length >= 0, LREA_BAD_COUNT);
        short_rows_ = behaviors(SHORT_ROWS, model_.short_scorer.view, asked_.short_ids, asked_.short_behaviors);
        prepare_long();
        prepare_bias();
        for (int64_t first = 0; first < asked_.candidates; first += SLAB) {
            const int count = slab(first);
            const float *vectors = candidate_vectors(first, count);
            Inputs in{};
            in.count = count, in.padded = static_cast<int>(padded_), in.bias = bias_;
            in.candidate = vectors;
            float *short_interest = take(scratch_, SHORT_INTEREST, count * padded_);
            attend(model_.short_scorer.view, short_rows_, vectors, count, short_interest);
            in.short_interest = short_interest;
            in.long_interest = long_interest(first, count, vectors);
            add_profile(first, count, in);
            add_counters(first, count, in);
            kernels_.mlp(model_.mlp, in, logits + first, scratch_);
        }
    }

    void interest(float *interests) {
        prepare_long();
        const int64_t D = model_.sizes.width;
        for (int64_t first = 0; first < asked_.candidates; first += SLAB) {
            const int count = slab(first);
            const float *from = long_interest(first, count, candidate_vectors(first, count));
            for (int n = 0; n < count; n++) memcpy(interests + (first + n) * D, from + n * padded_, D * 4);
        }
    }

  private:
    int slab(int64_t first) const {
        return static_cast<int>(asked_.candidates - first < SLAB ? asked_.candidates - first : SLAB);
    }

    const float *candidate_vectors(int64_t first, int count) {
        float *vectors = take(scratch_, CANDIDATE_VECTORS, count * padded_);
        item_vectors(model_, asked_.candidate_ids, asked_.candidates, first, count, vectors);
        return vectors;
    }

    // Memory for rows and their linear half: keys, values, linear
    Rows empty_rows(Slot slot, int64_t count, float *&keys, float *&values, float *&linear) {
        keys = take(scratch_, slot, (2 * count + model_.sizes.width + 1) * padded_);
        values = keys + count * padded_;
        linear = values + count * padded_;
        return {static_cast<int>(count), keys, values, linear};
    }

    // DIN over behaviors: keys e_j, values c(n) e_j with c(n) = 1 / sqrt(n)
    Rows behaviors(Slot slot, const Scorer &scorer, const int32_t *ids, int64_t count) {
        float *keys, *values, *linear;
        const Rows rows = empty_rows(slot, count, keys, values, linear);
        item_vectors(model_, ids, count, 0, count, keys);
        const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(count > 0 ? count : 1)));
        for (int64_t i = 0; i < count * padded_; i++) values[i] = keys[i] * scale;
        kernels_.linear_half(scorer, rows.count, keys, values, linear);
        return rows;
    }

    static void check(const lrea_matrix &matrix) {
        need(matrix.data && matrix.dtype >= LREA_FLOAT32 && matrix.dtype <= LREA_INT8);
        need(matrix.dtype != LREA_INT8 || matrix.scales);
    }

    Rows pseudo_items() {
        const lrea_long &history = asked_.history;
        const int64_t D = model_.sizes.width, count = history.rows;
        float *keys, *values, *linear;
        const Rows rows = empty_rows(LONG_ROWS, count, keys, values, linear);
        if (count) {
            check(history.keys);
            check(history.values);
            widen(history.keys, count, D, padded_, keys);
            widen(history.values, count, D, padded_, values);
        }
        if (history.linear.data) {
            check(history.linear);
            widen(history.linear, D + 1, D, padded_, linear);
        } else {
            kernels_.linear_half(model_.long_scorer.view, rows.count, keys, values, linear);
        }
        return rows;
    }

    void prepare_long() {
        const lrea_long &history = asked_.history;
        need(history.kind >= LREA_LONG_NONE && history.kind <= LREA_LONG_INTEREST);
        need(history.rows >= 0 && history.rows <= MOST_ROWS);
        kind_ = history.kind;
        if (kind_ == LREA_LONG_ROWS) long_rows_ = pseudo_items();
        if (kind_ == LREA_LONG_BEHAVIORS)
            long_rows_ = behaviors(LONG_ROWS, model_.long_scorer.view, history.ids, history.rows);
        if (kind_ == LREA_LONG_BUCKETS) {
            need(model_.planes, LREA_UNSUPPORTED);
            if (!history.rows) kind_ = LREA_LONG_NONE;
            else need(history.sums), buckets_ = prepare_buckets(model_, history.sums, scratch_);
        }
        if (kind_ == LREA_LONG_INTEREST) need(history.interest || !asked_.candidates);
    }

    void attend(const Scorer &scorer, const Rows &rows, const float *vectors, int count, float *out) {
        kernels_.interest(scorer, rows, vectors, count, out, scratch_);
    }

    const float *long_interest(int64_t first, int count, const float *vectors) {
        float *out = take(scratch_, LONG_INTEREST, count * padded_);
        if (kind_ == LREA_LONG_ROWS || kind_ == LREA_LONG_BEHAVIORS)
            attend(model_.long_scorer.view, long_rows_, vectors, count, out);
        else if (kind_ == LREA_LONG_BUCKETS) bucket_interest(model_, buckets_, vectors, count, out);
        else if (kind_ == LREA_LONG_INTEREST)
            widen({reinterpret_cast<const char *>(asked_.history.interest) + first * model_.sizes.width * 4, nullptr,
                   LREA_FLOAT32},
                  count, model_.sizes.width, padded_, out);
        else memset(out, 0, count * padded_ * 4);
        return out;
    }

    // What all candidates share: bias + W log(1 + length), + W profile where they share that
    void prepare_bias() {
        const Layer &first = model_.layers[0];
        bias_ = take(scratch_, BIAS, first.outputs);
        const float log_length =
            static_cast<float>(std::log1p(static_cast<double>(static_cast<float>(asked_.history_length))));
        for (int m = 0; m < first.outputs; m++) bias_[m] = first.bias[m] + log_length * model_.length_weight.get()[m];
        if (model_.profiles.empty() || asked_.profile_by_candidate) return;
        const int64_t width = model_.field_width;
        float *profile = take(scratch_, PROFILE, model_.profiles.size() * width);
        for (size_t f = 0; f < model_.profiles.size(); f++)
            gather(model_.profiles[f], model_.field_width, asked_.profile_ids ? asked_.profile_ids + f : nullptr, 1,
                   profile + f * width, width);
        kernels_.add_to_bias(first, model_.mlp.shared_inputs, static_cast<int>(model_.profiles.size() * width), profile,
                             bias_);
    }

    void add_profile(int64_t first, int count, Inputs &in) {
        if (model_.profiles.empty() || !asked_.profile_by_candidate) return;
        need(asked_.profile_ids);
        const int64_t columns = model_.layers[0].inputs - model_.mlp.shared_inputs;
        float *profile = take(scratch_, PROFILE, count * columns);
        memset(profile, 0, count * columns * 4);
        for (size_t f = 0; f < model_.profiles.size(); f++)
            gather(model_.profiles[f], model_.field_width, asked_.profile_ids + f * asked_.candidates + first, count,
                   profile + f * model_.field_width, columns);
        in.profile = profile, in.profile_columns = static_cast<int>(columns);
    }

    float log1p(int32_t matches) const {
        if (matches < static_cast<int64_t>(model_.log1p.size())) return model_.log1p[matches];
        return static_cast<float>(std::log1p(static_cast<double>(static_cast<float>(matches))));
    }

    void add_counters(int64_t first, int count, Inputs &in) {
        if (!model_.mlp.counters) return;
        need(asked_.counts);
        float *counters = take(scratch_, COUNTERS, model_.mlp.counters * SLAB);
        for (int c = 0; c < model_.mlp.counters; c++)
            for (int n = 0; n < count; n++) {
                const int32_t matches = asked_.counts[c * asked_.candidates + first + n];
                need(matches >= 0, LREA_BAD_COUNT);
                counters[c * SLAB + n] = log1p(matches);
            }
        in.counters = counters, in.counter_stride = SLAB;
    }

    const lrea_model &model_;
    const lrea_request &asked_;
    const Kernels &kernels_;
    Scratch &scratch_;
    const int64_t padded_;
    int32_t kind_ = LREA_LONG_NONE;
    Rows short_rows_{}, long_rows_{};
    Buckets buckets_{};
    float *bias_ = nullptr;
};

template <class Work>
int answer(const lrea_model *model, const lrea_request *request, const float *out, Work work) {
    try {
        need(model && request && request->candidates >= 0 && (out || !request->candidates));
        const Kernels *kernels = kernels_of(request->mode);
        need(kernels, LREA_UNSUPPORTED);
        Request asked(*model, *request, *kernels);
        work(asked);
        return LREA_OK;
    } catch (const Refused &refused) {
        return refused.status;
    } catch (const std::bad_alloc &) {
        return LREA_NO_MEMORY;
    }
}

}  // namespace
}  // namespace lrea

extern "C" {

int lrea_score(const lrea_model *model, const lrea_request *request, float *logits) {
    return lrea::answer(model, request, logits, [&](lrea::Request &asked) { asked.score(logits); });
}

int lrea_interest(const lrea_model *model, const lrea_request *request, float *interests) {
    return lrea::answer(model, request, interests, [&](lrea::Request &asked) { asked.interest(interests); });
}
}
