// Networks of other programs: whatever their tensors are called and however they are stored, the same networks.
#include "data/json.h"
#include "data/zoo_reader.h"
#include "engine/generators/network_facts.h"
#include "engine/networks/cnn.h"
#include "engine/networks/kind.h"
#include "engine/networks/resnet.h"
#include "engine/zoo/export.h"
#include "engine/zoo/import.h"
#include "small_data.h"
#include "tests/npy_files.h"
#include <limits>

using namespace theta;
using namespace theta::test;

namespace fs = std::filesystem;

namespace {

const NetworkShape perceptron{{16, 5, 3}, Activation::relu};

struct Tensor4 {
  std::string name;
  Shape shape;
  std::vector<float> values;
};

// The tensors of a perceptron 16-5-3.
std::vector<Tensor4> network(int seed) {
  const auto theta = random_values<float>(layout_of(perceptron).size(), seed, 0.3);
  std::vector<Tensor4> all;
  const Layout layout = layout_of(perceptron);
  for (const auto &place : layout.places()) {
    const auto from = theta.begin() + std::ptrdiff_t(place.offset);
    all.push_back({place.name, place.shape, {from, from + std::ptrdiff_t(elements_of(place))}});
  }
  return all;
}

void write(const fs::path &path, const std::vector<Tensor4> &tensors) {
  fs::create_directories(path.parent_path());
  std::vector<TensorSource> sources;
  for (const Tensor4 &t : tensors)
    sources.push_back({t.name, Dtype::f32, t.shape, t.values.data()});
  write_safetensors(path, sources, {});
}

std::vector<float> flat(const std::vector<Tensor4> &tensors) {
  std::vector<float> all;
  for (const Tensor4 &t : tensors)
    all.insert(all.end(), t.values.begin(), t.values.end());
  return all;
}

ZooReader imported(const fs::path &from, const fs::path &to, ImportTask task = {.activation = "relu"}) {
  Journal journal;
  task.directory = from, task.zoo = to;
  import_zoo(task, journal);
  return ZooReader(to);
}

std::string refusal(const fs::path &from, const fs::path &to, const ImportTask &task = {.activation = "relu"}) {
  try {
    imported(from, to, task);
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

std::vector<float> row(const ZooReader &zoo, std::size_t i = 0) {
  std::vector<float> theta(zoo.parameters());
  zoo.theta(i, theta.data());
  return theta;
}

} // namespace

TEST_CASE("import: one network under many habits of naming is one perceptron, and keeps its names") {
  const Scratch folder;
  const auto net = network(1);
  const std::vector<std::vector<std::string>> habits{
      {"0.weight", "0.bias", "2.weight", "2.bias"},
      {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"},
      {"module.0.weight", "module.0.bias", "module.2.weight", "module.2.bias"},
      {"model.layers.0.weight", "model.layers.0.bias", "model.layers.10.weight", "model.layers.10.bias"},
      {"层.0.weight", "层.0.bias", "层.2.weight", "层.2.bias"},
      {"input.weight", "input.bias", "hidden.weight", "hidden.bias"}, // against the alphabet: sizes tell
      {"w0", "b0", "w1", "b1"},
      {"layer9.w", "layer9.b", "layer10.w", "layer10.b"}};
  for (std::size_t h = 0; h < habits.size(); ++h) {
    CAPTURE(habits[h][0]);
    auto named = net;
    for (std::size_t t = 0; t < 4; ++t)
      named[t].name = habits[h][t];
    const auto in = folder.path() / std::to_string(h), out = folder.path() / ("zoo" + std::to_string(h));
    write(in / "a.safetensors", named);
    const ZooReader zoo = imported(in, out);
    CHECK(row(zoo) == flat(net));
    CHECK(zoo.format().layout[0].name == habits[h][0]);
    const auto facts = network_facts(zoo.format(), "zoo");
    REQUIRE(facts.shape);
    CHECK(facts.shape->widths == perceptron.widths);
    Journal journal;
    export_zoo(zoo, folder.path() / ("again" + std::to_string(h)), journal);
    CHECK(row(imported(folder.path() / ("again" + std::to_string(h)), out.string() + "x",
                       {.pattern = "*.safetensors", .activation = "relu"})) == flat(net));
  }
}

TEST_CASE("import: an architecture that is not known is laid out by name, and why is said; a configuration tells") {
  const Scratch folder;
  auto broken = network(1);
  broken[2].shape = {5, 3}, broken[2].name = "out.weight", broken[3].name = "out.bias";
  write(folder.path() / "broken" / "a.safetensors", broken);
  CHECK(!network_facts(imported(folder.path() / "broken", folder.path() / "z1").format(), "zoo").shape);
  NetworkShape cnn{{3}, Activation::relu};
  cnn.kind = network_kind_named("cnn"), cnn.own = CnnSettings{4, 1, {{2, 3, 1}}};
  const std::vector<Tensor4> convolutional{{"stem.weight", {2, 1, 3, 3}, random_values<float>(18, 1)},
                                           {"stem.bias", {2}, random_values<float>(2, 2)},
                                           {"top.weight", {3, 8}, random_values<float>(24, 3)},
                                           {"top.bias", {3}, random_values<float>(3, 4)}};
  write(folder.path() / "cnn" / "a.safetensors", convolutional);
  CHECK(!network_facts(imported(folder.path() / "cnn", folder.path() / "z2").format(), "zoo").shape);
  const ZooReader told = imported(folder.path() / "cnn", folder.path() / "z3", {.network = cnn});
  CHECK(row(told) == flat(convolutional));
  CHECK(network_facts(told.format(), "zoo").shape->kind == cnn.kind);
  CHECK(refusal(folder.path() / "broken", folder.path() / "z4", {.network = cnn}).find("expected 'conv1.weight'") !=
        std::string::npos);
}

TEST_CASE("import: a folder may be called anything, and must be there") {
  const Scratch folder;
  const auto odd = folder.path() / "runs [1] *";
  write(odd / "a.safetensors", network(1));
  CHECK(row(imported(odd, folder.path() / "zoo")) == flat(network(1)));
  CHECK(refusal(folder.path() / "nowhere", folder.path() / "zx").find("no such file or folder") != std::string::npos);
}

TEST_CASE("import: parts with an index, stacks, numpy's arrays and PyTorch's lists") {
  const Scratch folder;
  const auto net = network(1);
  const auto parts = folder.path() / "parts";
  write(parts / "model-00001-of-00002.safetensors", {net[2], net[3]});
  write(parts / "model-00002-of-00002.safetensors", {net[0], net[1]});
  std::ofstream(parts / "model.safetensors.index.json")
      << R"({"weight_map": {"0.weight": "model-00002-of-00002.safetensors", "0.bias": "model-00002-of-00002.safetensors",
             "2.weight": "model-00001-of-00002.safetensors", "2.bias": "model-00001-of-00002.safetensors"}})";
  const ZooReader whole = imported(parts, folder.path() / "z1");
  CHECK(whole.rows() == 1);
  CHECK(row(whole) == flat(net));
  std::ofstream(parts / "model.safetensors.index.json") << R"({"weight_map": {"0.weight": "../a.safetensors"}})";
  CHECK(refusal(parts, folder.path() / "zx").find("beside the index") != std::string::npos);

