#include "data/zoo_reader.h"
#include "engine/memory/arena.h"
#include "engine/networks/cnn.h"
#include "engine/networks/field.h"
#include "engine/zoo/parts.h"
#include "kernels/device/bf16.h"
#include "small_data.h"

using namespace theta;
using namespace theta::test;

namespace {

Scores score(Device device, const ZooTask &task, const Dataset &data, const std::vector<float> &theta,
             std::size_t networks, bool validation = false) {
  // As the trainer scores its rows: on cuda in bf16's precision. Room for more images than it looks at changes nothing.
  Evaluator evaluator(task.network, data.test.size() + 3, 2, device.backend,
                      trainer_for(device.backend, task.network, 1));
  MemoryPlan plan("test");
  evaluator.plan(plan);
  plan.place();
  Stream s(device);
  const Arena arena(device, plan);
  evaluator.upload(s, data, validation ? data.validation : data.test);
  return evaluator.score_all(s, theta.data(), networks);
}

std::vector<float> all_theta(const ZooReader &zoo) {
  std::vector<float> theta(zoo.rows() * zoo.parameters());
  for (std::size_t r = 0; r < zoo.rows(); ++r)
    zoo.theta(r, theta.data() + r * zoo.parameters());
  return theta;
}

std::vector<float> train(Device device, const ZooTask &task, const Dataset &data) {
  Journal journal;
  ZooTrainer(task, sizes_of(data), device.backend).run(device, data, journal);
  return all_theta(ZooReader(task.directory));
}

} // namespace

TEST_CASE("zoo: parts are whole waves, as even as can be, and together all runs once") {
  ZooRecipe r;
  for (const auto &[networks, wave] : {std::pair{22, 4}, {64, 16}, {7, 100}, {1001, 10}}) {
    r.networks = networks, r.wave = wave;
    const int waves = (networks + wave - 1) / wave;
    for (int of = 1; of <= std::min(waves, 9); ++of) {
      int next = 0, most = 0, least = waves;
      for (int number = 1; number <= of; ++number) {
        const ZooPart part{number, of};
        CHECK(part.begin(r) == next);
        CHECK(part.begin(r) % wave == 0);
        next = part.end(r);
        const int has = (next - part.begin(r) + wave - 1) / wave;
        most = std::max(most, has), least = std::min(least, has);
      }
      CHECK(next == networks);
      CHECK(most - least <= 1);
    }
    CHECK_THROWS_AS(check_part({1, waves + 1}, r), InputError);
  }
  CHECK(folder_of(zoo_part_of("3/16")) == "3-of-16");
  for (const char *wrong : {"", "3", "0/2", "3/2", "1/2 ", "a/b", "1/-1"})
    CHECK_THROWS_AS(zoo_part_of(wrong), InputError);
}

TEST_CASE("zoo trainer: rows, columns and held-out runs; the columns are what an evaluator says of the rows") {
  const Dataset data = small_data();
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    ZooTask task = small_task(folder.path() / "zoo");
    task.storage = device.backend == Backend::cpu ? Dtype::bf16 : Dtype::f32;
    const auto theta = train(device, task, data);
    const ZooReader zoo(task.directory);
    CHECK(zoo.rows() == 10);
    CHECK(zoo.integers("run") == std::vector<std::int64_t>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4});
    CHECK(zoo.integers("step") == std::vector<std::int64_t>{10, 20, 10, 20, 10, 20, 10, 20, 10, 20});
    CHECK(zoo.integers("held_out") == std::vector<std::int64_t>{0, 0, 1, 1, 0, 0, 1, 1, 0, 0});
    CHECK(zoo.corrupt_rows().empty());
    const Scores scores = score(device, task, data, theta, zoo.rows());
    CHECK(scores.accuracy == zoo.floats("test_accuracy"));
    CHECK(relative_error(scores.loss, zoo.floats("test_loss")) <= 1e-6);
    const Scores others = score(device, task, data, theta, zoo.rows(), true);
    CHECK(others.accuracy == zoo.floats("validation_accuracy"));
    CHECK(relative_error(others.loss, zoo.floats("validation_loss")) <= 1e-6);
    CHECK(relative_error(others.loss, scores.loss) > 1e-3); // other images
    const auto accuracy = zoo.floats("test_accuracy");
    CHECK(*std::min_element(accuracy.begin(), accuracy.end()) > 0.5f); // stripes are easy; chance is a third
  }
}

