// xxh3 of bytes: checksums of files, and keys of finished work.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace theta {

// Bytes, added piece by piece.
class Hasher {
public:
  Hasher();
  ~Hasher();
  void add(const void *data, std::size_t bytes);
  std::uint64_t value() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

// 16 hexadecimal digits.
std::string hex(std::uint64_t);
std::string hash_of(std::span<const std::byte> bytes);
std::string hash_of(std::string_view text);

} // namespace theta
