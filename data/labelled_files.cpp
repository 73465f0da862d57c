#include "labelled_files.h"
#include "kernels/device/error.h"
#include <algorithm>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t many = 1000;   // files of a folder from which on bad ones are left out, and counted
constexpr std::size_t most_bad = 10; // one in so many, at most

std::vector<fs::path> sorted(const fs::path &folder, auto wanted) {
  std::vector<fs::path> found;
  for (const auto &entry : fs::directory_iterator(folder))
    if (wanted(entry))
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

} // namespace

LabelledFiles labelled_files(const fs::path &folder, bool (*wanted)(const fs::path &)) {
  const auto files_in = [&](const fs::path &of) {
    return sorted(of, [&](const auto &entry) { return entry.is_regular_file() && wanted(entry.path()); });
  };
  const auto folders = sorted(folder, [](const auto &entry) { return entry.is_directory(); });
  if (folders.size() > 256)
    throw InputError(folder.string(), ": found ", folders.size(), " folders, expected at most 256 classes");
  LabelledFiles all{{}, std::max(1, int(folders.size()))};
  for (std::size_t c = 0; c < folders.size(); ++c)
    for (const fs::path &file : files_in(folders[c]))
      all.files.emplace_back(file, std::uint8_t(c));
  if (folders.empty())
    for (const fs::path &file : files_in(folder))
      all.files.emplace_back(file, std::uint8_t(0));
  return all;
}

void SkippedFiles::add(const std::string &why) {
  if (all_ < many || ++count_ > all_ / most_bad)
    throw InputError(why, count_ > 0 ? text(", and ", count_ - 1, " more of ", all_, " ", what_) : "");
  if (first_.empty())
    first_ = why;
}

} // namespace theta
