#include "data/solids.h"
#include "engine/analysis/point_sets.h"
#include "engine/memory/arena.h"
#include "engine/shapes/marching_cubes.h"
#include "engine/shapes/mesh_signals.h"
#include "engine/shapes/surface.h"
#include "engine/shapes/view.h"
#include "tests/check.h"
#include "tests/mesh_files.h"
#include "tests/scratch.h"
#include <numbers>

using namespace theta;
using namespace theta::test;

namespace {

std::vector<float> on_grid(int side, const std::function<double(double, double, double)> &f) {
  const auto points = cube_grid(side);
  std::vector<float> values;
  for (std::size_t p = 0; p < points.size(); p += 3)
    values.push_back(float(f(double(points[p]), double(points[p + 1]), double(points[p + 2]))));
  return values;
}

PointSets golden_sets(const Golden &golden, const char *name) {
  const auto from = golden.get<double>(name);
  PointSets sets{int(golden.side(name, 0)), int(golden.side(name, 1)), std::vector<float>(from.size())};
  const auto points = std::size_t(sets.points);
  for (std::size_t i = 0; i < from.size(); ++i)
    sets.values[(i / (3 * points) * 3 + i % 3) * points + i / 3 % points] = float(from[i]);
  return sets;
}

} // namespace

TEST_CASE("marching cubes: a sphere, a torus and two balls are closed, whole and as large as they are") {
  const int side = 33;
  const Mesh sphere = marching_cubes(
      on_grid(side, [](double x, double y, double z) { return 0.7 - std::sqrt(x * x + y * y + z * z); }), side, 0);
  CHECK(is_watertight(sphere));
  CHECK(euler_characteristic(sphere) == 2);
  CHECK(volume_of(sphere) == doctest::Approx(4 * std::numbers::pi / 3 * 0.343).epsilon(0.01));
  for (std::size_t v = 0; v < sphere.vertices.size(); v += 3)
    CHECK(std::hypot(sphere.vertices[v], sphere.vertices[v + 1], sphere.vertices[v + 2]) ==
          doctest::Approx(0.7).epsilon(0.003)); // linear between points 1/16 apart: h²/8r
  const Mesh torus = marching_cubes(
      on_grid(side, [](double x, double y, double z) { return 0.25 - std::hypot(std::hypot(x, z) - 0.6, y); }), side,
      0);
  CHECK((is_watertight(torus) && euler_characteristic(torus) == 0));
  CHECK(volume_of(torus) == doctest::Approx(2 * std::pow(std::numbers::pi, 2) * 0.6 * 0.0625).epsilon(0.02));
  const Mesh balls = marching_cubes(
      on_grid(side, [](double x, double y,
                       double z) { return 0.3 - std::min(std::hypot(x - 0.5, y, z), std::hypot(x + 0.5, y, z)); }),
      side, 0);
  CHECK((is_watertight(balls) && euler_characteristic(balls) == 4));
}

TEST_CASE("marching cubes: noise is closed too, whichever corners lie across") {
  for (int salt = 1; salt <= 6; ++salt) {
    const int side = 9 + salt;
    const Mesh mesh = marching_cubes(random_values<float>(std::size_t(side * side * side), salt), side, 0.2f);
    CHECK(mesh.triangle_count() > 500);
    CHECK(is_watertight(mesh));
    CHECK(euler_characteristic(mesh) % 2 == 0);
    CHECK(volume_of(mesh) > 0);
  }
  CHECK(marching_cubes(std::vector<float>(27, 0.0f), 3, 0.5f).triangles.empty());
  const Mesh full = marching_cubes(std::vector<float>(27, 1.0f), 3, 0.5f); // closed at the grid's end
  CHECK((is_watertight(full) && euler_characteristic(full) == 2));
  CHECK(volume_of(full) > 8);
}

TEST_CASE("surface points: on the surface, as many on every side, the same for the same draw") {
  const Scratch folder;
  std::ofstream(folder.path() / "cube.obj") << cube_files().at("cube.obj");
  const Mesh cube = read_mesh(folder.path() / "cube.obj");
  const int n = 600;
  const auto points = surface_points(cube, n, 1, 2);
  CHECK(points == surface_points(cube, n, 1, 2));
  CHECK(points != surface_points(cube, n, 1, 3));
  std::array<int, 6> on{};
  for (std::size_t p = 0; p < std::size_t(n); ++p)
    for (std::size_t a = 0; a < 3; ++a)
      for (const int end : {0, 1})
        on[2 * a + std::size_t(end)] += std::abs(points[a * std::size_t(n) + p] - float(end)) < 1e-6f;
  for (const int count : on)
    CHECK(std::abs(count - n / 6) <= 2); // one in every part of equal area, and the edges
  CHECK_THROWS_AS(surface_points(Mesh{{0, 0, 0}, {0, 0, 0}}, 3, 1, 1), Error);
}

