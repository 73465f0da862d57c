#include "labelled_files.h"
#include "kernels/device/error.h"
#include <algorithm>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t many = 1000;   // files of a folder from which on bad ones are left out, and counted
constexpr std::size_t most_bad = 10; // one in so many, at most

// What machines leave beside people's files: hidden files and folders, and those of a few systems and programs.
bool is_left_by_machines(const fs::path &path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name.starts_with("@eaDir") || name.starts_with("$RECYCLE") || name == "__MACOSX" ||
         name == "__pycache__" || name == "lost+found" || name == "System Volume Information";
}

std::vector<fs::path> sorted(const fs::path &folder, auto wanted) {
  std::vector<fs::path> found;
  std::error_code failed;
  const fs::directory_iterator entries(folder, failed);
  if (failed)
    throw InputError(folder.string(), ": cannot be read: ", failed.message());
  for (const auto &entry : entries)
    if (!is_left_by_machines(entry.path()) && wanted(entry))
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}
std::vector<fs::path> folders_in(const fs::path &folder) {
  return sorted(folder, [](const auto &entry) { return entry.is_directory(); });
}

// Of a folder; where it has none, of the folders in it.
std::vector<fs::path> files_in(const fs::path &folder, bool (*wanted)(const fs::path &), int deeper = 4) {
  auto files = sorted(folder, [&](const auto &entry) { return entry.is_regular_file() && wanted(entry.path()); });
  if (files.empty() && deeper > 0)
    for (const fs::path &each : folders_in(folder)) {
      const auto more = files_in(each, wanted, deeper - 1);
      files.insert(files.end(), more.begin(), more.end());
    }
  return files;
}

} // namespace

LabelledFiles labelled_files(const fs::path &folder, bool (*wanted)(const fs::path &)) {
  LabelledFiles all;
  const auto folders = folders_in(folder);
  if (folders.size() > 256)
    throw InputError(folder.string(), ": found ", folders.size(), " folders, expected at most 256 classes");
  for (const fs::path &each : folders)
    all.names.push_back(each.filename().string());
  for (std::size_t c = 0; c < folders.size(); ++c)
    for (const fs::path &file : files_in(folders[c], wanted))
      all.files.emplace_back(file, std::uint8_t(c));
  if (folders.empty())
    for (const fs::path &file : files_in(folder, wanted))
      all.files.emplace_back(file, std::uint8_t(0));
  return all;
}

LabelledParts labelled_parts(const fs::path &folder, bool (*wanted)(const fs::path &)) {
  LabelledParts all{labelled_files(folder / "train", wanted), labelled_files(folder / "test", wanted)};
  const auto lacks = [&](const LabelledFiles &has, const LabelledFiles &other, const char *in, const char *not_in) {
    for (const std::string &name : has.names)
      if (std::find(other.names.begin(), other.names.end(), name) == other.names.end())
        throw InputError(folder.string(), ": found the folder '", name, "' in ", in, " and not in ", not_in,
                         ", expected the same classes in both");
  };
  lacks(all.train, all.test, "train", "test"), lacks(all.test, all.train, "test", "train");
  return all;
}

bool has_parts(const fs::path &folder) {
  return fs::is_directory(folder / "train") && fs::is_directory(folder / "test");
}

void SkippedFiles::add(const std::string &why) {
  if (all_ < many || ++count_ > all_ / most_bad)
    throw InputError(why, count_ > 0 ? text(", and ", count_ - 1, " more of ", all_, " ", what_) : "");
  if (first_.empty())
    first_ = why;
}

} // namespace theta
