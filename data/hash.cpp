#include "hash.h"
#include <cstdio>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace theta {

struct Hasher::State {
  XXH3_state_t xxh3;
};

Hasher::Hasher() : state_(new State) { XXH3_64bits_reset(&state_->xxh3); }
Hasher::~Hasher() = default;
void Hasher::add(const void *data, std::size_t bytes) { XXH3_64bits_update(&state_->xxh3, data, bytes); }
std::uint64_t Hasher::value() const { return XXH3_64bits_digest(&state_->xxh3); }

std::string hex(std::uint64_t x) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(x));
  return text;
}

std::string hash_of(std::span<const std::byte> bytes) { return hex(XXH3_64bits(bytes.data(), bytes.size())); }
std::string hash_of(std::string_view text) { return hex(XXH3_64bits(text.data(), text.size())); }

} // namespace theta
