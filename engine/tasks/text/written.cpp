#include "written.h"
#include "engine/zoo/mixture.h"
#include "writer.h"
#include <algorithm>
#include <numeric>

namespace theta {

namespace {

constexpr int characters = 100, line_height = 18, name_width = 70, role_width = 80;
constexpr double temperature = 0.5;

// The first of `rows` that has a class alone, or none.
std::optional<std::size_t> first_of(const std::vector<std::size_t> &rows, const std::vector<float> &share) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] < share.size() && share[rows[i]] > 0.999f)
      return i;
  return {};
}

std::optional<std::size_t> first_sample_of(const ZooReader &samples, const ZooReader &zoo, const std::string &column) {
  std::vector<std::size_t> rows(samples.rows()); // of a sample, or whose examples it was shown
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  if (!samples.has_column(shown_column))
    return samples.has_column("told_" + column) ? first_of(rows, samples.floats("told_" + column)) : std::nullopt;
  const auto shown = samples.integers(shown_column);
  std::transform(shown.begin(), shown.end(), rows.begin(), [](std::int64_t row) { return std::size_t(row); });
  return first_of(rows, zoo.floats(column));
}

// One line of it.
std::string line_of(TextWriter &writer, const ZooReader &zoo, std::size_t row, const std::vector<std::string> &alphabet,
                    std::uint64_t seed) {
  std::vector<float> theta(zoo.parameters());
  zoo.theta(row, theta.data());
  std::string text = text_of(alphabet, writer.write(theta, codes_of(alphabet, "\n"), characters, temperature, seed, 0));
  for (char &c : text)
    if (std::uint8_t(c) < 32 || std::uint8_t(c) >= 127)
      c = ' ';
  return text;
}

} // namespace

std::optional<Canvas> written_by(const EvalWork &work) {
  const auto &classes = work.data.text.classes;
  Canvas canvas(name_width + role_width + 8 * characters, int(classes.size()) * (2 * line_height + 8) + 8);
  TextWriter writer(work.shape, work.device);
  int y = 8;
  for (const std::string &name : classes) {
    const std::string column = share_column(name);
    const auto trained = first_of(work.held_out, work.zoo.floats(column)),
               made = first_sample_of(*work.samples, work.zoo, column);
    if (!trained || !made)
      continue;
    canvas.text(8, y, name, ink);
    for (const bool is_trained : {true, false}) {
      const std::string line =
          is_trained ? line_of(writer, work.zoo, work.held_out[*trained], work.data.text.alphabet, work.seed)
                     : line_of(writer, *work.samples, *made, work.data.text.alphabet, work.seed);
      canvas.text(name_width, y, is_trained ? "trained" : "generated", {120, 124, 132});
      canvas.text(name_width + role_width, y, line, ink);
      y += line_height;
    }
    y += 8;
  }
  if (y == 8)
    return {};
  return canvas;
}

} // namespace theta