TEST_CASE("view: a body fills the middle, its upper side is the brightest, and what is nearer hides what is behind") {
  const int side = 40;
  const auto cube = [](float size, Point3 centre) {
    const auto values = on_grid(21, [&](double x, double y, double z) {
      return double(size) - std::max({std::abs(x - centre[0]), std::abs(y - centre[1]), std::abs(z - centre[2])});
    });
    return marching_cubes(values, 21, 0);
  };
  const auto picture = shaded_view(cube(0.5f, {0, 0, 0}), side);
  const auto at = [&](int x, int y) { return picture[std::size_t(3 * (y * side + x))]; };
  const float background = at(0, 0);
  CHECK((at(side - 1, 0) == background && at(0, side - 1) == background));
  CHECK(at(side / 2, side / 2) > 2 * background);
  CHECK(at(side / 2, 13) > at(16, 22) + 0.02f); // the middle of the upper side; of the front
  // One behind the other, seen from the eye: the picture is that of the nearer one.
  Mesh both = cube(0.3f, {0.33, 0.3, 0.6});
  const auto nearer = shaded_view(both, side);
  const Mesh behind = cube(0.2f, {-0.22, -0.2, -0.4});
  for (const std::uint32_t vertex : behind.triangles)
    both.triangles.push_back(vertex + std::uint32_t(both.vertex_count()));
  both.vertices.insert(both.vertices.end(), behind.vertices.begin(), behind.vertices.end());
  const auto seen = shaded_view(both, side);
  const std::size_t middle = std::size_t(3 * (side / 2 * side + side / 2));
  CHECK(nearer[middle] > 2 * background);
  CHECK(seen[middle] == nearer[middle]);
}

TEST_CASE("mesh signals: a mesh is what the solid that it was made of is, on every device") {
  const auto d = solid("chair", 3);
  const int side = 65;
  Mesh mesh = marching_cubes(on_grid(side, [&](double x, double y, double z) { return -d({x, y, z}); }), side, 0);
  REQUIRE(is_watertight(mesh));
  const DatasetOptions options{.name = "meshes", .points = 700, .signal = "distance"};
  MeshSignals signals(options);
  const auto points = even_points(700);
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    const Arena arena(device, signals.plan());
    const auto found = signals.distances(s, mesh);
    for (std::size_t p = 0; p < 700; ++p) {
      const double expected = d({points[3 * p], points[3 * p + 1], points[3 * p + 2]});
      if (std::abs(expected) > 0.03) {
        CHECK((found[p] < 0) == (expected < 0));
        if (expected > 0) // within a union of parts its distance is a bound
          CHECK(std::abs(double(found[p]) - expected) < std::sqrt(3.0) * 2 / 64); // a cell: the grid cuts corners off
      }
    }
  }
}

TEST_CASE("mesh signals: a folder of meshes becomes a data set, and what is open is said") {
  const Scratch folder;
  std::filesystem::create_directories(folder.path() / "a"), std::filesystem::create_directories(folder.path() / "b");
  const auto files = cube_files();
  std::ofstream(folder.path() / "a" / "cube.obj") << files.at("cube.obj");
  const std::string open = files.at("cube.obj");
  std::ofstream(folder.path() / "b" / "open.obj") << open.substr(0, open.rfind("f "));
  std::vector<std::string> said;
  DatasetOptions options{.name = "meshes", .folder = folder.path(), .points = 900};
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    said.clear();
    const Dataset set = load_signals(device, options, [&](const std::string &line) { said.push_back(line); });
    CHECK((set.train.size() == 2 && set.classes == 2 && set.dimensions() == 3));
    REQUIRE(said.size() == 1);
    CHECK(said[0].find("1 of 2 meshes are not watertight") != std::string::npos);
    const auto inside = std::count(set.train.pixels.begin(), set.train.pixels.begin() + 900, std::uint8_t(255));
    CHECK(std::abs(double(inside) / 900 - std::pow(0.85, 3)) < 0.02);
  }
  CHECK(dataset_sizes(options).classes == 2);
  CHECK_THROWS_AS(load_dataset(options), Error);
}

TEST_CASE("sets of points: Chamfer and earth mover's distances, MMD, coverage and 1-NNA agree with scipy") {
  const Golden golden("point_sets");
  const PointSets a = golden_sets(golden, "generated"), b = golden_sets(golden, "reference");
  const auto check = [&](const std::string &name, auto distances) {
    CAPTURE(name);
    const auto between = distances(a, b), expected = golden.get<double>((name + ".distances").c_str());
    CHECK(relative_error(between, expected) < 1e-6);
    const SetAgreement found = agreement(distances(a, a), between, distances(b, b), a.count, b.count);
    CHECK(found.mmd == doctest::Approx(golden.get<double>((name + ".mmd").c_str())[0]).epsilon(1e-6));
    CHECK(found.coverage == doctest::Approx(golden.get<double>((name + ".coverage").c_str())[0]));
    CHECK(found.one_nna.share == doctest::Approx(golden.get<double>((name + ".one_nna").c_str())[0]));
  };
  for (const auto device : all_devices())
    for (const int sets : {4, 20}) // in blocks, and at once
      check("chamfer",
            [&](const PointSets &x, const PointSets &y) { return ChamferDistances(sets, 33).run(device, x, y); });
  check("emd", [&](const PointSets &x, const PointSets &y) { return earth_mover(x, y, 33); });
}
