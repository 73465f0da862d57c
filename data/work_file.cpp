#include "work_file.h"
#include "kernels/device/error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace theta {

void write_at(int file, const std::filesystem::path &name, std::size_t offset, const void *data, std::size_t bytes) {
  const char *from = static_cast<const char *>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(file, from, bytes, off_t(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      throw Error(name.string(), ": ", bytes, " bytes cannot be written: ", std::strerror(errno));
    from += written, offset += std::size_t(written), bytes -= std::size_t(written);
  }
}

void read_at(int file, const std::filesystem::path &name, std::size_t offset, void *data, std::size_t bytes) {
  char *to = static_cast<char *>(data);
  while (bytes > 0) {
    const ssize_t found = pread(file, to, bytes, off_t(offset));
    if (found < 0 && errno == EINTR)
      continue;
    if (found <= 0)
      throw Error(name.string(), ": ", bytes, " bytes cannot be read at ", offset, ": ",
                  found < 0 ? std::strerror(errno) : "the file ends before them");
    to += found, offset += std::size_t(found), bytes -= std::size_t(found);
  }
}

WorkFile::WorkFile(std::filesystem::path path, bool anew) : path_(std::move(path)) {
  file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (anew ? O_TRUNC : 0), 0644);
  if (file_ < 0)
    throw Error(path_.string(), ": cannot be written: ", std::strerror(errno));
}

WorkFile::~WorkFile() { close(file_); }

void WorkFile::write(std::size_t offset, const void *data, std::size_t bytes) {
  write_at(file_, path_, offset, data, bytes);
}

void WorkFile::read(std::size_t offset, void *data, std::size_t bytes) const {
  read_at(file_, path_, offset, data, bytes);
}

void WorkFile::sync() {
  if (fdatasync(file_) != 0)
    throw Error(path_.string(), ": cannot be synced: ", std::strerror(errno));
}

} // namespace theta
