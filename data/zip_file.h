// A zip archive, opened for reading through minizip: PyTorch's files and numpy's .npz are such.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace theta {

class ZipFile {
public:
  // Lists what the archive holds. Throws InputError where it is none, or damaged.
  explicit ZipFile(const std::filesystem::path &);

  const std::vector<std::string> &names() const { return names_; }
  bool has(const std::string &name) const;
  // A whole member, decompressed, its checksum compared. Throws InputError where it is not there or damaged.
  std::vector<std::byte> read(const std::string &name) const;

private:
  std::string where_;
  std::shared_ptr<void> file_;
  std::size_t file_bytes_;
  std::vector<std::string> names_;
};

} // namespace theta
