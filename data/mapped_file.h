// A whole file, mapped read-only into memory.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace theta {

class MappedFile {
public:
  // Where the disk has no maps, a copy. Throws InputError when the file is missing, is not a plain file, cannot be read
  // or is what stands in its place (below).
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Copies bytes out. Many of them are read past the mapping, so that they do not stay in this process's memory.
  // Throws Error.
  void read(std::size_t offset, void *to, std::size_t bytes) const;
  // Asks the system to bring many bytes near, while others are read: rows in a random order come half as fast again.
  // Nothing is asked for in order, where it reads ahead by itself (tests/peers/reads.py).
  void will_read(std::size_t offset, std::size_t bytes) const;
  const std::filesystem::path &path() const { return path_; }

private:
  void read_from_disk(std::size_t offset, void *to, std::size_t bytes) const;
  std::filesystem::path path_;
  const std::byte *data_ = nullptr;
  std::size_t size_ = 0;
  std::unique_ptr<std::byte[]> copy_; // where it cannot be mapped
};

// Throws InputError for what is found where a file should be: a pointer of Git LFS, or the page of a site that asks to
// sign in.
void refuse_stand_in(std::string_view content, const std::string &where);

} // namespace theta