TEST_CASE("zoo trainer: the same weights on every device, to bf16's rounding") {
  const Dataset data = small_data();
  std::vector<std::vector<float>> results;
  for (const auto device : all_devices()) {
    const Scratch folder;
    results.push_back(train(device, small_task(folder.path() / "zoo"), data));
    // Twenty steps of Adam: a gradient near zero turns a rounding error into a step of its own size, lr = 0.02 at worst
    // for a few coordinates; the whole vector stays as close as products of bf16, 2^-8.
    CHECK(norm_error(results.back(), results.front()) <= 0x1p-8);
  }
}

TEST_CASE("zoo trainer: a network does not depend on those beside it") {
  const Dataset data = small_data();
  std::vector<std::vector<float>> results;
  for (const int wave : {1, 2, 5}) {
    const Scratch folder;
    ZooTask task = small_task(folder.path() / "zoo");
    task.recipe.wave = wave;
    results.push_back(train(Device{}, task, data));
    CHECK(results.back() == results.front());
  }
}

TEST_CASE("zoo trainer: a budget divides waves, and nothing else") {
  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "whole");
  const auto whole = train(Device{}, task, data);
  const std::size_t bytes = ZooTrainer(task, sizes_of(data), Backend::cpu).plan().bytes_on(Backend::cpu);
  task.directory = folder.path() / "parts";
  ZooTrainer trainer(task, sizes_of(data), Backend::cpu, bytes - 1);
  CHECK(trainer.plan().bytes_on(Backend::cpu) < bytes);
  Journal journal;
  trainer.run(Device{}, data, journal);
  CHECK(all_theta(ZooReader(task.directory)) == whole);
}

// 1.1 million parameters: layer by layer on every device, where no core's cache holds a network.
TEST_CASE("zoo trainer: rows of large networks go through a file") {
  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "memory");
  task.network.widths = {16, 1000, 1100, 3};
  task.recipe.networks = 2, task.recipe.wave = 2, task.recipe.steps = 4, task.recipe.batch = 3;
  task.recipe.checkpoints = CheckpointKind::last, task.recipe.count = 2;
  CHECK(trainer_for(Backend::cpu, task.network, task.recipe) == TrainerKind::layer_by_layer);
  ZooRecipe other = task.recipe;
  other.lr.values = {1e-3, 1e-2};
  CHECK(trainer_for(Backend::cpu, task.network, other) == TrainerKind::whole_runs); // only they can
  const auto in_memory = train(Device{}, task, data);
  task.directory = folder.path() / "file", task.most_row_bytes = 1000;
  for (const Dtype storage : {Dtype::f32, Dtype::bf16}) {
    task.storage = storage;
    const auto by_file = train(Device{}, task, data);
    auto expected = in_memory;
    if (storage == Dtype::bf16)
      for (float &x : expected)
        x = to_float(to_bf16(x));
    CHECK(by_file == expected);
    CHECK(ZooReader(task.directory).corrupt_rows().empty());
    CHECK(!std::filesystem::exists(task.directory / ".rows"));
  }
}

TEST_CASE("zoo trainer: every optimiser and checkpoint schedule learns") {
  const Dataset data = small_data();
  for (const auto optimizer : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw})
    for (const auto checkpoints : {CheckpointKind::every, CheckpointKind::last, CheckpointKind::random,
                                   CheckpointKind::log, CheckpointKind::root, CheckpointKind::spaced}) {
      CAPTURE(name_of(optimizer));
      CAPTURE(name_of(checkpoints));
      const Scratch folder;
      ZooTask task = small_task(folder.path() / "zoo");
      task.recipe.optimizer = {optimizer}, task.recipe.checkpoints = checkpoints, task.recipe.count = 4;
      task.recipe.schedule.kind = LrKind::cosine, task.recipe.weight_decay = 1e-3;
      train(Device{}, task, data);
      const ZooReader zoo(task.directory);
      const auto steps = zoo.integers("step");
      const std::vector<std::int64_t> first_run(steps.begin(), steps.begin() + std::ptrdiff_t(zoo.rows() / 5));
      if (checkpoints == CheckpointKind::every)
        CHECK(first_run == std::vector<std::int64_t>{4, 8, 12, 16, 20});
      if (checkpoints == CheckpointKind::last)
        CHECK(first_run == std::vector<std::int64_t>{17, 18, 19, 20});
      if (checkpoints == CheckpointKind::spaced) // 0.2, 0.93, 4.3 and 20 steps, each one at least
        CHECK(first_run == std::vector<std::int64_t>{1, 2, 4, 20});
      if (checkpoints == CheckpointKind::random || checkpoints == CheckpointKind::log ||
          checkpoints == CheckpointKind::root) {
        CHECK(first_run.size() == 6);
        CHECK(first_run.front() == 0);
        CHECK(first_run.back() == 20);
        CHECK(std::adjacent_find(first_run.begin(), first_run.end()) == first_run.end());
        CHECK(zoo.floats("test_loss")[5] < zoo.floats("test_loss")[0]);
      }
      CHECK(zoo.floats("train_loss").back() < 1.05f); // chance is ln 3 = 1.0986
    }
}

