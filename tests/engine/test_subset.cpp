// Networks that differ in some tensors alone, on one trunk.
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/networks/kind.h"
#include "engine/networks/resnet.h"
#include "engine/networks/subset.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/tasks/eval_file.h"
#include "program_run.h"
#include "tests/idx_files.h"
#include "tests/scratch.h"
#include <fstream>

using namespace theta;
using namespace theta::test;

namespace {

NetworkShape small_whole() {
  NetworkShape shape{{4, 5, 6, 3}, Activation::tanh, Initialisation::pytorch, network_kind_named("resnet")};
  shape.own = ResNetSettings{8, 2, 8, "small"}; // three stages of one block
  return shape;
}

// A zoo of one network with these weights.
void write_trunk(const std::filesystem::path &zoo, const NetworkShape &whole, const std::vector<float> &theta) {
  ZooWriter writer(zoo / trunk_folder,
                   {layout_of(whole).places(), theta.size(), Dtype::f32, {{"run", Dtype::i64}}, "{}"}, 8);
  writer.append(theta.data(), {std::int64_t(0)});
  writer.finish();
}

// The whole network with the tensors of a row in their places.
std::vector<float> whole_with(const NetworkShape &subset, std::vector<float> trunk, const float *row) {
  for (const SubsetRange &range : ranges_of(subset))
    std::copy_n(row + range.subset, range.count, trunk.begin() + std::ptrdiff_t(range.whole));
  const auto fixed = fixed_factors(subset);
  for (const SubsetChange &c : changes_of(subset))
    for (std::size_t o = 0; o < std::size_t(c.out); ++o)
      for (std::size_t i = 0; i < std::size_t(c.in); ++i)
        for (std::size_t r = 0; r < std::size_t(c.rank); ++r)
          trunk[c.whole + o * std::size_t(c.in) + i] +=
              row[c.b + o * std::size_t(c.rank) + r] *
              (fixed.empty() ? row : fixed.data())[c.a + r * std::size_t(c.in) + i];
  return trunk;
}

} // namespace

TEST_CASE("subset: its tensors are those that a pattern fits, state with the weights of its operation") {
  const NetworkShape whole = small_whole();
  const NetworkShape norms = subset_of(whole, {"layer3.0.bn2.*", "fc.bias"});
  const Layout layout = layout_of(norms);
  std::vector<std::string> names;
  for (const TensorPlace &place : layout.places())
    names.push_back(place.name);
  CHECK(names == std::vector<std::string>{"layer3.0.bn2.weight", "layer3.0.bn2.bias", "fc.bias",
                                          "layer3.0.bn2.running_mean", "layer3.0.bn2.running_var"});
  CHECK((layout.trained() == 6 + 6 + 3 && layout.size() == 15 + 12));
  CHECK((inputs_of(norms) == 128 && outputs_of(norms) == 3));
  CHECK(architecture_of(*network_from(architecture_of(norms), "here")) == architecture_of(norms));
  CHECK(norms.kind->symmetries(norms).empty());
  // A block's own channels are free where everything that they touch is there.
  const NetworkShape block = subset_of(whole, {"layer2.0.*"});
  const Symmetries groups = block.kind->symmetries(block);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].units == 5);
  for (const UnitAxis &axis : groups[0].axes)
    CHECK(layout_of(block).places()[axis.tensor].name.starts_with("layer2.0."));
  CHECK_THROWS_WITH_AS(subset_of(whole, {"layer9.*"}),
                       "network.subset: found 'layer9.*', which no tensor of weights fits, expected one as "
                       "'conv1.weight'",
                       InputError);
  CHECK_THROWS_AS(
      subset_of(NetworkShape{{2, 4, 1}, Activation::sine, Initialisation::siren, network_kind_named("field")}, {"*"}),
      InputError);
}

