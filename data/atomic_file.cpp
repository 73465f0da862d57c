#include "atomic_file.h"
#include "kernels/device/error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace theta {

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.parent_path() / ("." + path_.filename().string() + ".tmp")) {
  file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0)
    throw Error(temporary_.string(), ": cannot be written: ", std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (file_ < 0)
    return;
  close(file_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(std::size_t offset, const void *data, std::size_t bytes) {
  const char *from = static_cast<const char *>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(file_, from, bytes, off_t(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      throw Error(temporary_.string(), ": ", bytes, " bytes cannot be written: ", std::strerror(errno));
    from += written, offset += std::size_t(written), bytes -= std::size_t(written);
  }
}

void AtomicFile::publish() {
  if (fsync(file_) != 0)
    throw Error(temporary_.string(), ": cannot be synced: ", std::strerror(errno));
  close(file_);
  file_ = -1;
  std::error_code failed;
  std::filesystem::rename(temporary_, path_, failed);
  if (failed)
    throw Error(path_.string(), ": cannot be published: ", failed.message());
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
}

void write_file(const std::filesystem::path &path, std::string_view text) {
  AtomicFile file(path);
  file.write(0, text.data(), text.size());
  file.publish();
}

} // namespace theta