TEST_CASE("checkpoints lie even in the step, its logarithm or its square root") {
  ZooRecipe recipe;
  recipe.steps = 400, recipe.count = 1;
  constexpr int runs = 4000;
  for (const auto &[kind, middle] :
       {std::pair{CheckpointKind::random, 200}, {CheckpointKind::log, 20}, {CheckpointKind::root, 100}}) {
    CAPTURE(name_of(kind));
    recipe.checkpoints = kind;
    int below = 0;
    for (int run = 0; run < runs; ++run) {
      const auto steps = checkpoint_steps(recipe, 1, run);
      REQUIRE(steps.size() == 3);
      CHECK((steps[0] == 0 && steps[1] > 0 && steps[1] < 400 && steps[2] == 400));
      below += steps[1] < middle;
    }
    CHECK(below == doctest::Approx(runs / 2).epsilon(0.08)); // five standard errors: 5·√(runs/4) = 0.079·runs/2
  }
}

TEST_CASE("zoo trainer: every row carries what its run was trained with") {
  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "zoo");
  task.recipe.activation = {Activation::relu, Activation::tanh, Activation::gelu};
  task.recipe.initialisation = {Initialisation::he, Initialisation::siren};
  task.recipe.optimizer = {OptimizerKind::sgd, OptimizerKind::adamw};
  task.recipe.lr = Range{1e-3, 1e-1, true};
  task.recipe.dropout = std::vector{0.0, 0.25};
  const auto theta = train(Device{}, task, data);
  const ZooReader zoo(task.directory);
  const auto run = zoo.integers("run"), act = zoo.integers("activation"), start = zoo.integers("initialisation"),
             optimizer = zoo.integers("optimizer");
  const auto lr = zoo.floats("lr"), dropout = zoo.floats("dropout");
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    const RunChoice c = choice_of(task.recipe, task.seed, int(run[row]));
    CHECK(act[row] == std::int64_t(c.recipe.act));
    CHECK(optimizer[row] == std::int64_t(c.recipe.optimizer));
    CHECK(start[row] == std::int64_t(c.initialisation));
    CHECK(lr[row] == c.recipe.lr);
    CHECK(dropout[row] == c.recipe.dropout);
  }
  // The columns are what an evaluator says, each network with its own activation.
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    ZooTask one = task;
    one.network.act = Activation(act[row]);
    const std::vector<float> network(theta.begin() + std::ptrdiff_t(row * zoo.parameters()),
                                     theta.begin() + std::ptrdiff_t((row + 1) * zoo.parameters()));
    CHECK(score(Device{}, one, data, network, 1).loss[0] == zoo.floats("test_loss")[row]);
  }
}

TEST_CASE("zoo trainer: a disk without room for the zoo is refused before any work") {
  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "zoo");
  task.recipe.networks = 2'000'000'000, task.recipe.wave = 2; // 1.6 TB of rows
  Journal journal;
  CHECK_THROWS_AS(ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal), Error);
  CHECK(!std::filesystem::exists(task.directory / "shard-00000.safetensors"));
}

TEST_CASE("zoo trainer: one run holds out every other checkpoint") {
  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "zoo");
  task.recipe.networks = 1, task.recipe.checkpoints = CheckpointKind::last, task.recipe.count = 6;
  train(Device{}, task, data);
  CHECK(ZooReader(task.directory).integers("held_out") == std::vector<std::int64_t>{0, 1, 0, 1, 0, 1});
}

TEST_CASE("zoo trainer: runs that diverge are dropped whole, and counted") {
  const Dataset data = small_data();
  const Scratch folder;
  ZooTask task = small_task(folder.path() / "zoo");
  const auto theta = train(Device{}, task, data);
  // A limit between the largest weights of the runs.
  std::vector<float> largest(5);
  const std::size_t v = theta.size() / 10;
  for (std::size_t r = 0; r < 10; ++r)
    for (std::size_t i = 0; i < v; ++i)
      largest[r / 2] = std::max(largest[r / 2], std::abs(theta[r * v + i]));
  auto sorted = largest;
  std::sort(sorted.begin(), sorted.end());
  task.recipe.divergence_limit = (sorted[2] + sorted[3]) / 2;
  Journal journal;
  const ZooOutcome outcome = ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
  CHECK(outcome.dropped == 2);
  CHECK(outcome.rows == 6);
  for (const auto run : ZooReader(task.directory).integers("run"))
    CHECK(largest[std::size_t(run)] < task.recipe.divergence_limit);
  task.recipe.divergence_limit = 1e-6;
  CHECK_THROWS_AS(ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal), Error);
}

