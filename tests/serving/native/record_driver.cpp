// Scores every truncation of a record and many damaged ones, each in memory of its own size, which a sanitizer watches.
//
//     record_driver MODEL.bin RECORD DTYPE
//
// It prints how many were scored and how many refused; any other status ends it with 1.
#include "lrea.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

static std::vector<char> bytes_of(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Asker {
    explicit Asker(const std::vector<char> &file, int32_t dtype) : dtype(dtype) {
        model = lrea_open(file.data(), file.size(), nullptr, 0);
        if (!model) abort();
        lrea_sizes_of(model, &sizes);
        candidates.assign(sizes.item_fields * 5, 3), behaviors.assign(sizes.item_fields * 4, 3);
        profile.assign(sizes.profile_fields + 1, 2);
    }
    ~Asker() { lrea_close(model); }

    // Score a record of these bytes; a status that no bytes may give ends the program.
    void ask(const std::vector<char> &bytes) {
        std::unique_ptr<char[]> own(new char[bytes.size() + 1]);  // one more, so that size 0 has a place
        char *record = own.get() + 1;
        if (!bytes.empty()) memcpy(record, bytes.data(), bytes.size());
        lrea_record_request asked{LREA_FP32, record, bytes.size(), dtype, 5, candidates.data(), 4, behaviors.data(), 2,
                                  profile.data(), 0};
        float logits[5];
        const int status = lrea_score_record(model, &asked, logits);
        if (status != LREA_OK && status != LREA_BAD_RECORD) {
            printf("status %d\n", status);
            exit(1);
        }
        (status == LREA_OK ? scored : refused)++;
    }

    lrea_model *model;
    lrea_sizes sizes;
    int32_t dtype;
    std::vector<int32_t> candidates, behaviors, profile;
    int scored = 0, refused = 0;
};

int main(int, char **words) {
    const std::vector<char> file = bytes_of(words[1]), record = bytes_of(words[2]);
    Asker asker(file, atoi(words[3]));
    for (size_t size = 0; size <= record.size(); size++) asker.ask({record.begin(), record.begin() + size});
    std::mt19937 random(1);
    for (int round = 0; round < 4000; round++) {
        std::vector<char> damaged = record;
        const size_t most = round % 2 ? 40 : damaged.size();  // the sizes stand among the first 40 bytes
        for (int change = 0; change <= round % 4; change++) damaged[random() % most] = static_cast<char>(random());
        if (round % 3 == 0) damaged.resize(random() % (2 * damaged.size()));
        asker.ask(damaged);
    }
    printf("%d scored, %d refused\n", asker.scored, asker.refused);
}
