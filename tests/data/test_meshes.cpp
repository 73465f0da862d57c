#include "data/mesh_folder.h"
#include "data/solids.h"
#include "tests/check.h"
#include "tests/mesh_files.h"
#include "tests/scratch.h"

using namespace theta;
using namespace theta::test;

namespace {

void put(const Scratch &folder, const std::string &name, const std::string &content) {
  std::filesystem::create_directories((folder.path() / name).parent_path());
  std::ofstream(folder.path() / name, std::ios::binary) << content;
}

std::string why_not(const std::filesystem::path &path) {
  try {
    read_mesh(path);
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

double volume(const Mesh &m) {
  double six = 0;
  for (std::size_t t = 0; t < m.triangles.size(); t += 3) {
    const float *a = m.vertices.data() + 3 * m.triangles[t], *b = m.vertices.data() + 3 * m.triangles[t + 1],
                *c = m.vertices.data() + 3 * m.triangles[t + 2];
    six += a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return six / 6;
}

} // namespace

TEST_CASE("meshes: one cube in every format, as other programs write it") {
  const Scratch folder;
  for (const auto &[name, content] : cube_files()) {
    CAPTURE(name);
    put(folder, name, content);
    const Mesh mesh = read_mesh(folder.path() / name);
    CHECK(mesh.vertex_count() == 8);
    CHECK(mesh.triangle_count() == 12);
    CHECK(is_watertight(mesh));
    CHECK(euler_characteristic(mesh) == 2);
    CHECK(volume(mesh) == doctest::Approx(1));
  }
}

TEST_CASE("meshes: written and read again they are the same") {
  const Scratch folder;
  put(folder, "cube.obj", cube_files().at("cube.obj"));
  const Mesh mesh = read_mesh(folder.path() / "cube.obj");
  for (const char *name : {"a.ply", "a.stl", "a.obj"}) {
    CAPTURE(name);
    write_mesh(folder.path() / name, mesh);
    const Mesh back = read_mesh(folder.path() / name);
    CHECK(back.triangle_count() == 12);
    CHECK((is_watertight(back) && volume(back) == doctest::Approx(1)));
    if (std::string(name) != "a.stl")
      CHECK((back.vertices == mesh.vertices && back.triangles == mesh.triangles));
  }
  CHECK_THROWS_AS(write_mesh(folder.path() / "a.off", mesh), InputError);
}

TEST_CASE("meshes: OBJ counts from either end, with textures and normals, and goes on in the next face") {
  const Scratch folder;
  put(folder, "a.obj",
      "mtllib x.mtl\nv 0 0 0 1\nv 1 0 0\nv 0 1 +0.5 # a comment\nvt 0 0\nvn 0 0 1\n"
      "f 1/1/1 2//1 3/1\r\nf -3 -2 -1\n");
  const Mesh mesh = read_mesh(folder.path() / "a.obj");
  CHECK(mesh.triangles == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 2});
  CHECK(mesh.vertices[8] == 0.5f);
  CHECK(!is_watertight(mesh));
}

TEST_CASE("meshes: damaged files are refused in one line that says where") {
  const Scratch folder;
  const auto said = [&](const char *name, const std::string &content) {
    put(folder, name, content);
    return why_not(folder.path() / name);
  };
  const auto has = [](const std::string &line, const char *part) {
    CAPTURE(line);
    CHECK(line.find(part) != std::string::npos);
    CHECK(line.find('\n') == std::string::npos);
  };
  has(said("a.obj", "v 0 0 0\nv 1 0 x\n"), "line 2: found 'x', expected a number");
  has(said("a.obj", "v 0 0 0\nf 1 1 2\n"), "line 2: found '2', expected one of the 1 vertices before it");
  has(said("a.obj", "v 0 0 0\nf 1 1\n"), "a face of 2 corners");
  has(said("a.obj", "# nothing\n"), "found no triangle");
  has(said("a.obj", "v 0 0 nan\nv 0 1 0\nv 1 0 0\nf 1 2 3\n"), "expected finite numbers");
  has(said("a.off", "OFF\n8 1 0\n0 0 0\n"), "it has been cut");
  has(said("a.off", "OFF 3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n"), "line 5: found '3', expected a number from 0 to 2");
  has(said("a.off", "NOT\n"), "expected OFF");
  has(said("a.stl", "solid x\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nendloop\nendfacet\n"), "1 vertices");
  has(said("a.stl", cube_files().at("binary.stl").substr(0, 300)), "it has been cut");
  has(said("a.stl", ""), "found neither");
  has(said("a.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n"),
      "without x, y and z");
  has(said("a.ply", "ply\nformat ascii 2\nelement vertex 1\nproperty quad x\nend_header\n"), "the type 'quad'");
  has(said("a.ply", cube_files().at("binary.ply").substr(0, 260)), "it has been cut");
  has(said("a.3ds", "x"), "expected .obj, .off, .ply or .stl");
}

TEST_CASE("meshes of a folder: labelled by folder, in the middle of the cube, and the bad one named") {
  const Scratch folder;
  for (const char *name : {"a/one.obj", "a/two.obj", "b/three.obj"})
    put(folder, name, cube_files().at("cube.obj"));
  const auto found = read_mesh_folder({.name = "meshes", .folder = folder.path()});
  CHECK((found.meshes.size() == 3 && found.classes == 2 && found.open == 0));
  CHECK(found.labels == std::vector<std::uint8_t>{0, 0, 1});
  for (const float x : found.meshes[0].vertices)
    CHECK(std::abs(x) == doctest::Approx(0.85));
  put(folder, "b/zero.off", "OFF\n");
  CHECK_THROWS_WITH_AS(read_mesh_folder({.name = "meshes", .folder = folder.path()}), doctest::Contains("zero.off"),
                       InputError);
  CHECK_THROWS_AS(read_mesh_folder({.name = "meshes", .folder = folder.path() / "nowhere"}), InputError);
}

TEST_CASE("solids: of every family each is its own, lies within the cube, and its signed distance is one") {
  for (const auto &family : solid_families()) {
    CAPTURE(family);
    for (int i = 0; i < 4; ++i) {
      CAPTURE(i);
      const auto d = solid(family, i);
      int inside = 0;
      double steepest = 0;
      for (int p = 0; p < 4000; ++p) {
        Point3 at, near;
        for (std::size_t a = 0; a < 3; ++a)
          at[a] = 2 * double(uniform01(philox(1, Purpose::test, std::uint32_t(i), std::uint64_t(p)).word[a])) - 1;
        near = at, near[std::size_t(p % 3)] += 1e-4;
        const double here = d(at);
        inside += here <= 0;
        CHECK(std::isfinite(here));
        if (std::abs(here) < 0.02) // no faster than the distance itself, near the surface
          steepest = std::max(steepest, std::abs(d(near) - here) / 1e-4);
      }
      CHECK(inside > 20);
      CHECK(inside < 2800);
      CHECK(steepest < 1.6);          // a bound to first order
      for (int p = 0; p < 300; ++p) { // outside beyond the cube
        Point3 at;
        for (std::size_t a = 0; a < 3; ++a)
          at[a] = 2 * double(uniform01(philox(2, Purpose::test, std::uint32_t(i), std::uint64_t(p)).word[a])) - 1;
        at[std::size_t(p % 3)] = p % 2 ? 1 : -1;
        CHECK(d(at) > 0);
      }
      CHECK(d({0.1, 0.2, 0.3}) != solid(family, i + 1)({0.1, 0.2, 0.3}));
    }
  }
  CHECK_THROWS_AS(solid("sofa", 0), InputError);
}

TEST_CASE("solids: families are classes, and distances are bytes that are half at the surface") {
  const DatasetOptions options{
      .name = "solids", .solids = 6, .points = 500, .families = {"chair", "gear"}, .signal = "distance", .band = 0.2};
  const Dataset set = load_dataset(options);
  CHECK(set.classes == 2);
  CHECK(dataset_sizes(options).classes == 2);
  auto more = options;
  more.solids = 400, more.points = 1;
  const auto labels = load_dataset(more).train.labels;
  CHECK(std::abs(std::count(labels.begin(), labels.end(), std::uint8_t(0)) - 200) < 40); // four deviations
  CHECK(std::equal(set.train.labels.begin(), set.train.labels.end(), labels.begin()));
  const auto d = solid(options.families[set.train.labels[3]], 3);
  for (std::size_t p = 0; p < 500; ++p) {
    const double at = d({set.points[3 * p], set.points[3 * p + 1], set.points[3 * p + 2]});
    CHECK(double(set.train.pixels[3 * 500 + p]) ==
          doctest::Approx(std::clamp(127.5 - 127.5 * at / 0.2, 0.0, 255.0)).epsilon(0.51).scale(1));
  }
  auto wrong = options;
  wrong.signal = "colour";
  CHECK_THROWS_AS(dataset_sizes(wrong), InputError);
  wrong = options, wrong.families = {"sofa"};
  CHECK_THROWS_AS(dataset_sizes(wrong), InputError);
}
