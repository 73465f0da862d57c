#include "written.h"
#include "engine/zoo/mixture.h"
#include "writer.h"

namespace theta {

namespace {

constexpr int characters = 100, line_height = 18, name_width = 70, role_width = 80;
constexpr double temperature = 0.5;

// The first of `rows` that has a class alone, or none.
std::optional<std::size_t> first_of(const ZooReader &zoo, const std::vector<std::size_t> &rows,
                                    const std::string &column) {
  if (!zoo.has_column(column))
    return {};
  const auto share = zoo.floats(column);
  for (const std::size_t row : rows)
    if (share[row] > 0.999f)
      return row;
  return {};
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
  std::vector<std::size_t> all(work.samples->rows());
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = i;
  const auto &classes = work.data.text.classes;
  Canvas canvas(name_width + role_width + 8 * characters, int(classes.size()) * (2 * line_height + 8) + 8);
  TextWriter writer(work.shape, work.device);
  int y = 8;
  for (const std::string &name : classes) {
    const std::string column = share_column(name);
    const auto trained = first_of(work.zoo, work.held_out, column),
               made = first_of(*work.samples, all, "told_" + column);
    if (!trained || !made)
      continue;
    canvas.text(8, y, name, ink);
    for (const bool is_trained : {true, false}) {
      const std::string line = is_trained ? line_of(writer, work.zoo, *trained, work.data.text.alphabet, work.seed)
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
