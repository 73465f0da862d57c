// A file that work in progress keeps its bytes in: read and written at offsets, there after a kill. What is read and
// written through it is in nobody's memory but the kernel's cache, which gives way.
#pragma once
#include <cstddef>
#include <filesystem>

namespace theta {

class WorkFile {
public:
  // Opens `path`, making it where it is not there; `anew` empties it. Throws Error.
  WorkFile(std::filesystem::path path, bool anew);
  ~WorkFile();
  WorkFile(const WorkFile &) = delete;
  WorkFile &operator=(const WorkFile &) = delete;

  const std::filesystem::path &path() const { return path_; }

  // Throw Error: a full disk, or an end of the file before that of the bytes asked for.
  void write(std::size_t offset, const void *data, std::size_t bytes);
  void read(std::size_t offset, void *data, std::size_t bytes) const;
  void sync(); // what is written outlives the machine

private:
  std::filesystem::path path_;
  int file_ = -1;
};

// All bytes at an offset of an open file, written or read; throw Error with the name.
void write_at(int file, const std::filesystem::path &name, std::size_t offset, const void *data, std::size_t bytes);
void read_at(int file, const std::filesystem::path &name, std::size_t offset, void *data, std::size_t bytes);

} // namespace theta