TEST_CASE("subset: changes of low rank stand in place of matrices, and begin as none") {
  const NetworkShape whole = small_whole();
  const NetworkShape shape = subset_of(whole, {"fc.*", "conv1.weight"}, 2);
  const Layout layout = layout_of(shape);
  std::vector<std::string> names;
  for (const TensorPlace &place : layout.places())
    names.push_back(place.name + " " + theta::text_of(place.shape));
  CHECK(names == std::vector<std::string>{"conv1.weight [4, 2, 3, 3]", "fc.lora_A.weight [2, 6]",
                                          "fc.lora_B.weight [3, 2]", "fc.bias [3]"}); // no matrix, and none
  const auto begun = layout.initial_values(1, 0);
  const TensorPlace &a = layout["fc.lora_A.weight"], &b = layout["fc.lora_B.weight"];
  for (std::size_t i = 0; i < elements_of(b); ++i)
    CHECK(begun[b.offset + i] == 0);
  for (std::size_t i = 0; i < elements_of(a); ++i)
    CHECK((begun[a.offset + i] != 0 && std::abs(begun[a.offset + i]) <= float(std::sqrt(3.0 / 6))));
  CHECK((is_low_rank(shape) && !is_low_rank(subset_of(whole, {"fc.*"}))));
  CHECK(shape.kind->symmetries(shape).empty());
  const std::string written = architecture_of(shape);
  CHECK(architecture_of(*network_from(written, "here")) == written);
  CHECK(written != architecture_of(subset_of(whole, {"fc.*", "conv1.weight"}, 1)));
  CHECK_THROWS_WITH_AS(subset_of(whole, {"fc.*"}, 3),
                       "network.low_rank: found 3, which has more numbers than fc.weight [3, 6], expected a lower one",
                       InputError);
  CHECK_THROWS_AS(subset_of(whole, {"fc.bias"}, 1), InputError); // nothing to change
  const NetworkShape fixed = subset_of(whole, {"fc.weight"}, 2, true);
  CHECK(layout_of(fixed).size() == 3 * 2);
  CHECK(fixed_factors(fixed).size() == 2 * 6);
  CHECK(fixed_factors(fixed) == fixed_factors(*network_from(architecture_of(fixed), "here")));
  std::vector<float> row{1, 0, 0, 0, 0, 2}, changed(layout_of(whole).size());
  add_changes(fixed, row.data(), changed.data());
  const std::size_t fc = layout_of(whole)["fc.weight"].offset;
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(changed[fc + i] == fixed_factors(fixed)[i]);
    CHECK((changed[fc + 6 + i] == 0 && changed[fc + 12 + i] == 2 * fixed_factors(fixed)[6 + i]));
  }
}

TEST_CASE("subset: inference and training are those of whole networks whose other tensors stay, on every device") {
  const NetworkShape whole = small_whole();
  const Layout of_whole = layout_of(whole);
  const auto trunk = as_state(some_weights(of_whole, 1), of_whole);
  // The second has normalisations behind it that are frozen: layer3.0's, by their running statistics.
  // The third and the fourth have a change of a matrix, and normalisations as they are.
  using Names = std::vector<std::string>;
  for (const auto &[tensors, low_rank, fixed_a] : {std::tuple{Names{"layer3.0.bn*", "fc.weight"}, 0, false},
                                                   {Names{"layer2.0.conv2.weight"}, 0, false},
                                                   {Names{"layer3.0.bn*", "fc.weight"}, 1, false},
                                                   {Names{"layer3.0.bn*", "fc.weight"}, 2, true}}) {
    CAPTURE(tensors[0]);
    CAPTURE(low_rank);
    const Scratch folder;
    const NetworkShape shape = on_trunk_of(subset_of(whole, tensors, low_rank, fixed_a), folder.path());
    write_trunk(folder.path(), whole, trunk);
    const Layout layout = layout_of(shape);
    const std::size_t v = layout.size();
    const int networks = 3, rows = 5;
    const auto weights = as_state(random_values<float>(v * std::size_t(networks), 17, 0.4), layout);
    const auto x = random_values<float>(std::size_t(networks * rows) * 128, 1);
    const auto d_out = random_values<float>(std::size_t(networks * rows) * 3, 2);
    same_on_every_device(1e-4, [&](Stream &s) {
      MemoryPlan plan("test");
      const auto training = shape.kind->layered(shape), inference = shape.kind->layered(shape);
      training->plan(plan, true, networks, rows), inference->plan(plan, false, networks, rows);
      plan.place();
      Arena arena(s.device(), plan);
      const Buffer<float> theta(s, weights), in(s, x), gradient(s, std::vector<float>(weights.size())), d(s, d_out);
      const auto seen = to_host(s, inference->infer(s, theta, in, networks, rows), d_out.size());
      for (std::size_t i = 0; i < std::size_t(networks); ++i) { // each as a whole network of its own
        ProgramRun<float> one(s, whole.kind->program(whole), false, 1, rows);
        const Buffer<float> all(s, whole_with(shape, trunk, &weights[i * v]));
        const auto alone = to_host(s, one.program.infer(s, all, in, 1, rows), std::size_t(rows) * 3);
        CHECK(relative_error(std::vector<float>(seen.begin() + std::ptrdiff_t(i * alone.size()),
                                                seen.begin() + std::ptrdiff_t((i + 1) * alone.size())),
                             alone) <= 1e-6);
      }
      training->move_state_of(theta);
      const auto out = to_host(s, training->forward(s, theta, in), d_out.size());
      training->backward(s, theta, gradient, d, in);
      return Results{seen, out, gradient.host(), theta.host()};
    });
    // In double: the gradient is that of what forward computes.
    Stream s{Device{}};
    const auto parts = shape.kind->layered(shape);
    MemoryPlan plan("test");
    parts->plan(plan, true, 1, rows);
    plan.place();
    Arena arena(s.device(), plan);
    const std::vector<float> first(weights.begin(), weights.begin() + std::ptrdiff_t(v));
    const Buffer<float> theta(s, first), in(s, x), gradient(s, std::vector<float>(v)),
        d(s, std::vector<float>(d_out.begin(), d_out.begin() + rows * 3));
    const auto loss = [&](const std::vector<float> &values) {
      const Buffer<float> moved(s, values);
      parts->move_state_of(moved);
      const auto out = to_host(s, parts->forward(s, moved, in), std::size_t(rows) * 3);
      double sum = 0;
      for (std::size_t i = 0; i < out.size(); ++i)
        sum += double(d_out[i]) * double(out[i]);
      return sum;
    };
    loss(first);
    parts->move_state_of(theta);
    parts->forward(s, theta, in);
    parts->backward(s, theta, gradient, d, in);
    const auto found = gradient.host();
    for (std::uint32_t k = 0; k < 3; ++k) { // along random ways: single precision, differences of 1e-2
      auto way = random_values<float>(v, 30 + k);
      std::fill(way.begin() + std::ptrdiff_t(layout.trained()), way.end(), 0.0f);
      auto more = first, less = first;
      double along = 0;
      for (std::size_t i = 0; i < v; ++i)
        more[i] += 5e-3f * way[i], less[i] -= 5e-3f * way[i], along += double(found[i]) * double(way[i]);
      CHECK((loss(more) - loss(less)) / 1e-2 == doctest::Approx(along).epsilon(2e-2));
    }
    for (std::size_t i = layout.trained(); i < v; ++i)
      CHECK(found[i] == 0);
  }
}

