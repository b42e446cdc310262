// Reads the vocabularies of a bundle: Parquet files, uncompressed, plain encoding, no nulls.
//
// The end of a file is its footer, the footer's size (uint32) and "PAR1". Footer and page headers are Thrift structures in
// the compact protocol; of them only what is needed here is kept. Parquet's own text: parquet-format, README and Encodings.
#pragma once
#include "npy.h"
#include <map>

// Walks a Thrift structure in the compact protocol.
class Thrift {
  public:
    Thrift(const char *at, const char *end) : at_(at), end_(end) {}

    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const uint8_t b = byte();
            value |= static_cast<uint64_t>(b & 127) << shift;
            if (b < 128) return value;
        }
        throw std::runtime_error("a Thrift number has no end");
    }
    int64_t integer() { return unzigzag(varint()); }

    // The next field of a structure: its number and type; 0 at the end.
    int field(int &last, int &type) {
        const uint8_t head = byte();
        type = head & 15;
        if (!type) return 0;
        return last = head >> 4 ? last + (head >> 4) : static_cast<int>(integer());
    }

    // The size of a list, and the type of what is in it.
    uint64_t list(int &type) {
        const uint8_t head = byte();
        type = head & 15;
        return head >> 4 == 15 ? varint() : head >> 4;
    }

    std::string text() {
        const uint64_t size = varint();
        need(size);
        at_ += size;
        return {at_ - size, at_};
    }

    void skip(int type) {
        int inner;
        if (type == 3) byte();
        else if (type >= 4 && type <= 6) varint();
        else if (type == 7) need(8), at_ += 8;
        else if (type == 8) text();
        else if (type == 9 || type == 10)
            for (uint64_t left = list(inner); left; left--) skip(inner == 1 || inner == 2 ? 3 : inner);
        else if (type == 12)
            for (int last = 0; field(last, inner);) skip(inner);
        else if (type > 2) throw std::runtime_error("a Thrift type that a vocabulary does not have");
    }

    const char *at() const { return at_; }

  private:
    static int64_t unzigzag(uint64_t n) { return static_cast<int64_t>(n >> 1) ^ -static_cast<int64_t>(n & 1); }
    void need(uint64_t size) const {
        if (size > static_cast<uint64_t>(end_ - at_)) throw std::runtime_error("a Parquet file is cut off");
    }
    uint8_t byte() {
        need(1);
        return static_cast<uint8_t>(*at_++);
    }
    const char *at_, *end_;
};

// Where the pages of one column lie.
struct ColumnChunk {
    int64_t values = 0, offset = 0;
    std::string name;
};

inline ColumnChunk read_meta(Thrift &thrift) {
    ColumnChunk chunk;
    for (int last = 0, type, id; (id = thrift.field(last, type));) {
        int inner;
        if (id == 3)
            for (uint64_t left = thrift.list(inner); left; left--) chunk.name = thrift.text();
        else if (id == 5) chunk.values = thrift.integer();
        else if (id == 9) chunk.offset = thrift.integer();
        else if (id == 4 && thrift.integer() != 0) throw std::runtime_error("a vocabulary is compressed");
        else if (id != 4) thrift.skip(type);
    }
    return chunk;
}

// FileMetaData: field 3 is the number of rows, field 4 the list of row groups; of a row group field 1 is the list of columns,
// of a column field 3 the metadata.
inline std::vector<ColumnChunk> read_footer(const std::vector<char> &file, int64_t &rows) {
    uint32_t size;
    if (file.size() < 12 || memcmp(file.data() + file.size() - 4, "PAR1", 4)) throw std::runtime_error("no Parquet file");
    memcpy(&size, file.data() + file.size() - 8, 4);
    if (size > file.size() - 12) throw std::runtime_error("a Parquet footer is cut off");
    const char *end = file.data() + file.size() - 8;
    Thrift thrift(end - size, end);
    std::vector<ColumnChunk> chunks;
    for (int last = 0, type, id; (id = thrift.field(last, type));) {
        int inner;
        if (id != 4) {
            if (id == 3) rows = thrift.integer();
            else thrift.skip(type);
            continue;
        }
        for (uint64_t groups = thrift.list(inner); groups; groups--)
            for (int last_of_group = 0; (id = thrift.field(last_of_group, type));) {
                if (id != 1) {
                    thrift.skip(type);
                    continue;
                }
                for (uint64_t columns = thrift.list(inner); columns; columns--)
                    for (int last_of_column = 0; (id = thrift.field(last_of_column, type));) {
                        if (id == 3) chunks.push_back(read_meta(thrift));
                        else thrift.skip(type);
                    }
            }
    }
    return chunks;
}

// The bytes of the values of a column, page after page; each page header says the size of its page in field 3.
inline std::string values_of(const std::vector<char> &file, const ColumnChunk &chunk) {
    std::string bytes;
    if (chunk.offset < 0 || chunk.offset > static_cast<int64_t>(file.size()))
        throw std::runtime_error("a Parquet column lies outside of its file");
    const char *at = file.data() + chunk.offset, *end = file.data() + file.size();
    for (int64_t left = chunk.values; left > 0;) {
        Thrift thrift(at, end);
        int64_t size = 0, count = 0;
        for (int last = 0, type, id; (id = thrift.field(last, type));) {
            if (id == 3) size = thrift.integer();
            else if (id == 5)  // DataPageHeader: field 1 is the number of values
                for (int last_of_page = 0, inner; (id = thrift.field(last_of_page, inner));) {
                    if (id == 1) count = thrift.integer();
                    else thrift.skip(inner);
                }
            else thrift.skip(type);
        }
        if (count < 1 || size < 0 || size > end - thrift.at()) throw std::runtime_error("a Parquet page is cut off");
        bytes.append(thrift.at(), size);
        at = thrift.at() + size;
        left -= count;
    }
    return bytes;
}

// Raw value -> id.
using Vocabulary = std::map<std::string, int32_t>;

// The columns `id` (or `user`), int32, and `value`, text that has its size before it (uint32).
inline Vocabulary read_vocabulary(const std::string &path) {
    const std::vector<char> file = bytes_of(path);
    std::string ids, texts;
    int64_t rows = -1;
    for (const ColumnChunk &chunk : read_footer(file, rows)) (chunk.name == "value" ? texts : ids) += values_of(file, chunk);
    if (ids.size() % 4 || static_cast<int64_t>(ids.size() / 4) != rows)
        throw std::runtime_error(path + " has other rows than its footer says");
    Vocabulary vocabulary;
    size_t at = 0;
    for (size_t row = 0; row < ids.size() / 4; row++) {
        uint32_t size;
        int32_t id;
        if (texts.size() - at < 4) throw std::runtime_error(path + " has fewer values than ids");
        memcpy(&size, texts.data() + at, 4);
        memcpy(&id, ids.data() + 4 * row, 4);
        if (size > texts.size() - at - 4) throw std::runtime_error(path + " has a value that is cut off");
        vocabulary[texts.substr(at + 4, size)] = id;
        at += 4 + size;
    }
    if (at != texts.size()) throw std::runtime_error(path + " has more values than ids");
    return vocabulary;
}
