#include "data/zoo_reader.h"
#include "engine/generators/flow/token_coder.h"
#include "engine/networks/cnn.h"
#include "engine/networks/coded.h"
#include "engine/networks/perceptron.h"
#include "engine/weights/symmetry.h"
#include "small_data.h"
#include "tests/kernels/runs.h"
#include <set>

using namespace theta;
using namespace theta::test;

namespace {

NetworkShape with(NetworkShape shape, FormKind kind, FormScale scale = FormScale::unit, double zeros = 0.7) {
  shape.form = {kind, scale, zeros};
  return shape;
}

NetworkShape small_cnn() {
  NetworkShape cnn{{7, 3}, Activation::relu, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{6, 1, {{4, 3, 2}, {5, 2, 1}}};
  return cnn;
}

std::vector<float> trained(Device device, const ZooTask &task, TrainerKind trainer, const Dataset &data) {
  const DatasetSizes sizes = sizes_of(data);
  const auto part = learning_of(task.network).part(task.network, sizes);
  Wave wave(task.recipe, task.network, task.recipe.networks, task.seed, false, device.backend, trainer);
  MemoryPlan plan("test");
  part->plan(plan);
  wave.plan(plan);
  plan.place();
  const Arena arena(device, plan);
  Stream s(device);
  const Examples examples = part->upload(s, data);
  wave.start(s, 0, task.recipe.networks);
  for (long step = 0; step < task.recipe.steps; step += 1)
    wave.train(s, examples, step, step + 1);
  wave.put_in_form(s);
  std::vector<float> rows(wave.due().size() * wave.parameters());
  for (std::size_t row = 0; row < wave.due().size(); ++row)
    wave.row_to(s, row, rows.data() + row * wave.parameters());
  s.synchronize();
  return rows;
}

} // namespace

TEST_CASE("form: what is in it stays, whatever its units are scaled by; bytes are what was promised") {
  const NetworkShape mlp{{49, 8, 10}, Activation::relu}, deep{{9, 7, 6, 4}, Activation::leaky_relu},
      tanh{{9, 7, 4}, Activation::tanh};
  CHECK(IntoForm(with(mlp, FormKind::ternary)).bytes() == 199);
  CHECK(IntoForm(with(mlp, FormKind::int4)).bytes() == 340);
  CHECK(IntoForm(with(mlp, FormKind::int8)).bytes() == 472 + 4 * (8 + 8 + 10));
  CHECK(IntoForm(with(mlp, FormKind::sparse, FormScale::unit, 0.8)).bytes() == 507);
  CHECK(IntoForm(with(tanh, FormKind::int8)).bytes() == 9 * 7 + 7 * 4 + 4 * (7 + 7 + 4 + 4)); // a scale an output
  CHECK(IntoForm(mlp).bytes() == 0);
  for (const NetworkShape &plain : {mlp, deep, tanh, small_cnn()})
    for (const FormKind kind :
         {FormKind::int8, FormKind::int4, FormKind::ternary, FormKind::sparse, FormKind::two_of_four})
      for (const FormScale scale : {FormScale::unit, FormScale::block, FormScale::tensor}) {
        const NetworkShape shape = with(plain, kind, scale);
        CAPTURE(architecture_of(shape));
        CHECK(network_from(architecture_of(shape), "test")->form.kind == kind);
        const IntoForm into_form(shape);
        const std::size_t v = layout_of(shape).size();
        auto theta = random_values<float>(v, 8, 0.5);
        const auto before = theta;
        into_form(theta.data());
        CHECK(theta != before);
        auto again = theta;
        into_form(again.data());
        CHECK(again == theta);
        if (plain.act == Activation::relu && scale == FormScale::unit && plain.kind == mlp_kind()) {
          shuffle_units(again.data(), shape, {.signs = false, .spread = 0.7}, 3, 1); // and their places change
          auto ordered = again;
          into_form(again.data());
          into_form(ordered.data());
          CHECK(again == ordered);
          double first = 0, second = 0; // norms of all outputs' biases and of codes do not move
          for (std::size_t i = 0; i < v; ++i)
            first += theta[i] != 0, second += again[i] != 0;
          CHECK((most_code(shape.form) == 0 || first == second));
        }
        ZooFormat format{layout_of(shape).places(), v, Dtype::f32, {}};
        store_in_form(format, shape);
        CHECK(row_bytes(format) == into_form.bytes());
        std::size_t zeros = 0, coded = 0;
        for (const CodedTensor &t : coded_tensors(shape))
          for (std::size_t i = t.offset; i < t.offset + t.elements(); ++i)
            zeros += theta[i] == 0, ++coded;
        if (kept_weights(shape) > 0)
          CHECK(coded - zeros == kept_weights(shape));
      }
}

TEST_CASE("form: units of ReLU that are scaled are the same network in it") {
  const NetworkShape shape = with({{12, 6, 5}, Activation::relu}, FormKind::ternary);
  const IntoForm into_form(shape);
  auto theta = random_values<float>(layout_of(shape).size(), 4, 0.5);
  into_form(theta.data());
  auto scaled = theta;
  for (int unit = 0; unit < 6; ++unit) {
    const float factor = 0.3f + 0.4f * float(unit);
    for (int i = 0; i < 12; ++i)
      scaled[std::size_t(unit * 12 + i)] *= factor;
    scaled[std::size_t(72 + unit)] *= factor;
    for (int o = 0; o < 5; ++o)
      scaled[std::size_t(78 + o * 6 + unit)] /= factor;
  }
  into_form(scaled.data());
  CHECK(relative_error(scaled, theta) <= std::ldexp(1.0, -15));
}

TEST_CASE("form: a step moves weights by the gradient at what they are rounded to, in either way of training") {
  // w' − w = q' − q, where q' is a step of plain weights that begin as the rounded ones: of SGD, of two batch sizes.
  const int n = 3, inputs = 33, images = 40;
  const auto pixels = random_bytes(std::size_t(images * inputs), 1, 256), labels = random_bytes(images, 2, 5);
  for (const FormKind kind : {FormKind::ternary, FormKind::int4, FormKind::int8})
    for (const FormScale scale : {FormScale::unit, FormScale::block, FormScale::tensor})
      for (const int batch : {16, 270}) {
        CAPTURE(batch);
        const NetworkShape shape = with({{inputs, 18, 7, 5}, Activation::relu}, kind, scale);
        MlpTraining formed = mlp_training_of(shape, batch), plain = formed;
        plain.form = {};
        const auto step = [&]<class T>(const MlpTraining &p, const std::vector<T> &theta) {
          Runs<T> runs;
          RunRecipe recipe;
          recipe.optimizer = OptimizerKind::sgd, recipe.lr = 0.5f, recipe.momentum = 0;
          runs.make(parameters_of(p), n, {}, recipe);
          runs.theta = theta;
          runs.train(0, 1, 1e9, Device{}, [&](Stream &s, const TrainingRuns<T> &r) {
            std::vector<std::byte> workspace(mlp_training_workspace(Backend::cpu, p, n));
            const ImageSet set{pixels.data(), labels.data(), images, inputs, 5, 1.0 / 128, -1};
            train_mlps<T>(s, r, set, p, 0, 1, workspace.data());
          });
          return runs.theta;
        };
        const auto check = [&]<class T>(T) {
          const auto w = random_values<T>(std::size_t(n) * parameters_of(plain), 3, 0.3);
          std::vector<T> q(w.size());
          Stream s{Device{}};
          round_to_codes<T>(s, q.data(), w.data(), n, parameters_of(plain), coded_tensors(shape),
                            most_code(shape.form));
          const auto moved = [&](const MlpTraining &p, const std::vector<T> &from) {
            auto by = step(p, from);
            for (std::size_t i = 0; i < by.size(); ++i)
              by[i] -= from[i];
            return by;
          };
          const auto wanted = moved(plain, q);
          CHECK(relative_error(moved(formed, w), wanted) <= (sizeof(T) == 8 ? 1e-12 : 1e-4));
          CHECK(relative_error(moved(plain, w), wanted) > 1e-3); // of the weights themselves it is another one
        };
        check(double());
        check(float());
      }
}

TEST_CASE("form: whole runs and runs layer by layer train the same networks, on every device") {
  const Dataset data = small_data();
  const Scratch folder;
  for (const FormKind kind : {FormKind::ternary, FormKind::int4, FormKind::sparse, FormKind::two_of_four}) {
    ZooTask task = small_task(folder.path() / "zoo");
    task.network = with(task.network, kind);
    task.recipe.steps = 6, task.recipe.count = 3;
    task.recipe.prune = {PruneKind::gradual, 0.2, 0.5, 1};
    CAPTURE(name_of(kind));
    CHECK(trainer_for(Backend::cpu, task.network, task.recipe) == TrainerKind::whole_runs);
    const auto whole = trained(Device{}, task, TrainerKind::whole_runs, data);
    for (const auto device : all_devices()) {
      if (device.backend == Backend::cuda)
        CHECK(trainer_for(device.backend, task.network, task.recipe) == TrainerKind::layer_by_layer);
      const auto layers = trained(device, task, TrainerKind::layer_by_layer, data);
      // A weight between two codes may go to either: few do.
      std::size_t apart = 0;
      for (std::size_t i = 0; i < whole.size(); ++i)
        apart += std::abs(whole[i] - layers[i]) > 0.02f;
      CHECK(apart <= whole.size() / 50);
    }
  }
}

TEST_CASE("form: zeros come when the recipe says, are as many as it says, and stay") {
  ZooRecipe r;
  r.steps = 100;
  r.prune = {PruneKind::once, 0.5, 0.8, 10};
  CHECK(pruning_at(r, 49, 1000, 200, false).keep == -1);
  CHECK(!pruning_at(r, 49, 1000, 200, false).holds);
  CHECK(pruning_at(r, 50, 1000, 200, false).keep == 200);
  CHECK(pruning_at(r, 51, 1000, 200, false).keep == -1);
  CHECK(pruning_at(r, 51, 1000, 200, false).holds);
  r.prune.kind = PruneKind::gradual;
  CHECK(pruning_at(r, 50, 1000, 200, false).keep == 1000);
  CHECK(pruning_at(r, 55, 1000, 200, false).keep == -1);
  CHECK(pruning_at(r, 60, 1000, 200, false).keep == 200 + std::lround(800 * 8 / 27.0)); // (2/3)³ are left
  CHECK(pruning_at(r, 80, 1000, 200, false).keep == 200);
  CHECK(pruning_at(r, 90, 1000, 200, false).keep == -1);
  CHECK(pruning_at(r, 60, 1000, 200, true).keep == -1); // 2:4 comes at once

  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "zoo");
  task.network = with(task.network, FormKind::sparse);
  task.recipe.prune = {PruneKind::once, 0.3, 0.3, 1};
  Journal journal;
  ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
  const ZooReader zoo(task.directory);
  CHECK(zoo.format().kept == kept_weights(task.network));
  CHECK(zoo.rows() == 10); // two of each run, after 10 and 20 steps
  std::vector<float> early(zoo.parameters()), late(zoo.parameters());
  for (std::size_t run = 0; run < 5; ++run) {
    zoo.theta(2 * run, early.data()), zoo.theta(2 * run + 1, late.data());
    CHECK(early != late);
    std::size_t zeros = 0;
    for (const CodedTensor &t : coded_tensors(task.network))
      for (std::size_t i = t.offset; i < t.offset + t.elements(); ++i) {
        CHECK((early[i] == 0) == (late[i] == 0));
        zeros += late[i] == 0;
      }
    CHECK(zeros == 16 * 5 + 5 * 3 - kept_weights(task.network));
  }
}

