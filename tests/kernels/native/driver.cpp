// Calls training.h with arrays as long as they must be, in every mode of the machine, on one thread and on several;
// ends with 1 if a bit differs. Sanitizers watch it. Usage: driver threads
#include "training.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

typedef std::vector<float> Floats;

struct Random {
    uint32_t state;
    float next() {
        state = state * 1664525u + 1013904223u;
        return static_cast<float>(state >> 8) / (1 << 23) - 1;
    }
};

struct Drawn {
    Floats e, k, W1, W2, W3, b, w, d_scores;
    lrea_attention attention;

    Drawn(int64_t B, int64_t N, int64_t R, int64_t D, int64_t H) {
        Random random{static_cast<uint32_t>(B + 10 * N + 100 * R + 1000 * D + 10000 * H)};
        auto floats = [&](Floats &to, int64_t count) {
            for (int64_t i = 0; i < count; i++) to.push_back(random.next());
            return to.data();
        };
        floats(d_scores, B * N * R);
        attention = {B,
                     N,
                     R,
                     D,
                     H,
                     floats(e, B * N * D),
                     floats(k, B * R * D),
                     floats(W1, D * H),
                     floats(W2, D * H),
                     floats(W3, D * H),
                     floats(b, H),
                     floats(w, H)};
    }
};

void check(int status) {
    if (status) exit(status);
}

// Scores, then the gradients of all operands.
Floats results(const Drawn &drawn, int32_t mode, int32_t threads) {
    const lrea_attention &a = drawn.attention;
    Floats scores(a.B * a.N * a.R), e(a.B * a.N * a.D), k(a.B * a.R * a.D), W1(a.D * a.H), W2(W1), W3(W1), b(a.H), w(b);
    check(lrea_attention_scores(&a, mode, threads, scores.data()));
    const lrea_attention_gradient gradient = {e.data(), k.data(), W1.data(), W2.data(), W3.data(), b.data(), w.data()};
    check(lrea_attention_backward(&a, drawn.d_scores.data(), mode, threads, &gradient));
    for (const Floats *each : {&e, &k, &W1, &W2, &W3, &b, &w}) scores.insert(scores.end(), each->begin(), each->end());
    return scores;
}

}  // namespace

int main(int count, char **words) {
    if (count < 2) return 2;
    int calls = 0, differing = 0;
    const int64_t shapes[][5] = {{1, 1, 1, 1, 1},    {3, 2, 0, 4, 5},     {5, 1, 17, 7, 3},    {2, 66, 49, 5, 8},
                                 {40, 2, 5, 33, 17}, {2, 2, 100, 32, 64}, {2, 3, 47, 18, 150}, {0, 3, 4, 5, 6}};
    for (const auto &s : shapes) {
        const Drawn drawn(s[0], s[1], s[2], s[3], s[4]);
        for (int32_t mode = LREA_TRAINING_AUTO; mode <= LREA_TRAINING_AVX512; mode++) {
            if (!lrea_training_path(mode)) continue;
            const Floats alone = results(drawn, mode, 1), together = results(drawn, mode, atoi(words[1]));
            differing += memcmp(alone.data(), together.data(), alone.size() * sizeof(float)) != 0;
            calls++;
        }
    }
    printf("%d calls, %d differ\n", calls, differing);
    return differing != 0;
}
