#include "journal.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "kernels/device/error.h"
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <fmt/core.h>
#include <unistd.h>

namespace theta {

namespace fs = std::filesystem;

void say(const std::string &text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

Journal::Journal(const fs::path &folder, Without without)
    : folder_(folder), speaks_(!folder.empty() || without == Without::terminal) {
  if (folder.empty())
    return;
  std::error_code failed;
  fs::create_directories(folder, failed);
  log_.open(folder / "log.txt", std::ios::app);
  metrics_.open(folder / "metrics.jsonl", std::ios::app);
  if (failed || !log_ || !metrics_)
    throw Error(folder.string(), ": cannot be written: ", failed ? failed.message() : std::strerror(errno));
}

void Journal::line(const std::string &said) {
  const std::string text = printable(said);
  if (!speaks_)
    return;
  log(text);
  say(text + "\n");
}

void Journal::result(const std::string &text) {
  if (!speaks_)
    return;
  log(text);
  std::fwrite((text + "\n").data(), 1, text.size() + 1, stdout);
  std::fflush(stdout);
}

void Journal::log(const std::string &text) {
  if (!log_.is_open())
    return;
  const std::time_t now = std::time(nullptr);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%F %T", std::localtime(&now));
  log_ << stamp << "  " << text << std::endl;
}

void Journal::metrics(const std::string &stage, long step, const std::vector<std::pair<std::string, double>> &values) {
  if (!metrics_.is_open())
    return;
  Json object = {{"stage", stage}, {"step", step}};
  for (const auto &[name, value] : values)
    object[name] = value;
  metrics_ << object.dump() << std::endl;
}

void Journal::speed(const std::string &what, const std::string &unit, double from, double done, double seconds) {
  if (metrics_.is_open())
    metrics_
        << Json{{"stage", what + ".speed"}, {"step", from}, {"unit", unit}, {"done", done}, {"seconds", seconds}}.dump()
        << std::endl;
}

void Journal::rewind_metrics(const std::string &stage, long step) {
  if (!metrics_.is_open())
    return;
  metrics_.close();
  const fs::path path = folder_ / "metrics.jsonl";
  std::ifstream before(path);
  std::string kept;
  for (std::string line; std::getline(before, line);) {
    const Json object = Json::parse(line, nullptr, false);
    if (object.is_object() && !(object.value("stage", "") == stage && object.value("step", 0L) > step))
      kept += line + "\n";
  }
  write_file(path, kept);
  metrics_.open(path, std::ios::app);
}

std::string text_of_seconds(double seconds) {
  const auto s = long(std::lround(std::max(0.0, seconds)));
  if (s < 100)
    return fmt::format("{} s", s);
  return s < 6000 ? fmt::format("{} min {} s", s / 60, s % 60) : fmt::format("{} h {} min", s / 3600, s / 60 % 60);
}

Progress::Progress(Journal &journal, std::string what, std::string unit, double total, double done)
    : journal_(journal), what_(std::move(what)), unit_(std::move(unit)), total_(total), first_(done), done_(done),
      terminal_(journal.speaks() && isatty(STDERR_FILENO)), start_(Clock::now()), last_(start_) {}

void Progress::update(double done, const std::string &detail) {
  done_ = done;
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(5000)))
    return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count(), rate = (done - first_) / seconds;
  const std::string text = fmt::format(
      "{}: {:.0f}/{:.0f} {} ({:.0f} %), {:.4g} {}/s, {} left{}{}", what_, done, total_, unit_, 100 * done / total_,
      rate, unit_, rate > 0 ? text_of_seconds((total_ - done) / rate) : "?", detail.empty() ? "" : ", ", detail);
  if (terminal_)
    say("\r\033[K" + text);
  else
    journal_.line(text);
}

Progress::~Progress() {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (terminal_)
    say("\r\033[K");
  if (done_ > first_)
    journal_.speed(what_, unit_, first_, done_ - first_, seconds);
  if (done_ > first_ && std::uncaught_exceptions() == 0)
    journal_.line(fmt::format("{}: {:.0f} {} in {}, {:.4g} {}/s", what_, done_ - first_, unit_,
                              text_of_seconds(seconds), (done_ - first_) / std::max(seconds, 1e-9), unit_));
}

} // namespace theta