TEST_CASE("form: a zoo's networks are scored as they are stored, and do not depend on those beside them") {
  const Dataset data = small_data();
  std::vector<std::vector<float>> all;
  for (const int wave : {1, 3, 5}) {
    const Scratch folder;
    ZooTask task = small_task(folder.path() / "zoo");
    task.network = with(task.network, FormKind::ternary);
    task.recipe.wave = wave;
    Journal journal;
    ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
    const ZooReader zoo(task.directory);
    std::vector<float> theta(zoo.rows() * zoo.parameters());
    for (std::size_t row = 0; row < zoo.rows(); ++row)
      zoo.theta(row, theta.data() + row * zoo.parameters());
    all.push_back(theta);
    CHECK(all.back() == all.front());
    Evaluator evaluator(task.network, data.test.size(), 2, Backend::cpu, TrainerKind::whole_runs);
    MemoryPlan plan("test");
    evaluator.plan(plan);
    plan.place();
    Stream s{Device{}};
    const Arena arena(Device{}, plan);
    evaluator.upload(s, data, data.test);
    const Scores scores = evaluator.score_all(s, theta.data(), zoo.rows());
    CHECK(scores.accuracy == zoo.floats("test_accuracy"));
    CHECK(relative_error(scores.loss, zoo.floats("test_loss")) <= 1e-6);
  }
}

