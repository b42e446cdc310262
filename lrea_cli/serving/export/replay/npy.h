// Reads the .npy files of golden/: a header of text, then the numbers, little-endian, row after row.
#pragma once
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

inline std::vector<char> bytes_of(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

// The numbers of a file; T must have the size of the file's dtype.
template <class T>
std::vector<T> numbers_of(const std::string &path) {
    const std::vector<char> file = bytes_of(path);
    if (file.size() < 10 || memcmp(file.data(), "\x93NUMPY", 6)) throw std::runtime_error(path + " is no .npy file");
    uint16_t header;
    memcpy(&header, file.data() + 8, 2);
    const size_t start = 10 + header;
    if (start > file.size() || (file.size() - start) % sizeof(T)) throw std::runtime_error(path + " is cut off");
    std::vector<T> numbers((file.size() - start) / sizeof(T));
    if (!numbers.empty()) memcpy(numbers.data(), file.data() + start, file.size() - start);
    return numbers;
}
