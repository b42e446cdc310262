// The golden requests of a bundle, and the records of their users.
#pragma once
#include "npy.h"
#include <algorithm>
#include <map>

// A row of index.npy: where the record of a key lies in records-<shard>.bin.
struct Entry {
    int64_t key;
    int32_t shard, size;
    int64_t offset;
    uint64_t checksum;
};

struct Golden {
    explicit Golden(const std::string &folder) : folder_(folder) {
        for (std::ifstream names(folder + "/golden/fields.txt"); names >> role >> name;) {
            const std::vector<int32_t> column = numbers_of<int32_t>(file(role + "_" + name));
            (role == "profile" ? profile : role == "short" ? short_ids : candidates).push_back(column);
            if (role == "candidate") item_fields.push_back(name);
        }
        key = numbers_of<int64_t>(file("key"));
        short_behaviors = numbers_of<int32_t>(file("short_behaviors"));
        newer = numbers_of<int32_t>(file("newer"));
        logits = numbers_of<double>(file("logits"));
        index = numbers_of<Entry>(folder + "/records/index.npy");
        shard = bytes_of(folder + "/records/records-00000.bin");
        requests = key.size(), N = logits.size() / requests, S = short_ids[0].size() / requests;
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
        const auto entry = std::lower_bound(index.begin(), index.end(), wanted,
                                            [](const Entry &e, int64_t key) { return e.key < key; });
        if (entry == index.end() || entry->key != wanted) return {};
        return {shard.begin() + entry->offset, shard.begin() + entry->offset + entry->size};
    }

    std::vector<std::vector<int32_t>> candidates, short_ids, profile;
    std::vector<std::string> item_fields;
    std::vector<int64_t> key;
    std::vector<int32_t> short_behaviors, newer;
    std::vector<double> logits;
    std::vector<Entry> index;
    std::vector<char> shard;
    size_t requests, N, S;

  private:
    std::string file(const std::string &name) const { return folder_ + "/golden/" + name + ".npy"; }
    std::string folder_, role, name;
};
