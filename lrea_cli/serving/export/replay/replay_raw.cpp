// Scores the golden requests from raw ids: vocabularies and records are read by their documented bytes alone.
//
//     ./replay_raw FOLDER
//
// It checks that every raw user and item has the id that the golden requests have, then prints the largest difference of
// a logit from float64.
#include "parquet.h"
#include "ranker.h"

// Walks golden/raw.bin: for each request the user and its N items, each as uint32 size and UTF-8; an unknown one is empty.
class Texts {
  public:
    explicit Texts(const std::string &path) : file_(bytes_of(path)) {}

    std::string next() {
        uint32_t size;
        memcpy(&size, take(sizeof size), sizeof size);
        return {take(size), size};
    }

  private:
    const char *take(size_t size) {
        if (size > file_.size() - at_) throw std::runtime_error("golden/raw.bin is cut off");
        at_ += size;
        return file_.data() + at_ - size;
    }
    const std::vector<char> file_;
    size_t at_ = 0;
};

// The id of a raw value, or that of an unknown one.
static int64_t id_of(const Vocabulary &vocabulary, const std::string &text, int64_t unknown) {
    const auto found = vocabulary.find(text);
    return found == vocabulary.end() ? unknown : found->second;
}

static int run(const std::string &folder) {
    const Golden golden(folder);
    const Vocabulary users = read_vocabulary(folder + "/vocab/user.parquet");
    const Vocabulary items = read_vocabulary(folder + "/vocab/item.parquet");
    Ranker ranker(folder, golden, LREA_AUTO);
    Texts texts(folder + "/golden/raw.bin");
    const auto &fields = golden.item_fields;
    const size_t item = std::find(fields.begin(), fields.end(), "item") - fields.begin();
    for (size_t r = 0; r < golden.requests; r++) {
        const std::string user = texts.next();
        const int64_t key = id_of(users, user, -1);
        if (key != golden.key[r]) throw std::runtime_error("user '" + user + "' has another key");
        auto candidates = Golden::of_request(golden.candidates, r, golden.N, golden.N);
        for (size_t n = 0; n < golden.N; n++) {
            const std::string text = texts.next();
            const int64_t id = id_of(items, text, 1);
            if (id != candidates[item * golden.N + n]) throw std::runtime_error("item '" + text + "' has another id");
            candidates[item * golden.N + n] = static_cast<int32_t>(id);
        }
        const std::vector<char> record = golden.record(key);
        int64_t written = key;
        if (record.size() >= sizeof written) memcpy(&written, record.data(), sizeof written);
        if (written != key) throw std::runtime_error("the index leads to the record of another user");
        ranker.score(r, record, candidates);
    }
    printf("%zu requests from raw ids, %zu users and %zu items known: largest difference of a logit %.2g of max(1, the largest) (limit 1e-06)\n",
           golden.requests, users.size(), items.size(), ranker.largest());
    return ranker.largest() <= 1e-6 ? 0 : 1;
}

int main(int count, char **words) {
    try {
        return run(count > 1 ? words[1] : ".");
    } catch (const std::exception &error) {
        fprintf(stderr, "replay_raw: %s\n", error.what());
        return 2;
    }
}
