// One writer a folder: whoever writes a run or a zoo holds its lock while it works. A lock ends with its process,
// however that ends (flock); readers take none. On a disk that has no locks work goes on, and says so.
#pragma once
#include <filesystem>

namespace theta {

class FolderLock {
public:
  // Creates the folder, and holds FOLDER/.lock, which is gone afterwards. Throws InputError, naming the process at work
  // there, where another holds it; Error where it cannot be written.
  explicit FolderLock(const std::filesystem::path &folder);
  ~FolderLock();
  FolderLock(const FolderLock &) = delete;
  FolderLock &operator=(const FolderLock &) = delete;

private:
  std::filesystem::path path_;
  int file_ = -1;
};

} // namespace theta
