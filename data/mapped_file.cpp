#include "mapped_file.h"
#include "kernels/device/error.h"
#include "work_file.h"
#include <algorithm>
#include <cctype>
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
  // Some network disks have no shared maps; some have none, and are read.
  void *mapped = size_ ? mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0) : nullptr;
  if (mapped == MAP_FAILED)
    mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (!plain)
    throw InputError(path_.string(), ": is not a plain file");
  if (mapped == MAP_FAILED) {
    copy_ = std::make_unique_for_overwrite<std::byte[]>(size_);
    mapped = copy_.get();
    read_from_disk(0, copy_.get(), size_);
  }
  data_ = static_cast<const std::byte *>(mapped);
  refuse_stand_in({reinterpret_cast<const char *>(data_), size_}, path_.string());
}

MappedFile::~MappedFile() {
  if (data_ && !copy_)
    munmap(const_cast<std::byte *>(data_), size_);
}

void refuse_stand_in(std::string_view content, const std::string &where) {
  if (content.starts_with("version https://git-lfs.github.com/"))
    throw InputError(where, ": found a pointer of Git LFS, expected the file: fetch it with 'git lfs pull'");
  std::string first;
  if (content.starts_with("\xef\xbb\xbf"))
    content.remove_prefix(3);
  content.remove_prefix(std::min(content.find_first_not_of(" \t\r\n"), content.size()));
  for (const char c : content.substr(0, 15))
    first += char(std::tolower(static_cast<unsigned char>(c)));
  if (first.starts_with("<!doctype html") || first.starts_with("<html"))
    throw InputError(where,
                     ": found a page of HTML, expected the file: it was not what was asked for that was fetched");
}

namespace {
constexpr std::size_t worth_advice = std::size_t(64) << 10;
}

void MappedFile::will_read(std::size_t offset, std::size_t bytes) const {
  if (bytes < worth_advice || copy_)
    return;
  const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE)), first = offset / page * page;
  madvise(const_cast<std::byte *>(data_) + first, offset + bytes - first, MADV_WILLNEED); // a wish
}

void MappedFile::read(std::size_t offset, void *to, std::size_t bytes) const {
  if (bytes < worth_advice || copy_)
    std::memcpy(to, data_ + offset, bytes);
  else
    read_from_disk(offset, to, bytes);
}

void MappedFile::read_from_disk(std::size_t offset, void *to, std::size_t bytes) const {
  struct Closed {
    int file;
    ~Closed() { close(file); }
  } opened{open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.file < 0)
    throw Error(path_.string(), ": cannot be read: ", std::strerror(errno));
  read_at(opened.file, path_, offset, to, bytes);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
      copy_(std::move(other.copy_)) {}

} // namespace theta
