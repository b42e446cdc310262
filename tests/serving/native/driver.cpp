// Scores requests of a model.bin by lrea.h alone, first on one thread, then on some at once, in every mode of the
// machine; ends with 1 if a bit differs. Sanitizers watch it. Usage: driver model.bin threads calls [file for the
// logits of FP32]
#include "lrea.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr uint32_t LARGEST_ID = 40;

// The same numbers with every C library.
struct Random {
    uint32_t state;
    uint32_t below(uint32_t end) {
        state = state * 1664525u + 1013904223u;
        return (state >> 8) % end;
    }
};

// A request of which every array is as long as it must be, so that a read past its end is seen.
struct Drawn {
    std::vector<int32_t> candidates, short_ids, profile, counts, behaviors;
    std::vector<float> keys, values, sums, interest;
    lrea_request request{};

    Drawn(const lrea_sizes &sizes, int32_t mode, int number) {
        Random random{static_cast<uint32_t>(number)};
        const int64_t N = number * 37 % 150, S = number % 9, R = number * 13 % 40;
        auto ids = [&](std::vector<int32_t> &to, int64_t count) {
            for (int64_t i = 0; i < count; i++) to.push_back(random.below(LARGEST_ID));
            return to.data();
        };
        auto floats = [&](std::vector<float> &to, int64_t count) {
            for (int64_t i = 0; i < count; i++) to.push_back(random.below(2000) / 1000.f - 1);
            return to.data();
        };
        request.mode = mode, request.candidates = N, request.short_behaviors = S, request.history_length = S + R;
        request.candidate_ids = ids(candidates, sizes.item_fields * N);
        request.short_ids = ids(short_ids, sizes.item_fields * S);
        request.profile_by_candidate = number % 2;
        request.profile_ids = ids(profile, sizes.profile_fields * (number % 2 ? N : 1));
        request.counts = ids(counts, sizes.counters * N);
        lrea_long &history = request.history;
        history.kind = number % 5, history.rows = R;
        if (history.kind == LREA_LONG_BUCKETS && !sizes.planes) history.kind = LREA_LONG_NONE;
        history.ids = ids(behaviors, sizes.item_fields * R);
        history.keys.data = floats(keys, R * sizes.width);
        history.values.data = floats(values, R * sizes.width);
        history.interest = floats(interest, N * sizes.width);
        if (sizes.planes) history.sums = floats(sums, sizes.planes / sizes.tau * (1 << sizes.tau) * sizes.width);
    }
};

std::vector<float> score(const lrea_model *model, const lrea_request &request) {
    std::vector<float> logits(request.candidates);
    const int status = lrea_score(model, &request, logits.data());
    if (status) {
        fprintf(stderr, "%s\n", lrea_status_text(status));
        exit(1);
    }
    return logits;
}

}  // namespace

int main(int count, char **words) {
    if (count < 4) return 2;
    FILE *file = fopen(words[1], "rb");
    std::vector<char> bytes;
    for (int byte; file && (byte = fgetc(file)) != EOF;) bytes.push_back(static_cast<char>(byte));
    if (file) fclose(file);
    char error[200] = "";
    lrea_model *model = lrea_open(bytes.data(), bytes.size(), error, sizeof error);
    if (!model) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    lrea_sizes sizes;
    lrea_sizes_of(model, &sizes);
    std::vector<Drawn> drawn;
    std::vector<std::vector<float>> expected;
    for (int32_t mode = LREA_AUTO; mode <= LREA_AVX512; mode++)
        for (int number = 0; lrea_path(mode) && number < 20; number++) drawn.emplace_back(sizes, mode, number);
    for (const Drawn &each : drawn) expected.push_back(score(model, each.request));
    FILE *kept = count > 4 ? fopen(words[4], "wb") : nullptr;
    for (size_t i = 0; kept && i < drawn.size(); i++)
        if (drawn[i].request.mode == LREA_FP32) fwrite(expected[i].data(), 4, expected[i].size(), kept);
    if (kept) fclose(kept);
    std::vector<int> differing(atoi(words[2]));
    std::vector<std::thread> threads;
    for (size_t t = 0; t < differing.size(); t++)
        threads.emplace_back([&, t] {
            for (int call = 0; call < atoi(words[3]); call++) {
                const size_t i = (call * 7 + t * 3) % drawn.size();
                const std::vector<float> logits = score(model, drawn[i].request);
                differing[t] += !logits.empty() && memcmp(logits.data(), expected[i].data(), logits.size() * 4);
            }
        });
    for (std::thread &thread : threads) thread.join();
    lrea_close(model);
    int wrong = 0;
    for (int each : differing) wrong += each;
    printf("%zu requests, %d of the calls on threads differ\n", drawn.size(), wrong);
    return wrong != 0;
}
