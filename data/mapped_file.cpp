#include "mapped_file.h"
#include "kernels/device/error.h"
#include "work_file.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace theta {

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
  const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    throw InputError(path_.string(), ": cannot be read: ", std::strerror(errno));
  struct stat facts {};
  const bool plain = fstat(file, &facts) == 0 && S_ISREG(facts.st_mode);
  size_ = plain ? std::size_t(facts.st_size) : 0;
  void *mapped = size_ ? mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0) : nullptr;
  const int failure = errno;
  close(file);
  if (!plain)
    throw InputError(path_.string(), ": is not a plain file");
  if (mapped == MAP_FAILED)
    throw InputError(path_.string(), ": ", size_, " bytes cannot be mapped: ", std::strerror(failure));
  data_ = static_cast<const std::byte *>(mapped);
}

MappedFile::~MappedFile() {
  if (data_)
    munmap(const_cast<std::byte *>(data_), size_);
}

namespace {
constexpr std::size_t worth_advice = std::size_t(64) << 10;
}

void MappedFile::will_read(std::size_t offset, std::size_t bytes) const {
  if (bytes < worth_advice)
    return;
  const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE)), first = offset / page * page;
  madvise(const_cast<std::byte *>(data_) + first, offset + bytes - first, MADV_WILLNEED); // a wish
}

void MappedFile::read(std::size_t offset, void *to, std::size_t bytes) const {
  if (bytes < worth_advice) {
    std::memcpy(to, data_ + offset, bytes);
    return;
  }
  struct Closed {
    int file;
    ~Closed() { close(file); }
  } opened{open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.file < 0)
    throw Error(path_.string(), ": cannot be read: ", std::strerror(errno));
  read_at(opened.file, path_, offset, to, bytes);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

} // namespace theta
