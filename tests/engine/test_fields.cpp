// Fields of images: where they start from, what they show, and how they are judged.
#include "engine/memory/arena.h"
#include "engine/networks/field.h"
#include "engine/report/animation.h"
#include "engine/tasks/fields/field_judge.h"
#include "engine/tasks/fields/signals.h"
#include "engine/zoo/base.h"
#include "small_data.h"
#include "tests/check.h"
#include <cmath>
#include <fstream>
#include <gif_lib.h>

using namespace theta;
using namespace theta::test;

namespace {

const NetworkShape siren{
    {2, 6, 5, 1}, Activation::sine, Initialisation::siren, network_kind_named("field"), FieldSettings{.omega = 9}};

ZooTask field_task(const std::filesystem::path &folder, StartKind start) {
  ZooTask task = small_task(folder);
  task.network = siren;
  task.recipe.batch = 16, task.recipe.lr = 5e-3, task.recipe.start = start, task.recipe.networks = 8;
  task.recipe.activation = {Activation::sine}, task.recipe.initialisation = {Initialisation::siren};
  task.recipe.checkpoints = CheckpointKind::last, task.recipe.count = 21; // steps 0 to 20
  task.recipe.base = {.rounds = 12, .networks = 6, .steps = 10, .lr = 5e-3};
  return task;
}

std::vector<float> row_of(const ZooReader &zoo, std::size_t row) {
  std::vector<float> theta(zoo.parameters());
  zoo.theta(row, theta.data());
  return theta;
}

// h(x) in double, from PyTorch's order.
double value_at(const NetworkShape &shape, const float *theta, std::vector<double> h) {
  for (std::size_t l = 0; l + 1 < shape.widths.size(); ++l) {
    const std::size_t in = h.size(), out = std::size_t(shape.widths[l + 1]);
    std::vector<double> next(out);
    for (std::size_t o = 0; o < out; ++o) {
      next[o] = double(theta[out * in + o]);
      for (std::size_t i = 0; i < in; ++i)
        next[o] += double(theta[o * in + i]) * h[i];
      if (l + 2 < shape.widths.size())
        next[o] = std::sin(shape.as<FieldSettings>().omega * next[o]);
    }
    h = next, theta += (in + 1) * out;
  }
  return h[0] + 0.5;
}

} // namespace

TEST_CASE("fields: runs start from their own weights, from those of run 0, or from one base; on every device") {
  const Dataset data = small_data();
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    std::map<StartKind, double> loss; // after all steps, in the mean
    for (const StartKind start : {StartKind::own, StartKind::shared, StartKind::base}) {
      const Scratch folder;
      Journal journal;
      ZooTrainer trainer(field_task(folder.path(), start), sizes_of(data), device.backend);
      CHECK(trainer.plans_before().empty() == (start != StartKind::base));
      trainer.run(device, data, journal);
      const ZooReader zoo(folder.path());
      CHECK((row_of(zoo, 0) == row_of(zoo, 21)) == (start != StartKind::own)); // step 0 of runs 0 and 1
      CHECK(row_of(zoo, 20) != row_of(zoo, 41));
      if (start == StartKind::shared) {
        const auto first = row_of(zoo, 0);
        std::vector<float> own = layout_of(siren).initial_values(3, 0);
        CHECK(first.size() == own.size());
        for (std::size_t i = 0; i < own.size(); ++i)
          CHECK(first[i] == doctest::Approx(own[i]).epsilon(1e-6));
      }
      const auto signal = zoo.integers("signal"), label = zoo.integers("class"), step = zoo.integers("step");
      const auto losses = zoo.floats("test_loss");
      for (std::size_t row = 0; row < zoo.rows(); ++row) {
        CHECK(label[row] == data.train.labels[std::size_t(signal[row])]);
        if (step[row] == 20)
          loss[start] += double(losses[row]) / 8;
      }
    }
    CHECK(loss[StartKind::base] < 0.7 * loss[StartKind::own]); // few steps reach further from it
  }
}

