#include "data/solids.h"
#include "engine/analysis/point_sets.h"
#include "engine/memory/arena.h"
#include "engine/networks/field.h"
#include "engine/shapes/marching_cubes.h"
#include "engine/shapes/mesh_signals.h"
#include "engine/shapes/surface.h"
#include "engine/shapes/view.h"
#include "engine/tasks/bodies/shape_judge.h"
#include "engine/zoo/zoo_trainer.h"
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

TEST_CASE("shape judge: fields of held-out bodies, copies, noise and what has no surface; on every device") {
  NetworkShape shape{{3, 10, 10, 1}};
  shape.kind = network_kind_named("field"), shape.act = Activation::sine, shape.initialisation = Initialisation::siren,
  shape.own = FieldSettings{.omega = 5};
  const DatasetOptions options{.name = "solids",
                               .solids = 40,
                               .points = 300,
                               .families = {"superquadric", "csg"},
                               .signal = "distance",
                               .band = 0.25};
  const Dataset data = load_dataset(options);
  const std::size_t v = layout_of(shape).size();
  std::vector<ShapeReport> on_the_first;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    ZooTask task{.recipe = {}, .network = shape, .seed = 3, .storage = Dtype::f32};
    task.directory = folder.path(), task.facts = "{}";
    ZooRecipe &r = task.recipe;
    r.networks = 40, r.wave = 40, r.steps = 40, r.batch = 100, r.lr = 1e-2, r.held_out = 0.5, r.count = 1;
    r.activation = {Activation::sine}, r.initialisation = {Initialisation::siren}, r.start = StartKind::base;
    r.base = {.rounds = 15, .networks = 8, .steps = 10, .lr = 5e-3};
    Journal journal;
    ZooTrainer(std::move(task), sizes_of(data), device.backend).run(device, data, journal);
    const ZooReader zoo(folder.path());
    const auto held_out = zoo.integers("held_out"), label = zoo.integers("class"), signal = zoo.integers("signal");
    std::vector<std::size_t> seen, control, group, references;
    for (std::size_t row = 0; row < 40; ++row)
      if (held_out[row])
        (group.size() < 6 ? group : references.size() < 6 ? references : control).push_back(row);
      else if (seen.size() < 8)
        seen.push_back(row);
    const auto of = [&](const std::vector<std::size_t> &rows, const auto &column, auto like) {
      std::vector<decltype(like)> values;
      for (const std::size_t row : rows)
        values.push_back(decltype(like)(column[row]));
      return values;
    };
    ShapeJudge judge(shape, sizes_of(data), data.points, 6, 4, 1,
                     {.grid = 14, .surface = 64, .matched = 16, .most_matched = 4});
    judge.start(device, data, rows_of(zoo, references), {rows_of(zoo, seen), of(seen, label, 0), {}},
                rows_of(zoo, control));
    const ShapeReport fresh =
        judge.judge("held_out", {rows_of(zoo, group), of(group, label, 0), of(group, signal, std::size_t(0))});
    CHECK((fresh.networks == 6 && fresh.broken == 0 && fresh.distance.size() == 6));
    CHECK(fresh.iou > 0.3);
    CHECK(fresh.recognised.n == 6);
    std::vector<float> copies;
    for (const std::size_t row : seen) {
      std::vector<float> theta(v);
      zoo.theta(row, theta.data());
      copies.insert(copies.end(), theta.begin(), theta.end());
    }
    const ShapeReport copied = judge.judge("copies", {vectors_of(copies, v), of(seen, label, 0), {}});
    CHECK(copied.recognised.share == 1);
    CHECK(copied.memorised.share == 1);
    for (std::size_t i = 0; i < copied.distance.size(); ++i) { // other points of the same surface
      CHECK(copied.nearest[i] == seen[i]);
      CHECK(copied.distance[i] < 0.05);
    }
    for (std::size_t i = 0; i < v; ++i)
      copies[i] = NAN, copies[v + i] = 0; // not finite; nowhere inside
    copies[2 * v - 1] = -1;
    const ShapeReport broken = judge.judge("broken", {vectors_of(copies, v), {}, {}});
    CHECK(broken.broken == copied.broken + 2);
    CHECK(broken.distance.size() == 6 - broken.broken);
    if (on_the_first.empty())
      on_the_first = {fresh, copied};
    CHECK(fresh.iou == doctest::Approx(on_the_first[0].iou).epsilon(0.1)); // trained in bf16 on cuda
    CHECK(copied.chamfer.mmd == doctest::Approx(on_the_first[1].chamfer.mmd).epsilon(0.3));
  }
}