  auto stack = net;
  for (auto &t : stack)
    t.shape.insert(t.shape.begin(), 3), t.values.clear();
  for (int k = 0; k < 3; ++k) {
    const auto one = network(k);
    for (std::size_t t = 0; t < 4; ++t)
      stack[t].values.insert(stack[t].values.end(), one[t].values.begin(), one[t].values.end());
  }
  write(folder.path() / "stack" / "a.safetensors", stack);
  const ZooReader apart = imported(folder.path() / "stack", folder.path() / "z2");
  CHECK(apart.rows() == 3);
  CHECK(row(apart, 2) == flat(network(2)));

  std::vector<float> rows;
  for (int k = 0; k < 4; ++k) {
    const auto theta = flat(network(k));
    rows.insert(rows.end(), theta.begin(), theta.end());
  }
  const auto v = flat(net).size();
  fs::create_directories(folder.path() / "npy");
  std::ofstream(folder.path() / "npy" / "w.npy", std::ios::binary)
      << npy_bytes("<f4", false, "(4, " + std::to_string(v) + ")", rows);
  CHECK(!network_facts(imported(folder.path() / "npy", folder.path() / "z3").format(), "zoo").shape);
  const ZooReader array = imported(folder.path() / "npy" / "w.npy", folder.path() / "z4", {.network = perceptron});
  CHECK(array.rows() == 4);
  CHECK(row(array, 3) == flat(network(3)));
  CHECK(network_facts(array.format(), "zoo").shape);

  const ZooReader torch = imported("tests/golden/torch_list.pt", folder.path() / "z5");
  CHECK(torch.rows() == 3);
  CHECK(network_facts(torch.format(), "zoo").shape->widths == std::vector<int>{6, 4, 3});
}