TEST_CASE("fields: a base is learned from training signals alone, and continued it is the same to the bit") {
  Dataset data = small_data();
  const ZooTask task = field_task("", StartKind::base);
  const auto base = [&](const std::filesystem::path &state) {
    Journal journal;
    return BaseTrainer(task.recipe, task.network, 3, sizes_of(data), Backend::cpu)
        .run(Device{}, data, state, "key", journal);
  };
  const Scratch folder;
  const auto expected = base(folder.path() / "a");
  { // as it was after some rounds
    ZooTask shorter = task;
    shorter.recipe.base.rounds = 12;
    std::vector<float> zero(expected.size(), 0.0f);
    save_state(folder.path() / "b", {"another", {{"round", 5}}, {state_of("base", zero)}});
  }
  CHECK(base(folder.path() / "b") == expected); // another's state is not used
  for (std::size_t signal = 0; signal < data.train.size(); ++signal)
    if (signal >= 8 || is_held_out(long(signal), task.recipe.held_out)) // never in the zoo, or held out
      std::fill_n(data.train.pixels.begin() + std::ptrdiff_t(signal * 16), 16, std::uint8_t(255));
  CHECK(base(folder.path() / "c") == expected);
  data.train.pixels[0] ^= 64; // of run 0, which trains
  CHECK(base(folder.path() / "d") != expected);
  CHECK_THROWS_AS(BaseTrainer(task.recipe, {{16, 5, 3}}, 3, sizes_of(data), Backend::cpu), InputError);
}

TEST_CASE("fields: rendered they are their formula, anywhere, however many at a time, on every device") {
  const NetworkShape shape{
      {2 * 5, 7, 3}, Activation::relu, Initialisation::pytorch, network_kind_named("field"), FieldSettings{2}};
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    for (const int side : {1, 5, 40}) { // 1,600 points: in two parts
      const std::size_t v = layout_of(siren).size(), area = std::size_t(side * side);
      const auto theta = random_values<float>(5 * v, 1, 0.3);
      const auto network = [&](std::size_t i, float *to) { std::copy_n(theta.data() + i * v, v, to); };
      std::vector<std::vector<float>> by(2);
      for (const int wave : {2, 5})
        FieldRenderer(siren, pixel_grid(side), 2, wave)
            .render(device, 5, network, [&](std::size_t, const float *values) {
              auto &to = by[wave == 5];
              to.insert(to.end(), values, values + area);
            });
      CHECK(by[0] == by[1]);
      REQUIRE(by[0].size() == 5 * area);
      const auto grid = pixel_grid(side);
      for (std::size_t i = 0; i < 5; ++i)
        for (std::size_t p = 0; p < area; p += 7)
          CHECK(double(by[0][i * area + p]) ==
                doctest::Approx(value_at(siren, theta.data() + i * v, {grid[2 * p], grid[2 * p + 1]})).epsilon(1e-4));
    }
  }
  FieldRenderer colour(shape, pixel_grid(3), 2, 4);
  CHECK(colour.values() == 27);
  CHECK_THROWS_AS(FieldRenderer(shape, pixel_grid(3), 3, 4), InputError);
  CHECK_THROWS_AS(FieldRenderer({{16, 5, 3}}, pixel_grid(4), 2, 4), InputError);
}

TEST_CASE("fields: a run ends when its loss is low enough, with the weights it would have had then; on every device") {
  const Dataset data = small_data();
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch whole, early;
    Journal journal;
    ZooTrainer(field_task(whole.path(), StartKind::own), sizes_of(data), device.backend).run(device, data, journal);
    const ZooReader all(whole.path());
    const auto loss = all.floats("train_loss");
    std::vector<float> sorted = loss;
    std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 4), sorted.end());
    ZooTask task = field_task(early.path(), StartKind::own);
    task.recipe.stop_psnr = -10 * std::log10(double(sorted[sorted.size() / 4])); // reached by some, and soon by a few
    task.recipe.count = 3;                                                       // steps 18, 19, 20
    ZooTrainer(std::move(task), sizes_of(data), device.backend).run(device, data, journal);
    const ZooReader some(early.path());
    const auto step = some.integers("step");
    const auto last_loss = some.floats("train_loss");
    REQUIRE(some.rows() == 24);
    int ended = 0;
    for (std::size_t run = 0; run < 8; ++run) {
      std::size_t end = 20; // updates that the run should see
      for (std::size_t s = 20; s-- > 0;)
        if (loss[run * 21 + s + 1] <= sorted[sorted.size() / 4] * (1 + 1e-6f))
          end = s + 1;
      ended += end < 20;
      for (std::size_t k = 0; k < 3; ++k) {
        const std::size_t expected = std::min(end, 18 + k);
        CHECK(std::size_t(step[run * 3 + k]) == expected);
        CHECK(row_of(some, run * 3 + k) == row_of(all, run * 21 + expected));
        CHECK(last_loss[run * 3 + k] == loss[run * 21 + expected]);
      }
    }
    CHECK(ended > 0);
    CHECK(ended < 8);
  }
  ZooTask task = small_task("nowhere");
  task.recipe.stop_psnr = 30;
  CHECK_THROWS_AS(check_recipe(task.recipe, task.network), InputError);
}

