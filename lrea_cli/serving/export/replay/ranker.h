// Opens model.bin and scores golden requests with lrea.h.
#pragma once
#include "../native/lrea.h"
#include "golden.h"
#include <cmath>

class Ranker {
  public:
    Ranker(const std::string &folder, const Golden &golden, int32_t mode)
        : golden_(golden), mode_(mode), file_(bytes_of(folder + "/model.bin")) {
        char error[256];
        if (!lrea_path(mode)) throw std::runtime_error("this machine lacks the mode");
        model_ = lrea_open(file_.data(), file_.size(), error, sizeof error);
        if (!model_) throw std::runtime_error(error);
    }
    Ranker(const Ranker &) = delete;
    ~Ranker() { lrea_close(model_); }

    // Score request r with the bytes of a record (none: the user has no record) and the ids [item fields][N].
    void score(size_t r, const std::vector<char> &record, const std::vector<int32_t> &candidates) {
        const auto short_ids = Golden::of_request(golden_.short_ids, r, golden_.S, golden_.behaviors[r]);
        const auto profile = Golden::of_request(golden_.profile, r, 1, 1);
        lrea_record_request request{};
        request.mode = mode_;
        request.record = record.empty() ? nullptr : record.data();
        request.record_size = record.size();
        request.record_dtype = golden_.record_dtype;
        request.candidates = golden_.N, request.candidate_ids = candidates.data();
        request.short_behaviors = golden_.behaviors[r], request.short_ids = short_ids.data();
        request.newer = golden_.newer[r];
        request.profile_ids = profile.data();
        std::vector<float> logits(golden_.N);
        if (const int status = lrea_score_record(model_, &request, logits.data()))
            throw std::runtime_error(lrea_status_text(status));
        for (size_t n = 0; n < golden_.N; n++) {
            const double difference = std::abs(logits[n] - golden_.logits[r * golden_.N + n]) / golden_.scale;
            if (!(difference <= largest_) && !std::isnan(largest_)) largest_ = difference;  // NaN stays
        }
    }

    // The largest difference of a logit from the golden ones so far, over their scale; NaN if one is no number.
    double largest() const { return largest_; }

  private:
    const Golden &golden_;
    const int32_t mode_;
    const std::vector<char> file_;  // the model reads it in place
    lrea_model *model_;
    double largest_ = 0;
};