TEST_CASE("zoo trainer: planned bytes are the arena's; a network that does not fit the data is refused") {
  const Dataset data = small_data();
  ZooTask task = small_task("unused");
  const ZooTrainer trainer(task, sizes_of(data), Backend::cpu);
  const Arena arena(Device{}, trainer.plan());
  CHECK(arena.device_bytes() == trainer.plan().device_bytes());
  CHECK(arena.host_bytes() == trainer.plan().host_bytes());
  task.network.widths = {15, 5, 3};
  CHECK_THROWS_AS(ZooTrainer(task, sizes_of(data), Backend::cpu), InputError);
}

TEST_CASE("held-out shares are met at every prefix") {
  for (const double share : {0.0, 0.1, 0.5, 0.9}) {
    int held = 0;
    for (long i = 0; i < 100; ++i) {
      held += is_held_out(i, share);
      CHECK(std::abs(held - double(i + 1) * share) < 1);
    }
  }
}

namespace {

ZooTask field_task(const std::filesystem::path &folder) {
  ZooTask task = small_task(folder);
  task.network = {{2, 12, 1}, Activation::sine, Initialisation::siren, network_kind_named("field")};
  task.recipe.activation = {Activation::sine}, task.recipe.initialisation = {Initialisation::siren};
  task.recipe.batch = 16, task.recipe.lr = 2e-3, task.recipe.steps = 60, task.recipe.count = 30;
  return task;
}
ZooTask cnn_task(const std::filesystem::path &folder) {
  ZooTask task = small_task(folder);
  task.network = {{3}, Activation::tanh, Initialisation::pytorch, network_kind_named("cnn")};
  task.network.own = CnnSettings{4, 1, {{5, 3, 2}}};
  task.recipe.activation = {Activation::tanh}, task.recipe.steps = 60, task.recipe.count = 30;
  return task;
}

} // namespace

TEST_CASE("zoo trainer: colour goes through perceptrons, convolutions and fields, alike on every device") {
  Dataset data = small_data();
  data.channels = 3;
  for (Images *part : {&data.train, &data.validation, &data.test}) {
    const auto gray = part->pixels;
    part->pixels.clear();
    for (std::size_t i = 0; i < gray.size(); i += 16)
      for (int plane = 0; plane < 3; ++plane)
        for (std::size_t p = i; p < i + 16; ++p)
          part->pixels.push_back(std::uint8_t(plane == 1 ? 255 - gray[p] : gray[p]));
  }
  ZooTask mlp = small_task(""), cnn = cnn_task(""), field = field_task("");
  mlp.network.widths.front() = 48, cnn.network.as<CnnSettings>().channels = 3, field.network.widths.back() = 3;
  mlp.recipe.steps = 60;
  for (ZooTask &task : std::vector<std::reference_wrapper<ZooTask>>{mlp, cnn, field}) {
    CAPTURE(std::string(name_of(task.network.kind)));
    std::vector<float> first;
    for (const auto device : all_devices()) {
      const Scratch folder;
      task.directory = folder.path() / "zoo";
      const auto theta = train(device, task, data);
      const ZooReader zoo(task.directory);
      const auto quality = zoo.floats(learning_of(task.network).scored_on(sizes_of(data)).front().quality);
      for (std::size_t row = zoo.rows() - 1; row < zoo.rows(); ++row)
        CHECK(quality[row] > (&task == &field ? 8.0f : 0.8f));
      if (first.empty())
        first = theta;
      // Products in bf16 on cuda, over 60 steps of Adam: a run or two may end in another valley, most may not.
      std::vector<double> errors;
      for (std::size_t from = 0; from < theta.size(); from += zoo.parameters()) {
        const auto of = [&](const std::vector<float> &all) {
          return std::vector<float>(all.begin() + std::ptrdiff_t(from),
                                    all.begin() + std::ptrdiff_t(from + zoo.parameters()));
        };
        errors.push_back(norm_error(of(theta), of(first)));
      }
      std::nth_element(errors.begin(), errors.begin() + std::ptrdiff_t(errors.size() / 2), errors.end());
      CHECK(errors[errors.size() / 2] <= 0.02);
    }
  }
  CHECK_THROWS_AS(ZooTrainer(small_task("x"), sizes_of(data), Backend::cpu), InputError); // 16 inputs for 48 values
}