TEST_CASE("fields: layer by layer they learn, and miss, what they do as whole runs; with ten layers too") {
  const Dataset data = small_data();
  struct Made {
    std::vector<float> theta, loss;
  };
  const auto made = [&](Device device, const NetworkShape &shape, TrainerKind trainer) {
    ZooRecipe recipe = field_task("", StartKind::own).recipe;
    recipe.networks = recipe.wave = 3;
    Wave wave(recipe, shape, 3, 1, false, device.backend, trainer);
    Evaluator evaluator(shape, 0, 3, device.backend, trainer);
    const auto part = learning_of(shape).part(shape, sizes_of(data));
    MemoryPlan plan("test");
    part->plan(plan), wave.plan(plan), evaluator.plan(plan);
    plan.place();
    Stream s(device);
    const Arena arena(device, plan);
    const Examples examples = part->upload(s, data);
    part->score_on(evaluator, s, data, examples, 0);
    wave.start(s, 2, 3);
    for (long step = 0; step < 12; step += wave.chunk())
      wave.train(s, examples, step, std::min(12L, step + wave.chunk()));
    Made all{to_host(s, wave.theta(), 3 * wave.parameters()), {}};
    copy(s, evaluator.theta(), wave.theta(), 3 * wave.parameters() * sizeof(float));
    Scores scores;
    evaluator.score(s, 3, scores, {.signals = {2, 3, 4}});
    all.loss = scores.loss;
    return all;
  };
  NetworkShape deep = siren;
  deep.widths = {2, 6, 5, 6, 5, 6, 5, 6, 5, 6, 1};
  CHECK(trainer_for(Backend::cpu, siren, 16) == TrainerKind::whole_runs);
  CHECK(trainer_for(Backend::cpu, deep, 16) == TrainerKind::layer_by_layer);
  std::vector<Made> deep_ones;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const double tolerance = device.backend == Backend::cpu ? 1e-4 : 3e-2; // whole runs on cuda multiply in bf16
    const Made whole = made(device, siren, TrainerKind::whole_runs),
               layered = made(device, siren, TrainerKind::layer_by_layer);
    CHECK(relative_error(layered.theta, whole.theta) <= tolerance);
    CHECK(relative_error(layered.loss, whole.loss) <= tolerance);
    deep_ones.push_back(made(device, deep, TrainerKind::layer_by_layer));
    CHECK(relative_error(deep_ones.back().theta, deep_ones[0].theta) <= 1e-3);
    CHECK(relative_error(deep_ones.back().loss, deep_ones[0].loss) <= 1e-3);
  }
  const Scratch folder;
  ZooTask task = field_task(folder.path(), StartKind::base); // from a base, whose fields go the same way
  task.network = deep;
  Journal journal;
  ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
  const auto psnr = ZooReader(folder.path()).floats("psnr");
  CHECK(psnr[20] > psnr[0]);
  task.recipe.stop_psnr = 30;
  CHECK_THROWS_AS(ZooTrainer(task, sizes_of(data), Backend::cpu), InputError);
}

