// theta render ZOO: what fields show.
#include "engine/generators/network_facts.h"
#include "engine/report/pictures.h"
#include "engine/zoo/renderer.h"
#include "tools/options.h"
#include <charconv>
#include <fmt/core.h>

namespace theta {

namespace {

struct Wanted {
  std::string zoo, rows, png = "fields.png", device = "auto";
  int count = 100, side = 0, columns = 0, scale = 0;
};

// "0,5,10..19".
std::vector<std::size_t> rows_named(const std::string &text, std::size_t available) {
  std::vector<std::size_t> rows;
  const auto number = [&](std::string_view part) {
    std::size_t value = 0;
    const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (failed != std::errc() || end != part.data() + part.size() || value >= available)
      throw InputError("--rows: found '", std::string(part), "', expected numbers below ", available,
                       " such as 0,5,10..19");
    return value;
  };
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size()), dots = text.substr(0, end).find("..", at);
    const std::string_view part = std::string_view(text).substr(at, end - at);
    if (dots == std::string::npos)
      rows.push_back(number(part));
    else
      for (std::size_t row = number(part.substr(0, dots - at)), last = number(part.substr(dots - at + 2)); row <= last;
           ++row)
        rows.push_back(row);
    at = end + 1;
  }
  if (rows.empty())
    throw InputError("--rows: found '", text, "', expected rows in ascending order");
  return rows;
}

// Of the images that the zoo's fields learned, where it says so.
int side_of(const ZooReader &zoo) {
  const Json facts = parse_json(zoo.format().facts, zoo.path().string());
  return facts.contains("dataset") ? facts["dataset"].value("side", 28) : 28;
}

void render(const Wanted &w) {
  const ZooReader zoo(w.zoo);
  const NetworkFacts facts = network_facts(zoo.format(), w.zoo);
  if (!facts.shape)
    throw InputError(w.zoo, ": holds networks of an unknown architecture, expected fields");
  std::vector<std::size_t> rows;
  if (!w.rows.empty())
    rows = rows_named(w.rows, zoo.rows());
  else
    for (std::size_t i = 0, n = std::min(std::size_t(w.count), zoo.rows()); i < n; ++i)
      rows.push_back(i);
  const int side = w.side > 0 ? w.side : side_of(zoo), channels = outputs_of(*facts.shape);
  const int columns = w.columns > 0 ? w.columns : std::min(10, int(rows.size()));
  const int scale = w.scale > 0 ? w.scale : std::max(1, 56 / side);
  FieldRenderer renderer(*facts.shape, pixel_grid(side), 2, 16);
  std::vector<FieldPicture> pictures(rows.size());
  renderer.render(
      Device::parse(w.device), rows.size(), [&](std::size_t i, float *theta) { zoo.theta(rows[i], theta); },
      [&](std::size_t i, const float *values) { pictures[i].values.assign(values, values + renderer.values()); });
  picture_sheet(pictures, side, channels, columns, scale).save(w.png);
  fmt::print("{}: {} fields of {} at {} x {} points\n", w.png, rows.size(), w.zoo, side, side);
}

} // namespace

void add_render_command(CLI::App &app, Action &action) {
  auto wanted = std::make_shared<Wanted>();
  auto *command = app.add_subcommand("render", "draw image fields of a zoo, or generated ones, side by side");
  command->add_option("ZOO", wanted->zoo, "folder of the zoo, or of samples")->required();
  command->add_option("--rows", wanted->rows, "which: 0,5,10..19 (default the first --count)");
  command->add_option("--count", wanted->count, "how many (default 100)")->check(CLI::Range(1, 100000));
  command->add_option("--side", wanted->side, "points across and down (default the images' own)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--columns", wanted->columns, "pictures in a row (default 10)")->check(CLI::Range(1, 1000));
  command->add_option("--scale", wanted->scale, "pixels a point (default for pictures of 56 pixels)")
      ->check(CLI::Range(1, 64));
  command->add_option("--png", wanted->png, "the file to write (default fields.png)");
  command->add_option("--device", wanted->device, "auto, cpu, cuda or cuda:N");
  command->callback([&action, wanted] { action = [wanted] { render(*wanted); }; });
}

} // namespace theta