TEST_CASE("import: networks that are not finite are dropped, named and counted; so are those beyond the storage") {
  const Scratch folder;
  const auto in = folder.path() / "in";
  for (int k = 0; k < 5; ++k) {
    auto net = network(k);
    if (k == 2)
      net[2].values[1] = std::numeric_limits<float>::quiet_NaN();
    if (k == 4)
      net[0].values[0] = 3.4e38f; // finite, and infinite in bf16
    write(in / ("n" + std::to_string(k) + ".safetensors"), net);
  }
  std::ofstream(folder.path() / "m.csv") << "file,note,loss\nn0.safetensors,\"a, b\",0.5\nn1.safetensors,x,1\n"
                                            "n3.safetensors,x,3\nn4.safetensors,x,4\n";
  const ZooReader zoo = imported(in, folder.path() / "z1", {.metrics = folder.path() / "m.csv", .activation = "relu"});
  CHECK(zoo.rows() == 4);
  CHECK(row(zoo, 2) == flat(network(3)));
  CHECK(zoo.floats("loss") == std::vector<float>{0.5f, 1, 3, 4});
  CHECK(!zoo.has_column("note"));
  const Json facts = parse_json(zoo.format().facts, "facts");
  CHECK(facts["dropped"]["not_finite"] == 1);
  CHECK(facts["dropped"]["first"] == "n2.safetensors: '2.weight' holds nan");
  CHECK(imported(in, folder.path() / "z2", {.activation = "relu", .storage = Dtype::bf16}).rows() == 3);
  fs::create_directories(folder.path() / "one");
  fs::copy(in / "n2.safetensors", folder.path() / "one");
  CHECK(refusal(folder.path() / "one", folder.path() / "z3").find("none of 1 networks is finite") != std::string::npos);
  CHECK(!fs::exists(folder.path() / "z3"));
}

TEST_CASE("import: what is no parameter is left out; control characters stay in the file") {
  const Scratch folder;
  const auto net = network(1);
  const std::int64_t counter = 5;
  const std::uint8_t mask[4] = {1, 0, 1, 1};
  std::vector<TensorSource> sources{{"steps", Dtype::i64, {}, &counter},
                                    {"mask", Dtype::boolean, {4}, mask},
                                    {"scales", Dtype::f8_e4m3, {4}, mask},
                                    {"nothing", Dtype::f32, {0, 5}, nullptr}};
  for (const Tensor4 &t : net)
    sources.push_back({t.name, Dtype::f32, t.shape, t.values.data()});
  fs::create_directories(folder.path() / "in");
  write_safetensors(folder.path() / "in" / "a.safetensors", sources, {});
  CHECK(row(imported(folder.path() / "in", folder.path() / "z1")) == flat(net));

  auto named = net;
  named[0].name = "\x1b[31mred\x07"
                  "0.weight";
  write(folder.path() / "bad" / "a.safetensors", named);
  write(folder.path() / "bad" / "b.safetensors", net);
  const auto said = refusal(folder.path() / "bad", folder.path() / "z2");
  CHECK(said.find("\\x1b[31mred\\x07") != std::string::npos);
  CHECK(said.find('\x1b') == std::string::npos);
  CHECK(printable("a\nb\x7f\xc2\x85é") == "a\\x0ab\\x7f\\xc2\\x85é");
}

TEST_CASE("import: residual networks are known by torchvision's names, and go out as PyTorch loads them") {
  const Scratch folder;
  NetworkShape shape{{4, 5, 6, 7, 3}, Activation::relu, Initialisation::pytorch, network_kind_named("resnet")};
  shape.own = ResNetSettings{32, 3, 18, "small"};
  const Layout layout = layout_of(shape);
  const auto theta = random_values<float>(layout.size(), 1, 0.3);
  ZooWriter writer(folder.path() / "zoo", {layout.places(), layout.size(), Dtype::f32, {{"step", Dtype::i64}}, "{}"},
                   4);
  writer.append(theta.data(), {std::int64_t(70)});
  writer.finish();
  Journal journal;
  export_zoo(ZooReader(folder.path() / "zoo"), folder.path() / "out", journal);
  const Safetensors file(folder.path() / "out" / "network-000000.safetensors");
  CHECK(file.tensors().size() == layout.places().size() + 20); // one for each of its normalisations
  const auto &counted = file.tensor("layer4.0.downsample.1.num_batches_tracked");
  CHECK((counted.dtype == Dtype::i64 && counted.shape.empty()));
  CHECK(file.read<std::int64_t>(counted.name) == std::vector<std::int64_t>{70});
  fs::remove(folder.path() / "out" / "metrics.csv");
  const ZooReader back = imported(folder.path() / "out", folder.path() / "back", {});
  CHECK(back.format().layout == layout.places());
  CHECK(row(back) == theta);
  const auto facts = network_facts(back.format(), "back");
  REQUIRE(facts.shape);
  CHECK(architecture_of(*facts.shape) == architecture_of(shape));
}