TEST_CASE("fields: adapted, a run is the base times one and a matrix of its rank, and learns; on every device") {
  const Dataset data = small_data();
  std::vector<std::vector<float>> ends;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder, again;
    Journal journal;
    const auto task = [](const std::filesystem::path &path) {
      ZooTask of = field_task(path, StartKind::base);
      of.recipe.low_rank = 1, of.recipe.lr = 2e-2;
      return of;
    };
    ZooTrainer(task(folder.path()), sizes_of(data), device.backend).run(device, data, journal);
    const ZooReader zoo(folder.path());
    const auto base = row_of(zoo, 0), one = row_of(zoo, 20), other = row_of(zoo, 41);
    CHECK(row_of(zoo, 21) == base);
    CHECK(one != other);
    // The middle layer, [5, 6] with its bias: every minor of θ/base − 1 is nothing.
    const Layout layout = layout_of(siren);
    const auto at = [&](const std::vector<float> &theta, std::size_t o, std::size_t i) {
      const std::size_t place = i < 6 ? layout.places()[2].offset + o * 6 + i : layout.places()[3].offset + o;
      return double(theta[place]) / double(base[place]) - 1;
    };
    double largest = 0, minor = 0;
    for (std::size_t o = 0; o + 1 < 5; ++o)
      for (std::size_t i = 0; i < 6; ++i) {
        largest = std::max(largest, std::abs(at(one, o, i)));
        minor =
            std::max(minor, std::abs(at(one, o, i) * at(one, o + 1, i + 1) - at(one, o, i + 1) * at(one, o + 1, i)));
      }
    CHECK(largest > 1e-3);
    CHECK(minor < 1e-5 * std::max(1.0, largest)); // roundings of 6e-8 of θ/base, which lies around 1
    const auto psnr = zoo.floats("psnr");
    double gained = 0;
    for (std::size_t run = 0; run < 8; ++run)
      gained += double(psnr[run * 21 + 20] - psnr[run * 21]) / 8;
    CHECK(gained > 0.3);
    ends.push_back(one);
  }
  for (const auto &end : ends)
    CHECK(relative_error(end, ends[0]) <= 1e-2); // on cuda the base is learned with products in bf16
  ZooTask wrong = field_task("nowhere", StartKind::shared);
  wrong.recipe.low_rank = 2;
  CHECK_THROWS_AS(check_recipe(wrong.recipe, wrong.network), InputError);
  wrong.recipe.start = StartKind::base, wrong.recipe.low_rank = 50;
  CHECK_THROWS_AS(ZooTrainer(std::move(wrong), sizes_of(data), Backend::cpu), InputError);
}

TEST_CASE("features: the Fréchet distance agrees with scipy; precision and recall of sets that one can count") {
  const Golden golden("frechet");
  const auto features = [&](const char *name) {
    return Features{std::size_t(golden.side(name, 0)), std::size_t(golden.side(name, 1)), golden.get<double>(name)};
  };
  const Features a = features("a"), b = features("b");
  CHECK(frechet_distance(a, b) == doctest::Approx(golden.get<double>("distance")[0]).epsilon(1e-9));
  CHECK(frechet_distance(b, a) == doctest::Approx(golden.get<double>("distance")[0]).epsilon(1e-9));
  CHECK(std::abs(frechet_distance(a, a)) <= 1e-9);
  CHECK_THROWS_AS(frechet_distance(a, Features{1, 6, std::vector<double>(6)}), InputError);
  // On a line: references at 0, 1, ..., 9, each within reach of its nearest: 1.
  Features references{10, 1, {}}, generated{4, 1, {0.5, 3.5, 20, 21}};
  for (int i = 0; i < 10; ++i)
    references.values.push_back(i);
  const auto one = precision_recall(generated, references, 1);
  CHECK(one.precision == 0.5); // 20 and 21 are beyond
  // 0.5 and 3.5 reach 3 to either side, 20 and 21 reach 1: the references 0 to 6.
  CHECK(one.recall == doctest::Approx(0.7));
  // The same as class 1; class 2 stands still where its references spread; of class 3 there are too few.
  Features of_classes = generated, to_classes = references;
  std::vector<int> labels(4, 1), reference_labels(10, 1);
  for (const double x : {50.0, 50.0, 50.0, 7.0})
    of_classes.values.push_back(x), ++of_classes.count, labels.push_back(x > 10 ? 2 : 3);
  for (const double x : {40.0, 50.0, 60.0, 70.0, 7.0, 8.0})
    to_classes.values.push_back(x), ++to_classes.count, reference_labels.push_back(x > 10 ? 2 : 3);
  const WithinClasses within = within_classes(of_classes, labels, to_classes, reference_labels, 1);
  CHECK(within.classes == 2);
  const double variance = (10.75 * 10.75 + 7.75 * 7.75 + 8.75 * 8.75 + 9.75 * 9.75) / 3; // about 11.25, and none
  CHECK(within.variance == doctest::Approx(variance / 2));
  CHECK(within.recall == doctest::Approx((0.7 + 0.25) / 2));
  CHECK(within_classes(generated, std::vector<int>(4, 9), references, std::vector<int>(10, 1), 1).classes == 0);
}