TEST_CASE(
    "form: codes and scales say all of a network; tokens have each of them once, and categories room for a second") {
  for (const NetworkShape &plain :
       {NetworkShape{{12, 6, 5}, Activation::relu}, NetworkShape{{12, 6, 5}, Activation::tanh},
        NetworkShape{{9, 7, 6, 4}, Activation::relu}})
    for (const FormKind kind : {FormKind::ternary, FormKind::int4}) {
      const NetworkShape shape = with(plain, kind), coded = coded_of(shape, CodesAs::categorical);
      CAPTURE(architecture_of(coded));
      const auto again = network_from(architecture_of(coded), "test");
      REQUIRE(again.has_value());
      CHECK(codes_of(*again) == CodesAs::categorical);
      CHECK(codes_of(shape) == CodesAs::weights);
      const CodedRows rows(coded);
      const IntoForm into_form(shape);
      CHECK(rows.weights() == layout_of(shape).size());
      CHECK(rows.parameters() == layout_of(coded).size());
      auto theta = random_values<float>(rows.weights(), 6, 0.5), back = theta;
      into_form(theta.data());
      std::vector<float> row(rows.parameters());
      rows.row_of(theta.data(), row.data());
      const auto is_code = code_places(coded);
      for (std::size_t i = 0; i < row.size(); ++i)
        if (is_code[i])
          CHECK(row[i] == std::round(row[i]));
      rows.theta_of(row.data(), back.data());
      into_form(back.data()); // scales have 16 bits
      CHECK(back == theta);

      const Tokens tokens = tokens_by("neuron", {layout_of(coded).places(), coded, 1});
      std::vector<std::int32_t> places = tokens.place;
      std::sort(places.begin(), places.end());
      REQUIRE(places.size() == rows.parameters());
      for (std::size_t i = 0; i < places.size(); ++i)
        CHECK(places[i] == std::int32_t(i));

      const TokenCoder coder({}, {layout_of(coded).places(), coded});
      CHECK(coder.most_code() == most_code(shape.form));
      REQUIRE(coder.seconds().size() == coder.tokens().size());
      std::set<std::int32_t> seconds;
      for (std::size_t e = 0; e < coder.tokens().size(); ++e) {
        const std::int32_t place = coder.tokens().place[e], second = coder.seconds()[e];
        CHECK((second >= 0) == (place >= 0 && is_code[std::size_t(place)] == 1));
        if (second >= 0) {
          CHECK(coder.tokens().place[std::size_t(second)] == -1);
          CHECK(seconds.insert(second).second);
        }
      }
      CHECK(TokenCoder({}, {layout_of(coded).places(), coded_of(shape, CodesAs::ordinal)}).seconds().empty());
    }
}

TEST_CASE("form: settings that do not go together are refused by name") {
  const auto refused = [](NetworkShape shape, const ZooRecipe &r) {
    try {
      check_recipe(r, shape);
    } catch (const InputError &e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const NetworkShape shape = with({{16, 5, 3}, Activation::relu}, FormKind::sparse);
  CHECK(refused(shape, {}) == "");
  ZooRecipe r;
  r.average = 0.9;
  CHECK(refused(shape, r).find("network.form: found sparse") == 0);
  r = {}, r.activation = {Activation::relu, Activation::tanh};
  CHECK(refused(shape, r).find("several activations") != std::string::npos);
  r = {}, r.prune.from = 1;
  CHECK(refused(shape, r).find("zoo.prune_from: found 1") == 0);
  r = {}, r.prune = {PruneKind::gradual, 0.5, 0.4, 10};
  CHECK(refused(shape, r).find("until 0.4") != std::string::npos);
}
