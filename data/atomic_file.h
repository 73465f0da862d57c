// A file that exists whole or not at all: written under a temporary name, synced, renamed.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string_view>

namespace theta {

class AtomicFile {
public:
  // Opens ".NAME.tmp" beside `path`, taking the place of what a killed run may have left there. Throws Error.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile(); // removes the temporary file unless it was published
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  // Writes `bytes` at `offset`; what lies between writes is zero. Throws Error (a full disk, for one).
  void write(std::size_t offset, const void *data, std::size_t bytes);

  // Reads back what was written. Throws Error.
  void read(std::size_t offset, void *data, std::size_t bytes) const;

  // Syncs the file, gives it its name, and syncs the folder. Throws Error.
  void publish();

private:
  std::filesystem::path path_, temporary_;
  int file_ = -1;
};

// Writes `text` as the whole of `path`, atomically.
void write_file(const std::filesystem::path &path, std::string_view text);

} // namespace theta