TEST_CASE("nearest: as by brute force, itself left out, more than go through at once, on every device") {
  const std::size_t length = 7, count = 700;
  const auto group = random_values<float>(530 * length, 1), references = random_values<float>(count * length, 2);
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const auto found = NearestSearch(length).run(device, vectors_of(group, length), vectors_of(references, length));
    REQUIRE(found.size() == 530);
    for (std::size_t i = 0; i < 530; i += 23) {
      double best = 1e30;
      for (std::size_t j = 0; j < count; ++j) {
        double sum = 0;
        for (std::size_t c = 0; c < length; ++c)
          sum += std::pow(double(group[i * length + c]) - double(references[j * length + c]), 2);
        best = std::min(best, std::sqrt(sum));
      }
      CHECK(double(found[i].distance) == doctest::Approx(best).epsilon(1e-4));
    }
  }
  NetworkSet set = vectors_of(references, length);
  for (std::size_t i = 0; i < count; ++i)
    set.source.push_back(i);
  for (std::size_t i = 0; const Nearest &nearest : NearestSearch(length).run(Device{}, set, set))
    CHECK((nearest.index != i++ && nearest.distance > 0));
}

TEST_CASE("full gaussians: the mean and covariance of the rows") {
  const Scratch folder;
  Journal journal;
  const Dataset data = small_data();
  ZooTask task = field_task(folder.path(), StartKind::own);
  ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
  const ZooReader zoo(folder.path());
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    rows.push_back(row);
  const std::size_t n = 4000, v = zoo.parameters();
  const NetworkSet made = full_gaussians(rows_of(zoo, rows), zoo.parameters(), n, 5);
  const auto moments = [&](std::size_t count, auto get) { // of the first two and the last coordinate
    std::vector<double> sum(6, 0), theta(3);
    for (std::size_t i = 0; i < count; ++i) {
      const std::vector<float> x = get(i);
      theta = {x[0], x[1], x[v - 1]};
      for (std::size_t c = 0; c < 3; ++c)
        sum[c] += theta[c] / double(count);
      sum[3] += theta[0] * theta[0] / double(count), sum[4] += theta[0] * theta[1] / double(count),
          sum[5] += theta[1] * theta[2] / double(count);
    }
    return sum;
  };
  const auto drawn = moments(n, [&](std::size_t i) {
    std::vector<float> theta(v);
    made.network(i, theta.data());
    return theta;
  });
  const auto true_ones = moments(rows.size(), [&](std::size_t i) { return row_of(zoo, rows[i]); });
  for (std::size_t k = 0; k < 6; ++k) // deviations of a mean of 4,000 draws of sizes below one: at most 0.016
    CHECK(std::abs(drawn[k] - true_ones[k]) <= 0.06);
}

TEST_CASE("image judge: trained and asked on every device, it tells stripes apart") {
  const Dataset data = small_data();
  Features expected;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Journal journal;
    ImageJudge judge(sizes_of(data), 1, device.backend, 40);
    judge.train(device, data, journal);
    std::vector<float> pictures;
    for (const std::uint8_t byte : data.test.pixels)
      pictures.push_back(float(byte) / 255);
    const auto opinion = judge.look(device, pictures);
    int right = 0;
    for (std::size_t i = 0; i < data.test.size(); ++i)
      right += opinion.label[i] == data.test.labels[i];
    CHECK(right >= 45); // of 50; 17 is chance
    if (device.backend == Backend::cpu)
      expected = opinion.features;
    CHECK(opinion.features.count == 50);
    CHECK(norm_error(opinion.features.values, expected.values) <= 0.05); // weights moved in bf16's precision
  }
}

