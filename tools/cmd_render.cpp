// theta render ZOO: what fields show.
#include "engine/generators/network_facts.h"
#include "engine/report/pictures.h"
#include "engine/report/shape_sheets.h"
#include "engine/shapes/view.h"
#include "engine/zoo/renderer.h"
#include "tools/options.h"
#include <charconv>
#include <fmt/core.h>

namespace theta {

namespace {

struct Wanted {
  std::string zoo, rows, png = "fields.png", device = "auto", meshes, format = "ply";
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

std::string sizes_of_sheet(const Wanted &w, std::size_t rows, int side) {
  return fmt::format("{}: {} fields of {} at {} points across", w.png, rows, w.zoo, side);
}

void render_images(const Wanted &w, const ZooReader &zoo, const NetworkShape &shape,
                   const std::vector<std::size_t> &rows) {
  if (!w.meshes.empty())
    throw InputError("--meshes: ", w.zoo, " holds fields of images, expected fields of bodies");
  const int side = w.side > 0 ? w.side : side_of(zoo), channels = outputs_of(shape);
  const int columns = w.columns > 0 ? w.columns : std::min(10, int(rows.size()));
  const int scale = w.scale > 0 ? w.scale : std::max(1, 56 / side);
  FieldRenderer renderer(shape, pixel_grid(side), 2, 16);
  std::vector<FieldPicture> pictures(rows.size());
  renderer.render(
      Device::parse(w.device), rows.size(), [&](std::size_t i, float *theta) { zoo.theta(rows[i], theta); },
      [&](std::size_t i, const float *values) { pictures[i].values.assign(values, values + renderer.values()); });
  picture_sheet(pictures, side, channels, columns, scale).save(w.png);
  fmt::print("{}\n", sizes_of_sheet(w, rows.size(), side));
}

void render_bodies(const Wanted &w, const ZooReader &zoo, const NetworkShape &shape,
                   const std::vector<std::size_t> &rows) {
  const int side = w.side > 0 ? w.side : 64, scale = w.scale > 0 ? w.scale : std::max(1, 128 / side);
  if (side < 2 || side > 512)
    throw InputError("--side: found ", side, ", expected 2 to 512 points across a body");
  const int columns = w.columns > 0 ? w.columns : std::min(10, int(rows.size()));
  std::vector<FieldPicture> pictures;
  if (!w.meshes.empty())
    std::filesystem::create_directories(w.meshes);
  std::size_t without = 0;
  const auto meshes = meshes_of(shape, Device::parse(w.device), zoo, rows, side);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    pictures.push_back({shaded_view(meshes[i], side * scale)});
    without += meshes[i].triangles.empty();
    if (!w.meshes.empty() && !meshes[i].triangles.empty())
      write_mesh(std::filesystem::path(w.meshes) / fmt::format("row{}.{}", rows[i], w.format), meshes[i]);
  }
  picture_sheet(pictures, side * scale, 3, columns, 1).save(w.png);
  fmt::print("{}{}\n", sizes_of_sheet(w, rows.size(), side),
             without > 0 ? fmt::format("; {} of them have no surface", without) : "");
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
  const bool is_body = inputs_of(*facts.shape) == 3 * (1 + 2 * facts.shape->octaves);
  (is_body ? render_bodies : render_images)(w, zoo, *facts.shape, rows);
}

} // namespace

void add_render_command(CLI::App &app, Action &action) {
  auto wanted = std::make_shared<Wanted>();
  auto *command = app.add_subcommand(
      "render", "draw fields of a zoo, or generated ones, side by side: images, or bodies as shaded views");
  command->add_option("ZOO", wanted->zoo, "folder of the zoo, or of samples")->required();
  command->add_option("--rows", wanted->rows, "which: 0,5,10..19 (default the first --count)");
  command->add_option("--count", wanted->count, "how many (default 100)")->check(CLI::Range(1, 100000));
  command->add_option("--side", wanted->side, "points across (default the images' own; of bodies 64)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--columns", wanted->columns, "pictures in a row (default 10)")->check(CLI::Range(1, 1000));
  command->add_option("--scale", wanted->scale, "pixels a point (default for pictures of 56 pixels, of bodies 128)")
      ->check(CLI::Range(1, 64));
  command->add_option("--png", wanted->png, "the file to write (default fields.png)");
  command->add_option("--meshes", wanted->meshes, "of bodies: a folder for a mesh each, rowN.ply");
  command->add_option("--format", wanted->format, "of the meshes (default ply)")
      ->check(CLI::IsMember({"ply", "stl", "obj"}));
  command->add_option("--device", wanted->device, "auto, cpu, cuda or cuda:N");
  command->callback([&action, wanted] { action = [wanted] { render(*wanted); }; });
}

} // namespace theta
