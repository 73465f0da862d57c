// `theta watch`: how far a run is, in the terminal.
#pragma once
#include <filesystem>
#include <string>

namespace theta {

// The latest curve of each stage that metrics.jsonl tells of, of a family also its members', `width` characters wide, in
// Braille dots, and the last line of log.txt. Throws InputError where there is no run.
std::string curves_in_text(const std::filesystem::path &run, int width, int height);

// Draws them anew every second until interrupted; once where standard output is no terminal, or it is to be once.
void watch_run(const std::filesystem::path &run, bool once);

} // namespace theta