TEST_CASE("zoo trainer: fields learn the signal that their column names, one a run") {
  const Dataset data = small_data();
  std::vector<float> first;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    const ZooTask task = field_task(folder.path() / "zoo");
    const auto theta = train(device, task, data);
    const ZooReader zoo(task.directory);
    CHECK(zoo.integers("signal") == zoo.integers("run")); // fewer runs than images
    const auto loss = zoo.floats("test_loss"), psnr = zoo.floats("psnr");
    for (std::size_t row = 0; row < zoo.rows(); ++row) {
      CHECK(psnr[row] == doctest::Approx(-10 * std::log10(double(loss[row]))).epsilon(1e-5));
      if (row % 2 == 1)
        CHECK(loss[row] < loss[row - 1]); // of a later step
    }
    // By its definition: the mean squared error to the image of the signal's number, in ±1/2.
    const auto points = data.coordinates();
    for (std::size_t row = 0; row < zoo.rows(); ++row) {
      const float *w1 = theta.data() + row * zoo.parameters(), *b1 = w1 + 24, *w2 = b1 + 12, *b2 = w2 + 12;
      double sum = 0;
      for (std::size_t p = 0; p < 16; ++p) {
        double y = *b2;
        for (std::size_t h = 0; h < 12; ++h)
          y += w2[h] * std::sin(30 * double(w1[2 * h] * points[2 * p] + w1[2 * h + 1] * points[2 * p + 1] + b1[h]));
        const auto signal = std::size_t(zoo.integers("signal")[row]);
        sum += std::pow(y - (data.train.pixels[signal * 16 + p] / 255.0 - 0.5), 2);
      }
      // bf16: an error of 2^-8 of values near 1/2 where the loss is small
      CHECK(std::abs(loss[row] - sum / 16) <=
            (device.backend == Backend::cpu ? 1e-4 * sum / 16 + 1e-7 : 0.1 * sum / 16 + 1e-4));
    }
  }
}

TEST_CASE("zoo trainer: small convolutional networks on every device, scored as they are stored") {
  const Dataset data = small_data();
  std::vector<std::vector<float>> results;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    const ZooTask task = cnn_task(folder.path() / "zoo");
    results.push_back(train(device, task, data));
    const ZooReader zoo(task.directory);
    const Scores scores = score(device, task, data, results.back(), zoo.rows());
    CHECK(scores.accuracy == zoo.floats("test_accuracy"));
    CHECK(*std::min_element(scores.accuracy.begin(), scores.accuracy.end()) > 0.4f); // chance is a third
    CHECK(norm_error(results.back(), results.front()) <= 0.02); // sixty steps of Adam, each of bf16's products
  }
}

TEST_CASE("networks: layouts in PyTorch's names, architectures as text and back, shapes that cannot be") {
  NetworkShape cnn{{20, 10}, Activation::tanh, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{28, 1, {{8, 5, 2}, {6, 5, 2}, {4, 2, 1}}};
  const Golden golden("net_cnn_s");
  const Layout layout = layout_of(cnn);
  CHECK(layout.size() == 2464);
  for (const auto &place : layout.places())
    CHECK(golden.file().tensor("param." + place.name).shape == place.shape);
  const NetworkShape field{
      {27, 8, 1}, Activation::relu, Initialisation::pytorch, network_kind_named("field"), FieldSettings{4}};
  const std::vector<NetworkShape> shapes{cnn, field, {{4, 3, 2}, Activation::gelu}};
  for (const NetworkShape &shape : shapes) {
    const auto again = network_from(architecture_of(shape), "test");
    REQUIRE(again.has_value());
    CHECK(layout_of(*again).places() == layout_of(shape).places());
    CHECK(again->act == shape.act);
    CHECK(architecture_of(*again) == architecture_of(shape));
  }
  CHECK(!network_from(R"({"kind": "transformer"})", "test").has_value());
  CHECK_THROWS_AS(network_from(R"({"kind": "mlp"})", "test"), InputError);
  cnn.as<CnnSettings>().side = 12;
  CHECK_THROWS_AS(layout_of(cnn), InputError); // nothing is left for the third convolution
  CHECK_THROWS_AS(check_fits(field, {10, 0, 0, 16, 1, 2}), InputError);
  CHECK_NOTHROW(check_fits(field, {10, 0, 0, 16, 1, 3}));
  CHECK_THROWS_AS(check_fits(NetworkShape{{16, 3}}, {10, 0, 0, 16, 1, 3}), InputError);
}
