// Scores the golden requests with lrea.h and prints the largest difference of a logit from float64.
//
//     ./replay FOLDER [auto | fp32 | x6 | x3]
#include "ranker.h"

static int32_t mode_of(const std::string &word) {
    if (word == "auto") return LREA_AUTO;
    if (word == "fp32") return LREA_FP32;
    if (word == "x6") return LREA_X6;
    if (word == "x3") return LREA_X3;
    throw std::runtime_error("there is no mode '" + word + "': use auto, fp32, x6 or x3");
}

static int run(const std::string &folder, const std::string &word) {
    const int32_t mode = mode_of(word);
    const double limit = mode == LREA_X3 ? 1e-5 : 1e-6;
    const Golden golden(folder);
    Ranker ranker(folder, golden, mode);
    for (size_t r = 0; r < golden.requests; r++)
        ranker.score(r, golden.record(golden.key[r]), Golden::of_request(golden.candidates, r, golden.N, golden.N));
    printf("%zu requests, %s: largest difference of a logit %.2g of max(1, the largest) (limit %.0e)\n", golden.requests, lrea_path(mode),
           ranker.largest(), limit);
    return ranker.largest() <= limit ? 0 : 1;
}

int main(int count, char **words) {
    try {
        return run(count > 1 ? words[1] : ".", count > 2 ? words[2] : "auto");
    } catch (const std::exception &error) {
        fprintf(stderr, "replay: %s\n", error.what());
        return 2;
    }
}
