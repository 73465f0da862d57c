// What a run tells while it works: progress on the terminal, log.txt for people, metrics.jsonl for programs.
#pragma once
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace theta {

// To standard error, whether anybody reads it or not: a terminal that is gone or a disk that is full ends no work.
void say(const std::string &text);

class Journal {
public:
  // Writes into `folder` (created); without one it says nothing, or all on the terminal alone.
  enum class Without { silent, terminal };
  explicit Journal(const std::filesystem::path &folder = {}, Without = Without::silent);
  bool speaks() const { return speaks_; }

  // A line for people: to log.txt, with the time of day, and to standard error.
  void line(const std::string &text);

  // The result of a stage: to log.txt, and to standard output. That it could not be written there is the program's to
  // say when it ends.
  void result(const std::string &text);

  // One object a line in metrics.jsonl: {"stage", "step", values...}.
  void metrics(const std::string &stage, long step, const std::vector<std::pair<std::string, double>> &values);

  // How long a piece of work took, for whoever draws it: {"stage": WHAT.speed, "step": where it began, "unit", "done",
  // "seconds"}.
  void speed(const std::string &what, const std::string &unit, double from, double done, double seconds);

  // Drops what metrics.jsonl holds of a stage from steps after `step` on (-1: everything): a continued run writes it
  // anew.
  void rewind_metrics(const std::string &stage, long step);

private:
  void log(const std::string &text);
  std::filesystem::path folder_;
  bool speaks_;
  std::ofstream log_, metrics_;
};

// Progress of long work: how far, at what rate, how long still. Redraws one line on a terminal; elsewhere a line every
// few seconds.
class Progress {
public:
  // `unit` names what is counted ("steps"); `done` of `total` were there before this process began.
  Progress(Journal &, std::string what, std::string unit, double total, double done = 0);
  ~Progress();
  void update(double done, const std::string &detail = "");

private:
  using Clock = std::chrono::steady_clock;
  Journal &journal_;
  std::string what_, unit_;
  double total_, first_, done_;
  bool terminal_;
  Clock::time_point start_, last_;
};

std::string text_of_seconds(double seconds); // "42 s", "3 min 20 s", "2 h 5 min"

} // namespace theta
