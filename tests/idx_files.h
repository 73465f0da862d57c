// Data sets in the format of Fashion-MNIST, gzipped IDX files, for tests.
#pragma once
#include "kernels/device/philox.h"
#include <filesystem>
#include <string>
#include <vector>
#include <zlib.h>

namespace theta::test {

inline void put_gzip(const std::filesystem::path &path, const std::string &bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), unsigned(bytes.size()));
  gzclose(file);
}

inline std::string idx_header(const std::vector<unsigned> &shape) {
  std::string head{0, 0, 8, char(shape.size())};
  for (const unsigned side : shape)
    for (const int shift : {24, 16, 8, 0})
      head += char(side >> shift & 255);
  return head;
}

// Images of 28x28 pixels in ten classes: a bright stripe each, with noise.
inline void write_idx_data(const std::filesystem::path &folder, unsigned train, unsigned test) {
  std::filesystem::create_directories(folder);
  for (const auto &[part, count] : {std::pair{"train", train}, {"t10k", test}}) {
    std::string pixels, labels;
    for (unsigned n = 0; n < count; ++n) {
      labels += char(n % 10);
      for (unsigned p = 0; p < 28 * 28; ++p) {
        const auto noise = philox(7, Purpose::test, count, std::uint64_t(n) * 784 + p).word[0] % 90;
        pixels += char(noise + (p / 28 * 10 / 28 == n % 10 ? 120 : 0));
      }
    }
    put_gzip(folder / (std::string(part) + "-images-idx3-ubyte.gz"), idx_header({count, 28, 28}) + pixels);
    put_gzip(folder / (std::string(part) + "-labels-idx1-ubyte.gz"), idx_header({count}) + labels);
  }
}

} // namespace theta::test