TEST_CASE("field judge: copies are called memorised, fields of other images are not; classes are recognised") {
  Dataset data = small_data();
  data.train = stripes(240, 4, 3, 1);
  const Scratch folder;
  Journal journal;
  ZooTask task = field_task(folder.path(), StartKind::base);
  task.recipe.networks = task.recipe.wave = 200, task.recipe.steps = 60, task.recipe.count = 1,
  task.recipe.held_out = 0.6;
  ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
  const ZooReader zoo(folder.path());
  std::vector<std::size_t> training, held_out;
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    (zoo.integers("held_out")[row] ? held_out : training).push_back(row);
  const auto signal = zoo.integers("signal"), label = zoo.integers("class");
  const auto signals = [&](const std::vector<std::size_t> &rows) {
    std::vector<std::size_t> all;
    for (const std::size_t row : rows)
      all.push_back(std::size_t(signal[row]));
    return all;
  };
  const auto labels = [&](const std::vector<std::size_t> &rows) {
    std::vector<int> all;
    for (const std::size_t row : rows)
      all.push_back(int(label[row]));
    return all;
  };
  const auto part = [](const std::vector<std::size_t> &rows, std::size_t first, std::size_t count) {
    return std::vector<std::size_t>(rows.begin() + std::ptrdiff_t(first), rows.begin() + std::ptrdiff_t(first + count));
  };
  REQUIRE(training.size() == 80);
  const auto references = part(held_out, 0, 40), control = part(held_out, 40, 60), group = part(held_out, 100, 20),
             seen = part(training, 0, 60);
  FieldJudge judge(siren, sizes_of(data), 4, 8, 1, Backend::cpu);
  judge.start(Device{}, data, {rows_of(zoo, references), labels(references), {}},
              {rows_of(zoo, seen), {}, signals(seen)}, {rows_of(zoo, control), {}, signals(control)}, journal);
  GroupNetworks copies{rows_of(zoo, seen), labels(seen), {}},
      others{rows_of(zoo, group), labels(group), signals(group)};
  copies.networks.source.clear(); // as a generator would give them
  const FieldReport copied = judge.judge("copies", copies), fresh = judge.judge("fresh", others);
  CHECK((copied.memorised.share == 1 && copied.memorised_images.share == 1));
  CHECK(copied.memorised.low > 0.9);
  CHECK(fresh.memorised.low < 0.5);
  CHECK(fresh.memorised.high > 0.5);
  CHECK(copied.recognised.share > 0.9); // 1/3 is chance
  CHECK(copied.in_class.classes == 3);
  CHECK(copied.in_class.variance == doctest::Approx(fresh.in_class.variance).epsilon(0.5)); // six or seven of a class
  for (std::size_t i = 0; i < 60; ++i) // its own image, or one that is as near
    CHECK(copied.psnr[i] > 10);
  GroupNetworks broken = others;
  broken.networks.network = [](std::size_t i, float *theta) {
    std::fill_n(theta, layout_of(siren).size(), i < 5 ? NAN : 0.1f);
  };
  const FieldReport report = judge.judge("broken", broken);
  CHECK((report.broken == 5 && report.psnr.size() == 15));
  CHECK(report.frechet > 2 * fresh.frechet);
}

TEST_CASE("animation: frames come back from a GIF as they were, and sizes must agree") {
  const Scratch folder;
  Canvas one(9, 5, {10, 20, 30}), two = one;
  two.rectangle(2, 1, 4, 3, {200, 100, 50});
  save_gif(folder.path() / "a.gif", {one, two}, 0.25);
  std::ifstream file(folder.path() / "a.gif", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  int failed = 0;
  std::pair<const std::string *, std::size_t> from{&bytes, 0};
  GifFileType *gif = DGifOpen(
      &from,
      [](GifFileType *g, GifByteType *to, int n) {
        auto &[all, at] = *static_cast<std::pair<const std::string *, std::size_t> *>(g->UserData);
        const std::size_t count = std::min(std::size_t(n), all->size() - at);
        std::copy_n(all->begin() + std::ptrdiff_t(at), count, to);
        at += count;
        return int(count);
      },
      &failed);
  REQUIRE(gif);
  REQUIRE(DGifSlurp(gif) == GIF_OK);
  REQUIRE(gif->ImageCount == 2);
  const auto color = [&](int frame, int x, int y) {
    const SavedImage &image = gif->SavedImages[frame];
    const GifColorType c = image.ImageDesc.ColorMap->Colors[image.RasterBits[y * 9 + x]];
    return std::array<int, 3>{c.Red, c.Green, c.Blue};
  };
  GraphicsControlBlock control;
  DGifSavedExtensionToGCB(gif, 1, &control);
  CHECK(control.DelayTime == 25);
  for (int frame = 0; frame < 2; ++frame)
    for (int y = 0; y < 5; ++y)
      for (int x = 0; x < 9; ++x)
        for (std::size_t k = 0; k < 3; ++k) // five bits of a colour are told apart
          CHECK(std::abs(color(frame, x, y)[k] - int((frame == 0 ? one : two).rgb()[std::size_t(y * 9 + x) * 3 + k])) <=
                8);
  DGifCloseFile(gif, nullptr);
  CHECK_THROWS_AS(save_gif(folder.path() / "b.gif", {one, Canvas(8, 5)}, 1), InputError);
  CHECK_THROWS_AS(save_gif(folder.path() / "b.gif", {}, 1), InputError);
}
