// A folder of a test's own, removed at its end.
#pragma once
#include "tests/check.h"
#include <cstdio>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace theta::test {

class Scratch {
public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "theta-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  const std::filesystem::path &path() const { return path_; }

private:
  std::filesystem::path path_;
};

// Nothing is printed while it lives.
class Silence {
public:
  Silence() : out_(dup(STDOUT_FILENO)), error_(dup(STDERR_FILENO)) {
    std::fflush(stdout);
    if (FILE *nowhere = std::fopen("/dev/null", "w")) {
      dup2(fileno(nowhere), STDOUT_FILENO), dup2(fileno(nowhere), STDERR_FILENO);
      std::fclose(nowhere);
    }
  }
  ~Silence() {
    std::fflush(stdout), std::fflush(stderr);
    dup2(out_, STDOUT_FILENO), dup2(error_, STDERR_FILENO);
    close(out_), close(error_);
  }
  Silence(const Silence &) = delete;
  Silence &operator=(const Silence &) = delete;

private:
  int out_, error_;
};

inline std::string contents(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

} // namespace theta::test