TEST_CASE("subset: a run trains its trunk once, its rows on it, and judges what it generates there") {
  const Scratch folder;
  write_idx_data(folder.path() / "data", 120, 40);
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[data]\nfolder = '" << (folder.path() / "data").string() << "'\npool = 4\nvalidation = 10\n"
                      << "[network]\nkind = 'resnet'\nwidths = [4, 4, 4, 10]\nsubset = ['layer3.0.bn2.*', 'fc.*']\n"
                      << "[network.resnet]\ndepth = 8\n"
                      << "[zoo]\nnetworks = 1\nsteps = 8\nbatch = 16\nlr = 1e-2\ncheckpoints = 'last'\ncount = 8\n"
                      << "start = 'trunk'\ntrunk_steps = 20\n"
                      << "[fit]\ngenerator = 'subspace'\n[fit.subspace]\nsteps = 10\nwidth = 8\nlayers = 1\nbatch = 4\n"
                      << "[sample]\ncount = 4\nbatch = 4\nsolver_steps = 2\n"
                      << "[eval]\nnetworks = 4\nreferences = 4\nlines = 0\n[finetune]\nnetworks = 2\nevery = 2\n";
  const Config config = load_config(path);
  CHECK(is_subset(config.network));
  CHECK(to_toml(config).find("kind = \"resnet\"") != std::string::npos);
  const auto plans = plans_of(config, Backend::cpu);
  CHECK((plans[0].name() == "zoo.trunk" && plans[1].name() == "zoo"));
  const auto out = folder.path() / "out";
  const auto run = [&](const Config &c) {
    const Silence silence;
    Pipeline(Run{c, out, Device{}, {}}).all();
  };
  run(config);
  const ZooReader trunk(out / "zoo" / trunk_folder), zoo(out / "zoo");
  CHECK((trunk.rows() == 1 && zoo.rows() == 8));
  CHECK(zoo.parameters() == 8 + 50 + 8);
  const auto groups = read_eval(out / "eval.json");
  CHECK(groups[2].of("accuracy").size() == 4);
  // Its accuracy is that of the whole network with its tensors.
  const NetworkShape shape = on_trunk_of(config.network, out / "zoo");
  std::vector<float> whole(trunk.parameters()), row(zoo.parameters());
  trunk.theta(0, whole.data()), zoo.theta(7, row.data());
  NetworkShape written = config.network;
  const Dataset data = load_dataset(config.data.options());
  Stream s{Device{}};
  MemoryPlan plan("test");
  Evaluator evaluator(whole_of(written), data.test.size(), 1, Backend::cpu, TrainerKind::layer_by_layer);
  evaluator.plan(plan);
  plan.place();
  Arena arena(s.device(), plan);
  evaluator.upload(s, data, data.test);
  const auto all = whole_with(shape, whole, row.data());
  CHECK(evaluator.score_all(s, all.data(), 1).accuracy[0] == doctest::Approx(zoo.floats("test_accuracy")[7]));
  const auto made = std::filesystem::last_write_time(out / "zoo" / trunk_folder / "index.json");
  run(load_config(path, {"zoo.steps=9"}));
  CHECK(std::filesystem::last_write_time(out / "zoo" / trunk_folder / "index.json") == made); // the same trunk
  CHECK(ZooReader(out / "zoo").integers("step")[7] == 9);
  run(load_config(path, {"zoo.trunk_steps=21"}));
  CHECK(std::filesystem::last_write_time(out / "zoo" / trunk_folder / "index.json") != made);
  CHECK_THROWS_AS(load_config(path, {"network.kind=subset"}), InputError);
  CHECK_THROWS_AS(load_config(path, {"network.subset=['nothing']"}), InputError);
}
