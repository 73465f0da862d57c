#include "idx.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include <memory>
#include <zlib.h>

namespace theta {

namespace {

// Up to n bytes of the decompressed file; fewer at its end.
std::size_t read_some(gzFile file, const std::string &where, std::uint8_t *to, std::size_t n) {
  std::size_t done = 0;
  while (done < n) {
    const int got = gzread(file, to + done, unsigned(std::min<std::size_t>(n - done, 1u << 30)));
    int code = 0;
    const char *message = gzerror(file, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
      throw InputError(where, ": cannot be decompressed: ", message);
    if (got == 0)
      break;
    done += std::size_t(got);
  }
  return done;
}

class IdxFile {
public:
  explicit IdxFile(const std::filesystem::path &path)
      : where_(path.string()), file_(gzopen(path.c_str(), "rb"), gzclose) {
    const MappedFile looked_at(path); // which says what stands in its place
    if (!file_)
      throw InputError(where_, ": cannot be read");
  }
  std::size_t read(std::uint8_t *to, std::size_t n) { return read_some(file_.get(), where_, to, n); }

  std::vector<std::int64_t> read_header() {
    std::uint8_t head[4];
    if (read(head, 4) != 4 || head[0] || head[1] || head[2] != 8 || head[3] < 1 || head[3] > 4)
      throw InputError(where_, ": is not an IDX file of unsigned bytes");
    std::vector<std::int64_t> shape;
    std::size_t size = 1;
    for (int axis = 0; axis < head[3]; ++axis) {
      std::uint8_t side[4];
      if (read(side, 4) != 4)
        throw InputError(where_, ": ends inside its header");
      shape.push_back(std::int64_t(side[0]) << 24 | side[1] << 16 | side[2] << 8 | side[3]);
      size *= std::size_t(shape.back());
      if (size > std::size_t(1) << 34)
        throw InputError(where_, ": its shape says more than 16 GiB");
    }
    return shape;
  }

private:
  std::string where_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

} // namespace

std::vector<std::int64_t> read_idx_shape(const std::filesystem::path &path) { return IdxFile(path).read_header(); }

Idx read_idx(const std::filesystem::path &path) {
  IdxFile file(path);
  Idx idx{file.read_header(), {}};
  std::size_t size = 1;
  for (const auto side : idx.shape)
    size *= std::size_t(side);
  idx.bytes.resize(size);
  const std::size_t found = file.read(idx.bytes.data(), size);
  std::uint8_t more;
  if (found != size || file.read(&more, 1) != 0)
    throw InputError(path.string(), ": found ", found == size ? "more than " : "", found, " bytes of data, expected ",
                     size);
  return idx;
}

} // namespace theta
