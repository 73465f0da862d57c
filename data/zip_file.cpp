#include "zip_file.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <minizip/unzip.h>

namespace theta {

namespace {
constexpr std::size_t most_members = 1'000'000;
constexpr std::size_t most_expansion = 1100; // of deflate: 1032
} // namespace

ZipFile::ZipFile(const std::filesystem::path &path)
    : where_(path.string()), file_(unzOpen64(path.c_str()), [](void *file) {
        if (file)
          unzClose(file);
      }) {
  if (!file_)
    throw InputError(where_, ": is not a zip archive that can be read");
  file_bytes_ = std::size_t(std::filesystem::file_size(path));
  for (int state = unzGoToFirstFile(file_.get()); state != UNZ_END_OF_LIST_OF_FILE;
       state = unzGoToNextFile(file_.get())) {
    unz_file_info64 info{};
    std::string name(65536, '\0');
    if (state != UNZ_OK || names_.size() == most_members ||
        unzGetCurrentFileInfo64(file_.get(), &info, name.data(), name.size(), nullptr, 0, nullptr, 0) != UNZ_OK ||
        info.size_filename >= name.size())
      throw InputError(where_, ": the archive's list of members is damaged");
    name.resize(info.size_filename);
    names_.push_back(std::move(name));
  }
}

bool ZipFile::has(const std::string &name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

std::vector<std::byte> ZipFile::read(const std::string &name) const {
  unz_file_info64 info{};
  if (unzLocateFile(file_.get(), name.c_str(), 1) != UNZ_OK ||
      unzGetCurrentFileInfo64(file_.get(), &info, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK)
    throw InputError(where_, ": has no member '", name, "'");
  if (info.uncompressed_size > file_bytes_ * most_expansion || info.compressed_size > file_bytes_)
    throw InputError(where_, ": '", name, "' says it holds ", info.uncompressed_size, " bytes, more than the file can");
  if (unzOpenCurrentFile(file_.get()) != UNZ_OK)
    throw InputError(where_, ": '", name, "' cannot be decompressed");
  std::vector<std::byte> bytes;
  // In pieces: what a header says is believed as it comes.
  constexpr std::size_t piece = std::size_t(1) << 24;
  int got = 1;
  while (got > 0 && bytes.size() < info.uncompressed_size) {
    const std::size_t begin = bytes.size(), more = std::min<std::size_t>(piece, info.uncompressed_size - begin);
    bytes.resize(begin + more);
    got = unzReadCurrentFile(file_.get(), bytes.data() + begin, unsigned(more));
    bytes.resize(begin + std::size_t(std::max(0, got)));
  }
  std::byte beyond;
  const bool whole = bytes.size() == info.uncompressed_size && unzReadCurrentFile(file_.get(), &beyond, 1) == 0;
  if (unzCloseCurrentFile(file_.get()) != UNZ_OK || !whole)
    throw InputError(where_, ": '", name, "' is damaged: its bytes are not those of its checksum");
  return bytes;
}

} // namespace theta
