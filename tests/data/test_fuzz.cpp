// Every reader of files that others write, fed with damaged ones: it reads or refuses, and nothing else. The seeds are
// fixed; THETA_FUZZ=N makes N mutations of each file.
#include "data/csv.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/mesh_file.h"
#include "data/npy.h"
#include "data/pickle.h"
#include "data/pytorch.h"
#include "data/safetensors.h"
#include "engine/zoo/network_files.h"
#include "kernels/device/philox.h"
#include "tests/idx_files.h"
#include "tests/image_files.h"
#include "tests/mesh_files.h"
#include "tests/npy_files.h"
#include "tests/scratch.h"
#include <cstdlib>

using namespace theta;
using namespace theta::test;

namespace {

int mutations() {
  const char *set = std::getenv("THETA_FUZZ");
  return set ? std::atoi(set) : 400;
}

// Bytes changed, cut, doubled or filled, one to four times.
std::string mutated(std::string bytes, std::uint32_t seed) {
  std::uint64_t draw = 0;
  const auto next = [&](std::uint64_t n) {
    return std::size_t(uniform_below(philox(7, Purpose::test, seed, draw++).word[0], std::max<std::uint64_t>(1, n)));
  };
  for (std::size_t times = 1 + next(4); times > 0 && !bytes.empty(); --times)
    switch (next(6)) {
    case 0:
      bytes[next(bytes.size())] = char(next(256));
      break;
    case 1:
      bytes[next(bytes.size())] = "\0\xff\x7f\x80\x01("[next(6)];
      break;
    case 2:
      bytes.resize(next(bytes.size()));
      break;
    case 3:
      bytes.insert(next(bytes.size()), bytes.substr(next(bytes.size()), next(20)));
      break;
    case 4:
      bytes.erase(next(bytes.size()), 1 + next(8));
      break;
    default: {
      const std::size_t at = next(bytes.size()), n = std::min<std::size_t>(bytes.size() - at, 1 + next(8));
      for (std::size_t i = 0; i < n; ++i)
        bytes[at + i] = char(0xff);
    }
    }
  return bytes;
}

template <class F> void fuzz(const std::string &name, const std::string &good, F read) {
  const Scratch folder;
  const auto path = folder.path() / name;
  int refused = 0;
  for (int i = 0; i < mutations(); ++i) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << mutated(good, std::uint32_t(i));
    try {
      read(path);
    } catch (const InputError &) {
      ++refused;
    }
  }
  CAPTURE(name);
  CHECK(refused > 0); // the mutations do damage
}

} // namespace

TEST_CASE("fuzz: PyTorch's files and their pickles") {
  for (const char *file : {"nested", "list", "half_bn"}) {
    const std::string good = contents(std::string("tests/golden/torch_") + file + ".pt");
    fuzz("x.pt", good, [](const auto &path) { read_pytorch(path); });
  }
  // The pickle alone, whose checksum would refuse most damage before it is read.
  const std::string archive = contents("tests/golden/torch_nested.pt");
  const auto begin = archive.find("\x80\x02"), end = archive.find("u.", begin) + 2;
  REQUIRE(end > begin);
  const std::string pickle = archive.substr(begin, end - begin);
  fuzz("x.pkl", pickle, [](const auto &path) {
    const std::string bytes = contents(path);
    unpickled(std::as_bytes(std::span(bytes)), "x");
  });
}

TEST_CASE("fuzz: pictures") {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 12 * 9 * 3; ++i)
    pixels.push_back(std::uint8_t(philox(3, Purpose::test, 1, std::uint64_t(i)).word[0]));
  for (const auto kind : {PictureKind::png, PictureKind::jpeg, PictureKind::bmp})
    fuzz("x.png", picture_bytes(kind, 12, 9, 3, pixels), [](const auto &path) { read_image(path, 5, 3); });
}

TEST_CASE("fuzz: meshes") {
  for (const auto &[name, content] : cube_files())
    fuzz(name, content, [](const auto &path) {
      const Mesh mesh = read_mesh(path);
      CHECK(std::abs(euler_characteristic(mesh)) < 100);
      is_watertight(mesh);
    });
}

TEST_CASE("fuzz: numpy's arrays, tables, images of MNIST's kind") {
  fuzz("x.npy", npy_bytes("<f4", true, "(2, 3)", std::vector<float>{1, 2, 3, 4, 5, 6}),
       [](const auto &path) { read_npy(path); });
  fuzz("x.csv", "file,loss,note\na.pt,0.5,\"x, y\"\nb.pt,0.25,\"z\"\n", [](const auto &path) { read_csv(path); });
  const Scratch folder;
  put_gzip(folder.path() / "x.gz", idx_header({2, 3, 4}) + std::string(24, 'a'));
  fuzz("x.gz", contents(folder.path() / "x.gz"), [](const auto &path) { read_idx(path); });
}

TEST_CASE("fuzz: safetensors, and the index of networks in parts") {
  const std::vector<float> values{1, 2, 3};
  const auto put = [&](const std::filesystem::path &path) {
    write_safetensors(path, {{"a", Dtype::f32, {3}, values.data()}}, {});
  };
  const auto read = [](const std::filesystem::path &path) {
    for (const NetworksFile &file : networks_files(path.parent_path(), ""))
      read_networks(file);
  };
  const Scratch folder;
  put(folder.path() / "x.safetensors");
  fuzz("x.safetensors", contents(folder.path() / "x.safetensors"), read);
  fuzz("x.safetensors.index.json", R"({"metadata": {"total_size": 12}, "weight_map": {"a": "x.safetensors"}})",
       [&](const std::filesystem::path &path) {
         if (const auto part = path.parent_path() / "x.safetensors"; !std::filesystem::exists(part))
           put(part);
         read(path);
       });
}
