// Scores the golden requests from raw ids: vocabularies and records are read by their documented bytes alone.
//
//     ./replay_raw FOLDER
//
// It checks that every raw user and item has the id that the golden requests have, then prints the largest difference of
// a logit from float64.
#include "../native/lrea.h"
#include "golden.h"
#include "parquet.h"
#include <cmath>
#include <cstdio>
#include <sstream>

// golden/raw.txt: for each request one line, the user and its N items, with tabs between; "-" is an unknown value.
static int run(const std::string &folder) {
    const Golden golden(folder);
    const auto users = read_vocabulary(folder + "/vocab/user.parquet"), items = read_vocabulary(folder + "/vocab/item.parquet");
    const std::vector<char> file = bytes_of(folder + "/model.bin");
    const int32_t dtype = numbers_of<int32_t>(folder + "/golden/record_dtype.npy")[0];
    char error[256];
    lrea_model *model = lrea_open(file.data(), file.size(), error, sizeof error);
    if (!model) throw std::runtime_error(error);
    const size_t item = std::find(golden.item_fields.begin(), golden.item_fields.end(), "item") - golden.item_fields.begin();
    std::ifstream raw(folder + "/golden/raw.txt");
    std::string line, word;
    double largest = 0;
    for (size_t r = 0; r < golden.requests; r++) {
        if (!std::getline(raw, line)) throw std::runtime_error("golden/raw.txt is cut off");
        std::istringstream words(line);
        std::getline(words, word, '\t');
        const auto user = users.find(word);
        const int64_t key = user == users.end() ? -1 : user->second;
        if (key != golden.key[r]) throw std::runtime_error("user '" + word + "' has another key than the golden request");
        auto candidates = Golden::of_request(golden.candidates, r, golden.N, golden.N);
        for (size_t n = 0; n < golden.N && std::getline(words, word, '\t'); n++) {
            const auto found = items.find(word);
            const int32_t id = found == items.end() ? 1 : found->second;
            if (id != candidates[item * golden.N + n]) throw std::runtime_error("item '" + word + "' has another id");
            candidates[item * golden.N + n] = id;
        }
        const size_t behaviors = golden.short_behaviors[r];
        const auto short_ids = Golden::of_request(golden.short_ids, r, golden.S, behaviors);
        const auto profile = Golden::of_request(golden.profile, r, 1, 1);
        const std::vector<char> record = golden.record(key);
        int64_t written = key;
        if (!record.empty()) memcpy(&written, record.data(), 8);
        if (written != key) throw std::runtime_error("the index leads to the record of another user");
        lrea_record_request request{LREA_AUTO, record.empty() ? nullptr : record.data(), record.size(), dtype,
                                    static_cast<int64_t>(golden.N), candidates.data(), static_cast<int64_t>(behaviors),
                                    short_ids.data(), golden.newer[r], profile.data(), 0};
        std::vector<float> logits(golden.N);
        if (const int status = lrea_score_record(model, &request, logits.data()))
            throw std::runtime_error(lrea_status_text(status));
        for (size_t n = 0; n < golden.N; n++) {
            const double difference = std::abs(logits[n] - golden.logits[r * golden.N + n]);
            if (!(difference <= largest)) largest = difference;
        }
    }
    lrea_close(model);
    printf("%zu requests from raw ids, %zu users and %zu items known: largest difference of a logit %.2g (limit 1e-06)\n",
           golden.requests, users.size(), items.size(), largest);
    return largest <= 1e-6 ? 0 : 1;
}

int main(int count, char **words) {
    try {
        return run(count > 1 ? words[1] : ".");
    } catch (const std::exception &error) {
        fprintf(stderr, "replay_raw: %s\n", error.what());
        return 2;
    }
}
