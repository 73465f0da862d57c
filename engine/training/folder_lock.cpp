#include "folder_lock.h"
#include "journal.h"
#include "kernels/device/error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace theta {

FolderLock::FolderLock(const std::filesystem::path &folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    throw Error(folder.string(), ": cannot be created: ", failed.message());
  path_ = folder / ".lock";
  for (;;) {
    file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file_ < 0)
      throw Error(path_.string(), ": cannot be written: ", std::strerror(errno));
    const bool locked = flock(file_, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK) // the disk has no locks: NFS without its daemon, Lustre, FUSE
      say(text(folder.string(), ": nothing locks it (", std::strerror(errno),
               "): see that no other process writes there\n"));
    else if (!locked) {
      char holder[32] = {};
      const ssize_t length = pread(file_, holder, sizeof holder - 1, 0);
      close(file_);
      throw InputError(folder.string(), ": process ", length > 0 ? holder : "(unknown)",
                       " is at work there, expected a folder that nobody writes");
    }
    // The file may have been another's, who removed it as this one took it.
    struct stat held {
    }, there{};
    if (fstat(file_, &held) == 0 && stat(path_.c_str(), &there) == 0 && held.st_ino == there.st_ino)
      break;
    close(file_);
  }
  const std::string mine = std::to_string(getpid());
  if (ftruncate(file_, 0) != 0 || pwrite(file_, mine.data(), mine.size(), 0) != ssize_t(mine.size())) {
    const int why = errno;
    close(file_);
    throw Error(path_.string(), ": cannot be written: ", std::strerror(why));
  }
}

FolderLock::~FolderLock() {
  unlink(path_.c_str());
  close(file_);
}

} // namespace theta
