// Where a code address lies in the sources: addr2line (which comes with the compiler) and the debug information. One
// process answers all questions: each start of it reads the whole program.
#include "kernels/device/error.h"
#include "memory.h"
#include <cstdio>
#include <mutex>
#include <unistd.h>

extern "C" const char __executable_start;

namespace simt {

namespace {

class Addr2line {
public:
  Addr2line() {
    int to[2], from[2];
    char program[4096];
    const auto length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0 || pipe(to) != 0 || pipe(from) != 0)
      return;
    program[length] = 0;
    if (const pid_t child = fork(); child == 0) {
      dup2(to[0], 0), dup2(from[1], 1);
      for (const int end : {to[0], to[1], from[0], from[1]})
        close(end);
      execlp("addr2line", "addr2line", "-s", "-f", "-C", "-e", program, nullptr);
      _exit(127);
    }
    close(to[0]), close(from[1]);
    questions_ = fdopen(to[1], "w"), answers_ = fdopen(from[0], "r");
  }

  // A function and a place, a line each.
  std::pair<std::string, std::string> ask(const void *code) {
    const std::lock_guard lock(one_at_a_time_);
    const auto offset = static_cast<const char *>(code) - &__executable_start;
    if (questions_)
      fprintf(questions_, "%#lx\n", static_cast<unsigned long>(offset)), fflush(questions_);
    const std::string function = line(), place = line();
    return {function, place.substr(0, place.find(' '))};
  }

private:
  std::string line() {
    char text[1024];
    if (!answers_ || !fgets(text, sizeof text, answers_))
      return "?";
    std::string read = text;
    const std::string unnamed = "(anonymous namespace)::";
    for (auto at = read.find(unnamed); at != std::string::npos; at = read.find(unnamed))
      read.erase(at, unnamed.size());
    return read.substr(0, read.find_first_of("\n("));
  }

  std::mutex one_at_a_time_;
  FILE *questions_ = nullptr, *answers_ = nullptr;
};

// It ends with this process, whose end closes its input.
std::pair<std::string, std::string> look_up(const void *code) {
  static Addr2line addr2line;
  return addr2line.ask(code);
}

} // namespace

std::string place_of(const void *code) { return look_up(code).second; }
std::string function_at(const void *code) { return look_up(code).first; }

} // namespace simt
