// Scores the golden requests with lrea.h and prints the largest difference of a logit from float64.
//
//     ./replay FOLDER [fp32 | x6 | x3]
#include "../native/lrea.h"
#include "golden.h"
#include <cmath>
#include <cstdio>

static int run(const std::string &folder, int32_t mode, double limit) {
    const Golden golden(folder);
    const std::vector<char> file = bytes_of(folder + "/model.bin");
    const int32_t dtype = numbers_of<int32_t>(folder + "/golden/record_dtype.npy")[0];
    char error[256];
    lrea_model *model = lrea_open(file.data(), file.size(), error, sizeof error);
    if (!model) throw std::runtime_error(error);
    if (!lrea_path(mode)) throw std::runtime_error("this machine has no such mode");
    double largest = 0;
    for (size_t r = 0; r < golden.requests; r++) {
        const size_t behaviors = golden.short_behaviors[r];
        const auto candidates = Golden::of_request(golden.candidates, r, golden.N, golden.N);
        const auto short_ids = Golden::of_request(golden.short_ids, r, golden.S, behaviors);
        const auto profile = Golden::of_request(golden.profile, r, 1, 1);
        const std::vector<char> record = golden.record(golden.key[r]);
        lrea_record_request request{};
        request.mode = mode;
        request.record = record.empty() ? nullptr : record.data();
        request.record_size = record.size();
        request.record_dtype = dtype;
        request.candidates = golden.N, request.candidate_ids = candidates.data();
        request.short_behaviors = behaviors, request.short_ids = short_ids.data();
        request.newer = golden.newer[r];
        request.profile_ids = profile.data();
        std::vector<float> logits(golden.N);
        if (const int status = lrea_score_record(model, &request, logits.data()))
            throw std::runtime_error(lrea_status_text(status));
        for (size_t n = 0; n < golden.N; n++) {
            const double difference = std::abs(logits[n] - golden.logits[r * golden.N + n]);
            if (!(difference <= largest)) largest = difference;
        }
    }
    lrea_close(model);
    printf("%zu requests, %s: largest difference of a logit %.2g (limit %.0e)\n", golden.requests, lrea_path(mode), largest,
           limit);
    return largest <= limit ? 0 : 1;
}

int main(int count, char **words) {
    const std::string folder = count > 1 ? words[1] : ".", mode = count > 2 ? words[2] : "auto";
    try {
        const int32_t number = mode == "fp32" ? LREA_FP32 : mode == "x6" ? LREA_X6 : mode == "x3" ? LREA_X3 : LREA_AUTO;
        return run(folder, number, mode == "x3" ? 1e-5 : 1e-6);
    } catch (const std::exception &error) {
        fprintf(stderr, "replay: %s\n", error.what());
        return 2;
    }
}
