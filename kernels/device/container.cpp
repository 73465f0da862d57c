#include "container.h"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace theta {

namespace {

namespace fs = std::filesystem;

struct Mount {
  std::string root, at, kind, options;
};

std::vector<Mount> mounts() {
  std::vector<Mount> all;
  std::ifstream file("/proc/self/mountinfo"); // id parent device ROOT AT options [fields] - KIND source OPTIONS
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    Mount mount;
    words >> word >> word >> word >> mount.root >> mount.at;
    while (words >> word && word != "-") {
    }
    words >> mount.kind >> word >> mount.options;
    all.push_back(std::move(mount));
  }
  return all;
}

bool has(const std::string &list, const std::string &item) {
  return ("," + list + ",").find("," + item + ",") != std::string::npos;
}

// The folders of this process's groups for a controller, from its own up to the top of what is mounted. `version`: 2
// or 1.
std::vector<fs::path> groups(const std::string &controller, int version) {
  std::string own;
  std::ifstream file("/proc/self/cgroup"); // ID:CONTROLLERS:PATH
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const std::string of = line.substr(first + 1, second - first - 1);
    if (version == 2 ? of.empty() : has(of, controller))
      own = line.substr(second + 1);
  }
  if (own.empty())
    return {};
  for (const Mount &mount : mounts())
    if (version == 2 ? mount.kind == "cgroup2" : mount.kind == "cgroup" && has(mount.options, controller)) {
      if (mount.root != "/" && own.starts_with(mount.root)) // a container sees its own part
        own.erase(0, mount.root.size());
      std::vector<fs::path> all;
      for (fs::path at = fs::path(own).relative_path().lexically_normal(); !at.empty() && at != ".";
           at = at.parent_path())
        all.push_back(fs::path(mount.at) / at);
      all.emplace_back(mount.at);
      return all;
    }
  return {};
}

std::vector<std::string> words_of(const fs::path &file) {
  std::ifstream in(file);
  std::vector<std::string> words;
  for (std::string word; in >> word;)
    words.push_back(word);
  return words;
}

std::optional<double> number(const std::vector<std::string> &words, std::size_t at) {
  if (at >= words.size() || words[at].find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt; // "max", or -1
  return std::stod(words[at]);
}

} // namespace

int cores_allowed(int there) {
  double cores = there;
  const auto limit = [&](std::optional<double> quota, std::optional<double> period) {
    if (quota && period && *period > 0)
      cores = std::min(cores, std::ceil(*quota / *period));
  };
  for (const fs::path &group : groups("cpu", 2)) {
    const auto words = words_of(group / "cpu.max");
    limit(number(words, 0), number(words, 1));
  }
  for (const fs::path &group : groups("cpu", 1))
    limit(number(words_of(group / "cpu.cfs_quota_us"), 0), number(words_of(group / "cpu.cfs_period_us"), 0));
  return std::max(1, int(cores));
}

std::size_t memory_allowed(std::size_t there) {
  double bytes = double(there);
  for (const fs::path &group : groups("memory", 2))
    bytes = std::min(bytes, number(words_of(group / "memory.max"), 0).value_or(bytes));
  for (const fs::path &group : groups("memory", 1))
    bytes = std::min(bytes, number(words_of(group / "memory.limit_in_bytes"), 0).value_or(bytes));
  return bytes < double(there) ? std::size_t(bytes) : there;
}

} // namespace theta
