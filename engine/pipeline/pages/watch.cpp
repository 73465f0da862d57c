#include "watch.h"
#include "data/json.h"
#include "engine/report/report.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/core.h>
#include <fstream>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t seen = std::size_t(8) << 20; // of the end of metrics.jsonl

// Dots of a character of Braille: two columns of four.
std::string character_of(unsigned dots) {
  const unsigned code = 0x2800 + dots;
  return {char(0xE0 | code >> 12), char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
}

// A curve as lines of text, logarithmic where it is positive and spans more than a decade.
std::string drawn(const Curve &curve, int width, int height) {
  constexpr unsigned bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  std::vector<double> y = curve.y;
  const auto [least, most] = std::minmax_element(y.begin(), y.end());
  const bool logarithmic = *least > 0 && *most > 10 * *least;
  const double top = *most, bottom = *least;
  const auto shown = [&](double v) { return logarithmic ? std::log10(v) : v; };
  const double low = shown(bottom), high = shown(top) > low ? shown(top) : low + 1, first = curve.x.front(),
               last = curve.x.back() > first ? curve.x.back() : first + 1;
  std::vector<unsigned> cell(std::size_t(width * height), 0);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const int x = std::min(2 * width - 1, int((curve.x[i] - first) / (last - first) * (2 * width - 1) + 0.5));
    const int down = std::min(4 * height - 1, int((high - shown(y[i])) / (high - low) * (4 * height - 1) + 0.5));
    cell[std::size_t(down / 4 * width + x / 2)] |= bit[down % 4][x % 2];
  }
  std::string text;
  for (int row = 0; row < height; ++row) {
    const std::string label = row == 0            ? fmt::format("{:.4g}", top)
                              : row == height - 1 ? fmt::format("{:.4g}", bottom)
                                                  : "";
    text += fmt::format("{:>10} ", label);
    for (int column = 0; column < width; ++column)
      text += character_of(cell[std::size_t(row * width + column)]);
    text += '\n';
  }
  const std::string from = fmt::format("{:.0f}", first), to = fmt::format("{:.0f}", last);
  return text + fmt::format("{:11}{}{:>{}}\n", "", from, to, std::max(1, width - int(from.size())));
}

std::string last_line_of(const fs::path &path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);)
    if (!line.empty())
      last = line;
  return last;
}

// The curves that a folder's metrics tell of, the one that grew last the last; `of` stands before their names.
std::vector<Curve> curves_of(const fs::path &metrics, const std::string &of) {
  std::ifstream file(metrics);
  const auto size = fs::file_size(metrics);
  if (size > seen)
    file.seekg(std::streamoff(size - seen));
  std::vector<Curve> curves;
  for (std::string line; std::getline(file, line);) {
    const Json object = Json::parse(line, nullptr, false);
    if (!object.is_object())
      continue;
    for (const char *name : {"train_loss", "mse", "accuracy"})
      if (object.contains(name) && object[name].is_number()) {
        const std::string what = of + object.value("stage", "") + " " + name;
        auto found = std::find_if(curves.begin(), curves.end(), [&](const Curve &c) { return c.name == what; });
        Curve curve = found == curves.end() ? Curve{what, {}, {}} : std::move(*found);
        if (found != curves.end())
          curves.erase(found);
        curve.x.push_back(object.value("step", 0.0)), curve.y.push_back(object[name].get<double>());
        curves.push_back(std::move(curve));
      }
  }
  return curves;
}

// The folders of a run that tell of something: of a family its members', then its own.
std::vector<fs::path> telling(const fs::path &run) {
  std::vector<fs::path> all;
  if (fs::exists(run / "config.toml"))
    for (const auto &entry : fs::directory_iterator(run))
      if (fs::exists(entry.path() / "metrics.jsonl"))
        all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  if (fs::exists(run / "metrics.jsonl"))
    all.push_back(run);
  if (all.empty())
    throw InputError(run.string(), ": found no metrics.jsonl, expected the folder of a run");
  return all;
}

} // namespace

std::string curves_in_text(const fs::path &run, int width, int height) {
  std::string text, log;
  fs::file_time_type latest = fs::file_time_type::min();
  for (const fs::path &folder : telling(run)) {
    for (const Curve &curve :
         curves_of(folder / "metrics.jsonl", folder == run ? "" : folder.filename().string() + ": "))
      if (const Curve mean = mean_by_x(curve); !mean.x.empty())
        text += fmt::format("{}: {:.5g} at step {:.0f}\n{}\n", curve.name, mean.y.back(), mean.x.back(),
                            drawn(mean, width, height));
    std::error_code none;
    const auto written = fs::last_write_time(folder / "log.txt", none);
    if (const std::string last = last_line_of(folder / "log.txt"); !last.empty() && written >= latest)
      log = last, latest = written;
  }
  return text + (text.empty() ? "nothing yet\n" : "") + (log.empty() ? "" : log + "\n");
}

void watch_run(const fs::path &run, bool once) {
  const auto draw = [&](int most_wide, int height) {
    return curves_in_text(run, std::clamp(most_wide - 13, 20, 120), height);
  };
  if (once || !isatty(STDOUT_FILENO)) {
    fmt::print("{}", draw(93, 8));
    return;
  }
  while (!interrupted()) {
    winsize size{};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    fmt::print("\033[H\033[2J{}\n{}", run.string() + ", until Ctrl-C\n",
               draw(known ? size.ws_col : 93, known && size.ws_row < 40 ? 5 : 8));
    std::fflush(stdout);
    for (int i = 0; i < 10 && !interrupted(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

} // namespace theta
