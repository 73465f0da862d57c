#include "shape_sheets.h"
#include "engine/report/pictures.h"
#include "engine/shapes/marching_cubes.h"
#include "engine/shapes/view.h"
#include "engine/tasks/fields/renderer.h"
#include <algorithm>
#include <numeric>

namespace theta {

std::vector<Mesh> meshes_of(const NetworkShape &shape, Device device, const ZooReader &from,
                            const std::vector<std::size_t> &rows, int side) {
  FieldRenderer renderer(shape, cube_grid(side), 3, 4);
  std::vector<Mesh> meshes(rows.size());
  renderer.render(
      device, rows.size(), [&](std::size_t i, float *theta) { from.theta(rows[i], theta); },
      [&](std::size_t i, const float *values) {
        const std::vector<float> value(values, values + renderer.values());
        if (all_finite(value))
          meshes[i] = marching_cubes(value, side, 0.5f);
      });
  return meshes;
}

std::vector<std::filesystem::path> draw_shapes(const std::filesystem::path &folder, const NetworkShape &shape,
                                               Device device, const ZooReader &zoo, const ZooReader &samples,
                                               const std::vector<GroupReport> &reports) {
  constexpr int columns = 10, rows = 6, side = 96, grid = 56;
  std::filesystem::create_directories(folder);
  const auto drawn = [&](const ZooReader &from, const std::vector<std::size_t> &which) {
    std::vector<FieldPicture> pictures;
    for (const Mesh &mesh : meshes_of(shape, device, from, which, grid))
      pictures.push_back({shaded_view(mesh, side)});
    return pictures;
  };
  const auto save = [&](const char *name, const std::vector<FieldPicture> &pictures) {
    picture_sheet(pictures, side, 3, columns, 1).save(folder / name);
    return folder / name;
  };
  std::vector<std::filesystem::path> paths{
      save("generated.png", drawn(samples, rows_by_class(samples, columns, columns * rows)))};

  const auto made = std::find_if(reports.begin(), reports.end(), [](const auto &r) { return r.name == "generated"; });
  if (made != reports.end() && made->broken == 0) {
    std::vector<FieldPicture> sheet;
    const auto &nearest = made->of("nearest");
    for (std::size_t first = 0; first + columns <= std::min(nearest.size(), std::size_t(3 * columns));
         first += columns) {
      std::vector<std::size_t> some(columns), near;
      std::iota(some.begin(), some.end(), first);
      for (const std::size_t i : some)
        near.push_back(std::size_t(nearest[i]));
      for (auto &row : {drawn(samples, some), drawn(zoo, near)})
        sheet.insert(sheet.end(), row.begin(), row.end());
    }
    paths.push_back(save("nearest.png", sheet));
  }
  std::vector<std::size_t> first(std::min<std::size_t>(zoo.rows(), columns * rows));
  std::iota(first.begin(), first.end(), std::size_t(0));
  paths.push_back(save("fields.png", drawn(zoo, first)));
  return paths;
}

} // namespace theta
