#include "atomic_file.h"
#include "kernels/device/error.h"
#include "work_file.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace theta {

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.parent_path() / ("." + path_.filename().string() + ".tmp")) {
  file_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
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
  write_at(file_, temporary_, offset, data, bytes);
}

void AtomicFile::read(std::size_t offset, void *data, std::size_t bytes) const {
  read_at(file_, temporary_, offset, data, bytes);
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
