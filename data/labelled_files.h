// Files of a folder, with the class that their place says.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace theta {

struct LabelledFiles {
  std::vector<std::pair<std::filesystem::path, std::uint8_t>> files; // sorted
  std::vector<std::string> names;                                    // of the classes; none of a flat folder
  int classes() const { return std::max(1, int(names.size())); }
};

// A folder a class, or one flat folder; a class without files of its own has those of the folders in it. What machines
// leave (hidden files, notebooks' checkpoints, ...) is nobody's. Throws InputError for more than 256 classes.
LabelledFiles labelled_files(const std::filesystem::path &folder, bool (*wanted)(const std::filesystem::path &));

// A folder of train and test, each as above with the same classes. Throws InputError where one has a class that the
// other has not.
struct LabelledParts {
  LabelledFiles train, test;
};
bool has_parts(const std::filesystem::path &folder);
LabelledParts labelled_parts(const std::filesystem::path &folder, bool (*wanted)(const std::filesystem::path &));

// Files that could not be read: each alone is an error in a small folder, one in ten of a large one is left out and
// counted.
class SkippedFiles {
public:
  explicit SkippedFiles(std::size_t all, const char *what) : all_(all), what_(what) {}
  void add(const std::string &why); // throws InputError where there are too many
  std::size_t count() const { return count_; }
  const std::string &first() const { return first_; }

private:
  std::size_t all_, count_ = 0;
  const char *what_;
  std::string first_;
};

} // namespace theta
