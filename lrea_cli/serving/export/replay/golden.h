// The golden requests of a bundle, and the records of their users.
#pragma once
#include "npy.h"
#include <algorithm>
#include <cmath>
#include <cstdio>

// A row of index.npy: where the record of a key lies in records-<shard>.bin.
struct Entry {
    int64_t key;
    int32_t shard, size;
    int64_t offset;
    uint64_t checksum;
};

class Golden {
  public:
    explicit Golden(const std::string &folder) : folder_(folder) {
        std::ifstream names(folder + "/golden/fields.txt");
        for (std::string role, name; names >> role >> name;) {
            (role == "profile" ? profile : role == "short" ? short_ids : candidates)
                .push_back(numbers_of<int32_t>(file(role + "_" + name)));
            if (role == "candidate") item_fields.push_back(name);
        }
        key = numbers_of<int64_t>(file("key"));
        behaviors = numbers_of<int32_t>(file("behaviors"));
        newer = numbers_of<int32_t>(file("newer"));
        logits = numbers_of<double>(file("logits"));
        for (const double logit : logits) scale = std::max(scale, std::abs(logit));
        record_dtype = numbers_of<int32_t>(file("record_dtype")).at(0);
        index_ = numbers_of<Entry>(folder + "/records/index.npy");
        requests = key.size();
        if (!requests || short_ids.empty()) throw std::runtime_error("there are no golden requests");
        N = logits.size() / requests, S = short_ids[0].size() / requests;
    }

    // Ids of one request [fields][count], out of the columns [requests][width] of each field.
    static std::vector<int32_t> of_request(const std::vector<std::vector<int32_t>> &columns, size_t request, size_t width,
                                           size_t count) {
        std::vector<int32_t> ids;
        for (const auto &column : columns)
            ids.insert(ids.end(), column.begin() + request * width, column.begin() + request * width + count);
        return ids;
    }

    // The bytes of the record of a key; none where it has no record.
    std::vector<char> record(int64_t wanted) const {
        const auto entry = std::lower_bound(index_.begin(), index_.end(), wanted,
                                            [](const Entry &e, int64_t key) { return e.key < key; });
        if (entry == index_.end() || entry->key != wanted) return {};
        char name[32];
        snprintf(name, sizeof name, "records-%05d.bin", entry->shard);
        std::ifstream shard(folder_ + "/records/" + name, std::ios::binary);
        std::vector<char> bytes(entry->size);
        if (!shard.seekg(entry->offset) || !shard.read(bytes.data(), entry->size))
            throw std::runtime_error(std::string(name) + " is cut off");
        return bytes;
    }

    std::vector<std::vector<int32_t>> candidates, short_ids, profile;
    std::vector<std::string> item_fields;
    std::vector<int64_t> key;
    std::vector<int32_t> behaviors, newer;
    std::vector<double> logits;
    double scale = 1;  // the largest logit, at least 1: float32 has seven digits of it
    int32_t record_dtype;
    size_t requests, N, S;

  private:
    std::string file(const std::string &name) const { return folder_ + "/golden/" + name + ".npy"; }
    std::string folder_;
    std::vector<Entry> index_;
};
