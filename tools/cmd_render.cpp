// theta render ZOO: what fields show.
#include "engine/generators/network_facts.h"
#include "engine/networks/field.h"
#include "engine/report/animation.h"
#include "engine/report/pictures.h"
#include "engine/shapes/view.h"
#include "engine/tasks/bodies/shape_sheets.h"
#include "engine/tasks/fields/renderer.h"
#include "engine/tasks/fields/signals.h"
#include "tools/options.h"
#include <charconv>
#include <fmt/core.h>
#include <map>
#include <numeric>

namespace theta {

namespace {

struct Wanted {
  std::string zoo, rows, png = "fields.png", device = "auto", meshes, format = "ply", gif, frames;
  bool states = false;
  double rate = 10;
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

// Pictures of fields, a field each.
struct Drawn {
  std::vector<FieldPicture> pictures;
  int points = 0, side = 0, channels = 3, scale = 1; // across a field; of a picture
  std::size_t empty = 0;                             // bodies without a surface
};

Drawn images_of(const Wanted &w, const ZooReader &zoo, const NetworkShape &shape,
                const std::vector<std::size_t> &rows) {
  if (!w.meshes.empty())
    throw InputError("--meshes: ", w.zoo, " holds fields of images, expected fields of bodies");
  Drawn drawn{std::vector<FieldPicture>(rows.size())};
  drawn.points = drawn.side = w.side > 0 ? w.side : side_of(zoo);
  drawn.channels = outputs_of(shape), drawn.scale = w.scale > 0 ? w.scale : std::max(1, 56 / drawn.side);
  FieldRenderer renderer(shape, pixel_grid(drawn.side), 2, 16);
  renderer.render(
      Device::parse(w.device), rows.size(), [&](std::size_t i, float *theta) { zoo.theta(rows[i], theta); },
      [&](std::size_t i, const float *values) { drawn.pictures[i].values.assign(values, values + renderer.values()); });
  return drawn;
}

Drawn bodies_of(const Wanted &w, const ZooReader &zoo, const NetworkShape &shape,
                const std::vector<std::size_t> &rows) {
  Drawn drawn;
  drawn.points = w.side > 0 ? w.side : 64;
  drawn.side = drawn.points * (w.scale > 0 ? w.scale : std::max(1, 128 / drawn.points));
  if (drawn.points < 2 || drawn.points > 512)
    throw InputError("--side: found ", drawn.points, ", expected 2 to 512 points across a body");
  if (!w.meshes.empty())
    std::filesystem::create_directories(w.meshes);
  const auto meshes = meshes_of(shape, Device::parse(w.device), zoo, rows, drawn.points);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    drawn.pictures.push_back({shaded_view(meshes[i], drawn.side)});
    drawn.empty += meshes[i].triangles.empty();
    if (!w.meshes.empty() && !meshes[i].triangles.empty())
      write_mesh(std::filesystem::path(w.meshes) / fmt::format("row{}.{}", rows[i], w.format), meshes[i]);
  }
  return drawn;
}

// Positions in `rows` that are shown together: those of one step, where the zoo knows steps (of a sampler, what it
// takes samples for, or with --states what they are; of training); else one after another.
std::vector<std::vector<std::size_t>> frames_of(const Wanted &w, const ZooReader &zoo,
                                                const std::vector<std::size_t> &rows) {
  std::vector<std::vector<std::size_t>> frames;
  if (!zoo.has_column("step")) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      frames.push_back({i});
    return frames;
  }
  const auto step = zoo.integers("step");
  const auto predicted =
      zoo.has_column("predicted") ? zoo.integers("predicted") : std::vector<std::int64_t>(zoo.rows(), !w.states);
  std::map<std::int64_t, std::vector<std::size_t>> by_step;
  const std::int64_t last = *std::max_element(step.begin(), step.end());
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (bool(predicted[rows[i]]) != w.states || step[rows[i]] == last) // the last is both
      by_step[step[rows[i]]].push_back(i);
  for (auto &[at, shown] : by_step)
    frames.push_back(std::move(shown));
  std::size_t most = 0;
  for (const auto &frame : frames)
    most = std::max(most, frame.size());
  std::erase_if(frames, [&](const auto &frame) { return frame.size() != most; }); // steps that only some have
  return frames;
}

Canvas sheet_of(const Drawn &drawn, const std::vector<std::size_t> &which, int columns) {
  std::vector<FieldPicture> shown;
  for (const std::size_t i : which)
    shown.push_back(drawn.pictures[i]);
  return picture_sheet(shown, drawn.side, drawn.channels, std::min(columns, int(which.size())), drawn.scale);
}

void render(const Wanted &w) {
  const ZooReader zoo(w.zoo);
  const NetworkFacts facts = network_facts(zoo.format(), w.zoo);
  if (!facts.shape)
    throw InputError(w.zoo, ": holds networks of an unknown architecture, expected fields");
  const bool moving = !w.gif.empty() || !w.frames.empty();
  std::vector<std::size_t> rows;
  if (!w.rows.empty())
    rows = rows_named(w.rows, zoo.rows());
  else
    for (std::size_t i = 0, n = moving ? zoo.rows() : std::min(std::size_t(w.count), zoo.rows()); i < n; ++i)
      rows.push_back(i);
  const bool is_body = dimensions_of(*facts.shape) == 3;
  const Drawn drawn = (is_body ? bodies_of : images_of)(w, zoo, *facts.shape, rows);
  const int columns = w.columns > 0 ? w.columns : 10;
  const std::string what = fmt::format("{} fields of {} at {} points across{}", rows.size(), w.zoo, drawn.points,
                                       drawn.empty > 0 ? fmt::format("; {} have no surface", drawn.empty) : "");
  if (!moving) {
    std::vector<std::size_t> all(rows.size());
    std::iota(all.begin(), all.end(), std::size_t(0));
    sheet_of(drawn, all, columns).save(w.png);
    return fmt::print("{}: {}\n", w.png, what);
  }
  std::vector<Canvas> canvases;
  for (const auto &frame : frames_of(w, zoo, rows))
    canvases.push_back(sheet_of(drawn, frame, columns));
  if (!w.frames.empty()) {
    std::filesystem::create_directories(w.frames);
    for (std::size_t i = 0; i < canvases.size(); ++i)
      canvases[i].save(std::filesystem::path(w.frames) / fmt::format("{:04}.png", i));
    fmt::print("{}: {} frames, {}\n", w.frames, canvases.size(), what);
  }
  if (!w.gif.empty()) {
    save_gif(w.gif, canvases, 1 / w.rate);
    fmt::print("{}: {} frames, {}\n", w.gif, canvases.size(), what);
  }
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
  command->add_option("--gif", wanted->gif, "rows one after another, or step by step where the zoo has steps: a file");
  command->add_option("--frames", wanted->frames, "the same as a folder of PNG files");
  command->add_option("--rate", wanted->rate, "frames a second (default 10)")->check(CLI::Range(0.1, 50.0));
  command->add_flag("--states", wanted->states, "of a sampler's steps the states, not what it takes them for");
  command->add_option("--device", wanted->device, "auto, cpu, cuda or cuda:N");
  command->callback([&action, wanted] { action = [wanted] { render(*wanted); }; });
}

} // namespace theta
