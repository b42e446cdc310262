// Reads the header and the directory of a model.bin.
#include "sections.h"
#include <cstring>

namespace lrea {
namespace {

constexpr char MAGIC[] = "LREAMODL";
constexpr uint32_t FORMAT = 1, MOST_SECTIONS = 4096;
constexpr uint64_t HEADER = 64, ENTRY = 128, HASHED = 24;
constexpr uint32_t FLOAT32 = 0, INT64 = 1;

struct Header {
    char magic[8];
    uint32_t format, sections;
    uint64_t size, hash;
    char zero[32];
};

struct Entry {
    char name[64];
    uint32_t dtype, axes;
    uint64_t shape[4], offset, bytes;
    char zero[8];
};
static_assert(sizeof(Header) == HEADER && sizeof(Entry) == ENTRY, "the layout of the file");

uint64_t fnv1a(const char *bytes, uint64_t count, uint64_t hash) {
    for (uint64_t i = 0; i < count; i++) hash = (hash ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3u;
    return hash;
}

bool all_zero(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return false;
    return true;
}

// Bytes of the numbers; throws if they are more than `size`.
uint64_t bytes_of(const Entry &entry, const std::string &name, uint64_t size) {
    if (entry.dtype > INT64 || entry.axes < 1 || entry.axes > 2)
        throw BadModel("Section " + name + " has an unknown form.");
    uint64_t bytes = entry.dtype == INT64 ? 8 : 4;
    for (uint32_t axis = 0; axis < 4; axis++) {
        if (axis >= entry.axes && entry.shape[axis]) throw BadModel("Section " + name + " has an unknown form.");
        if (axis >= entry.axes) continue;
        if (entry.shape[axis] && bytes > size / entry.shape[axis])
            throw BadModel("Section " + name + " exceeds the file.");
        bytes *= entry.shape[axis];
    }
    return bytes;
}

}  // namespace

Sections::Sections(const void *start, uint64_t size) {
    const char *bytes = static_cast<const char *>(start);
    Header header;
    if (size < HEADER) throw BadModel("It has only " + std::to_string(size) + " bytes.");
    if (reinterpret_cast<uintptr_t>(start) % 4) throw BadModel("Its bytes are not at a multiple of 4.");
    memcpy(&header, bytes, HEADER);
    if (memcmp(header.magic, MAGIC, 8)) throw BadModel("It does not start with LREAMODL.");
    if (header.format != FORMAT) throw BadModel("It has format " + std::to_string(header.format) + ", not 1.");
    if (header.size != size)
        throw BadModel("It has " + std::to_string(size) + " bytes instead of " + std::to_string(header.size) + ".");
    if (header.sections > MOST_SECTIONS || HEADER + header.sections * ENTRY > size)
        throw BadModel("Its directory is cut off.");
    const uint64_t hash = fnv1a(bytes + HEADER, header.sections * ENTRY, fnv1a(bytes, HASHED, 0xcbf29ce484222325u));
    if (hash != header.hash || !all_zero(header.zero, sizeof header.zero)) throw BadModel("Its directory is damaged.");
    for (uint32_t i = 0; i < header.sections; i++) {
        Entry entry;
        memcpy(&entry, bytes + HEADER + i * ENTRY, ENTRY);
        if (entry.name[63]) throw BadModel("The name of section " + std::to_string(i) + " has no end.");
        const std::string name = entry.name;
        const uint64_t count = bytes_of(entry, name, size);
        if (entry.bytes != count || entry.offset % 64 || entry.offset > size || count > size - entry.offset)
            throw BadModel("Section " + name + " exceeds the file.");
        Section section{name, entry.dtype, entry.axes, {}, bytes + entry.offset};
        memcpy(section.shape, entry.shape, sizeof section.shape);
        sections_.push_back(section);
    }
}

const Sections::Section &Sections::find(const std::string &name) const {
    for (const Section &section : sections_)
        if (section.name == name) return section;
    throw BadModel("Section " + name + " is missing.");
}

const char *Sections::checked(const std::string &name, uint32_t dtype, const std::vector<int64_t> &shape) const {
    const Section &section = find(name);
    bool equal = section.dtype == dtype && section.axes == shape.size();
    for (size_t i = 0; equal && i < shape.size(); i++) equal = section.shape[i] == static_cast<uint64_t>(shape[i]);
    if (!equal) throw BadModel("Section " + name + " has an unexpected shape.");
    return section.data;
}

const float *Sections::floats(const std::string &name, const std::vector<int64_t> &shape) const {
    return reinterpret_cast<const float *>(checked(name, FLOAT32, shape));
}

const int64_t *Sections::integers(const std::string &name, int64_t count) const {
    return reinterpret_cast<const int64_t *>(checked(name, INT64, {count}));
}

int64_t Sections::rows_of(const std::string &name, int64_t columns) const {
    const Section &section = find(name);
    checked(name, FLOAT32, {static_cast<int64_t>(section.shape[0]), columns});
    return static_cast<int64_t>(section.shape[0]);
}

}  // namespace lrea
