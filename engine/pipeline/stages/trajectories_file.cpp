#include "trajectories_file.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include <fmt/core.h>

namespace theta {

void write_trajectories(const std::filesystem::path &path, const Plane &plane, const std::string &key) {
  Json ways = Json::array();
  for (const DrawnWay &way : plane.ways)
    ways.push_back({{"name", way.name},
                    {"kind", way.kind},
                    {"x", list_in_json(way.x)},
                    {"y", list_in_json(way.y)},
                    {"loss", list_in_json(way.loss)},
                    {"length", way.length},
                    {"displacement", way.displacement},
                    {"turn", way.turn}});
  Json rows = Json::array();
  const std::size_t width = plane.grid_x.size();
  for (std::size_t y = 0; y < plane.grid_y.size(); ++y)
    rows.push_back(list_in_json(std::vector<float>(plane.grid_loss.begin() + std::ptrdiff_t(y * width),
                                                   plane.grid_loss.begin() + std::ptrdiff_t((y + 1) * width))));
  write_file(path,
             Json{{"explained", {plane.explained[0], plane.explained[1]}},
                  {"ways", ways},
                  {"grid", {{"x", list_in_json(plane.grid_x)}, {"y", list_in_json(plane.grid_y)}, {"loss", rows}}},
                  {"key", key}}
                     .dump() +
                 "\n");
}

Plane read_trajectories(const std::filesystem::path &path) {
  const std::string where = path.string();
  const Json all = json_file(path), grid = field<Json>(all, "grid", where);
  Plane plane;
  const auto explained = field<std::vector<double>>(all, "explained", where);
  if (explained.size() != 2)
    throw InputError(where, ": explained: found ", explained.size(), " numbers, expected 2");
  std::copy(explained.begin(), explained.end(), plane.explained);
  for (const Json &w : field<Json>(all, "ways", where))
    plane.ways.push_back({field<std::string>(w, "name", where), field<std::string>(w, "kind", where),
                          numbers_from<double>(field<Json>(w, "x", where)),
                          numbers_from<double>(field<Json>(w, "y", where)),
                          numbers_from<float>(field<Json>(w, "loss", where)), field<double>(w, "length", where),
                          field<double>(w, "displacement", where), field<double>(w, "turn", where)});
  plane.grid_x = numbers_from<double>(field<Json>(grid, "x", where));
  plane.grid_y = numbers_from<double>(field<Json>(grid, "y", where));
  for (const Json &row : field<Json>(grid, "loss", where))
    for (const float loss : numbers_from<float>(row))
      plane.grid_loss.push_back(loss);
  if (plane.grid_loss.size() != plane.grid_x.size() * plane.grid_y.size())
    throw InputError(where, ": grid: found ", plane.grid_loss.size(), " losses, expected ",
                     plane.grid_x.size() * plane.grid_y.size());
  return plane;
}

std::string trajectories_key_of(const std::filesystem::path &path) {
  try {
    return std::filesystem::exists(path) ? field<std::string>(json_file(path), "key", path.string()) : "";
  } catch (const InputError &) {
    return ""; // it is made anew
  }
}

std::string table_of(const Plane &plane) {
  std::string table = fmt::format("{:<16} {:>7}  {:>8}  {:>12}  {:>8}  {:>7}  {:>10}  {:>9}\n", "way", "states",
                                  "length", "displacement", "ratio", "turn °", "first loss", "last loss");
  for (const DrawnWay &way : plane.ways)
    table += fmt::format("{:<16} {:>7}  {:>8.4g}  {:>12.4g}  {:>8.3g}  {:>7.3g}  {:>10.4g}  {:>9.4g}\n", way.name,
                         way.x.size(), way.length, way.displacement,
                         way.displacement > 0 ? way.length / way.displacement : 0, way.turn,
                         way.loss.empty() ? 0 : way.loss.front(), way.loss.empty() ? 0 : way.loss.back());
  return table;
}

} // namespace theta
