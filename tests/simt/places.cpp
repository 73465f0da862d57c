// Where a code address lies in the sources: addr2line (which comes with the compiler) and the debug information.
#include "kernels/device/error.h"
#include "memory.h"
#include <cstdio>
#include <memory>
#include <unistd.h>

extern "C" const char __executable_start;

namespace simt {

namespace {

// The output of addr2line -f for one address: a function and a place, a line each.
std::pair<std::string, std::string> look_up(const void *code) {
  const auto offset = static_cast<const char *>(code) - &__executable_start;
  char program[4096];
  const auto length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0)
    return {"?", "?"};
  program[length] = 0;
  const std::unique_ptr<FILE, int (*)(FILE *)> pipe(
      popen(theta::text("addr2line -s -f -C -e '", program, "' ", reinterpret_cast<void *>(offset)).c_str(), "r"),
      pclose);
  const auto line = [&]() -> std::string {
    char text[1024];
    if (!pipe || !fgets(text, sizeof text, pipe.get()))
      return "?";
    std::string read = text;
    const std::string unnamed = "(anonymous namespace)::";
    for (auto at = read.find(unnamed); at != std::string::npos; at = read.find(unnamed))
      read.erase(at, unnamed.size());
    return read.substr(0, read.find_first_of("\n("));
  };
  const std::string function = line();
  std::string place = line();
  return {function, place.substr(0, place.find(' '))};
}

} // namespace

std::string place_of(const void *code) { return look_up(code).second; }
std::string function_at(const void *code) { return look_up(code).first; }

} // namespace simt
