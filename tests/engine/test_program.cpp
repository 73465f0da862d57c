// Networks as programs: what follows from values and operations in order.
#include "engine/networks/cnn.h"
#include "engine/networks/kind.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include "program_run.h"

using namespace theta;
using namespace theta::test;

namespace {

// A stream of 6 that two blocks of other widths add to, one of which reads the first value twice, and the input by
// itself.
Program residual_program(Activation act) {
  NetworkShape shape;
  Program p("residual", shape);
  const Value in = p.input({5});
  Value x = add(p, linear(p, "stem", in, 6), linear(p, "again", in, 6, act));
  x = add(p, x, linear(p, "a.fc2", linear(p, "a.fc1", layer_norm(p, "a.norm", x), 7, act), 6));
  x = add(p, activation(p, x, act), linear(p, "b.fc", x, 6));
  linear(p, "head", layer_norm(p, "norm", x), 3);
  return p;
}

// Outputs of one network on rows of random inputs.
std::vector<double> shown_by(Program p, const std::vector<float> &theta, int rows) {
  Stream s{Device{}};
  ProgramRun<double> run(s, std::move(p), false, 1, rows);
  const Buffer<double> weights(s, std::vector<double>(theta.begin(), theta.end())),
      x(s, random_values<double>(std::size_t(rows) * 5, 9));
  return to_host(s, run.program.infer(s, weights, x, 1, rows), std::size_t(rows) * 3);
}

} // namespace

TEST_CASE("program: gradients of a residual network agree with central differences in double") {
  for (const auto act : {Activation::tanh, Activation::gelu})
    check_program(residual_program(act), 3, 5);
}

TEST_CASE("program: inference is the training forward, on every device, where all networks read the same rows") {
  same_on_every_device(1e-5, [&](Stream &s) {
    const int networks = 3, rows = 9;
    const auto inputs = random_values<float>(std::size_t(rows) * 5, 1);
    std::vector<float> repeated;
    for (int i = 0; i < networks; ++i)
      repeated.insert(repeated.end(), inputs.begin(), inputs.end());
    ProgramRun<float> training(s, residual_program(Activation::gelu), true, networks, rows),
        inference(s, residual_program(Activation::gelu), false, networks, rows + 2);
    const Buffer<float> theta(s, some_weights(training.program.layout(), networks)), x(s, inputs), all(s, repeated);
    const std::size_t n = std::size_t(networks * rows) * 3;
    const auto trained = to_host(s, training.program.forward(s, theta, all), n),
               inferred = to_host(s, inference.program.infer(s, theta, x, networks, rows), n);
    CHECK(relative_error(inferred, trained) <= 1e-6);
    const Buffer<float> d_out(s, random_values<float>(n, 4)), gradient(s, std::vector<float>(theta.size()));
    training.program.backward(s, theta, gradient, d_out, all);
    return Results{inferred, gradient.host()};
  });
}

TEST_CASE("program: an addition makes two groups of units one, a norm carries it, and the network stays what it is") {
  const Program p = residual_program(Activation::tanh);
  const Symmetries groups = p.symmetries();
  REQUIRE(groups.size() == 2);
  CHECK((groups[0].units == 6 && groups[1].units == 7)); // the stream, and one hidden layer
  CHECK((groups[0].inputs == 0 && groups[0].outputs == 0 && groups[1].inputs == 1 && groups[1].outputs == 1));
  CHECK(groups[0].axes.size() == 2 + 2 + 2 + 1 + 2 + 3 + 2 + 1); // stem, again, a.norm, a.fc1, a.fc2, b.fc, norm, head
  const Layout layout = p.layout();
  const auto theta = some_weights(layout, 1);
  const auto before = shown_by(residual_program(Activation::tanh), theta, 4);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto moved = rotated(theta, layout, groups[g]);
    CHECK(moved != theta);
    CHECK(relative_error(shown_by(residual_program(Activation::tanh), moved, 4), before) <= 1e-12);
  }
}

TEST_CASE("program: perceptrons are chains, whatever else is none; depths and FLOPs are counted") {
  const NetworkShape shape{{7, 6, 5, 3}, Activation::tanh};
  const Program p = shape.kind->program(shape);
  CHECK(p.chain(Activation::tanh) == shape.widths);
  CHECK(p.chain(Activation::relu).empty());
  CHECK(residual_program(Activation::tanh).chain(Activation::tanh).empty());
  CHECK(p.multiply_adds() == 7 * 6 + 6 * 5 + 5 * 3);
  CHECK(p.step_flops(2) == 2 * (4.0 * 42 + 6.0 * 30 + 6.0 * 15));
  const auto groups = p.symmetries();
  REQUIRE(groups.size() == 2);
  CHECK((groups[0].inputs == 0 && groups[0].outputs == 1 && groups[1].inputs == 1 && groups[1].outputs == 0));
  NetworkShape cnn{{6, 10}, Activation::relu, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{12, 1, {{4, 3, 2}}};
  const auto of_cnn = cnn.kind->symmetries(cnn);
  REQUIRE(of_cnn.size() == 2);
  CHECK((of_cnn[0].units == 4 && of_cnn[0].pooled && of_cnn[0].axes[2].run == 25));
  Program unread("unread", shape);
  const Value read = unread.input({3});
  linear(unread, "a", read, 4), linear(unread, "b", read, 4);
  CHECK_THROWS_AS(LayeredProgram<float>(shape, std::move(unread)), Error);
  Program unequal("unequal", shape);
  const Value in = unequal.input({3});
  CHECK_THROWS_AS(add(unequal, in, linear(unequal, "x", in, 4)), InputError);
}

namespace {

Program normalised() {
  Program p("normalised", NetworkShape{});
  const Value h = batch_norm(p, "bn", linear(p, "fc", p.input({5}), 6), Activation::tanh);
  linear(p, "head", h, 3);
  return p;
}

} // namespace

TEST_CASE("program: running statistics stand behind the weights, move in training, and inference normalises by them") {
  same_on_every_device(1e-5, [&](Stream &s) {
    const int networks = 2, rows = 7;
    ProgramRun<float> training(s, normalised(), true, networks, rows),
        inference(s, normalised(), false, networks, rows);
    const Layout &layout = training.program.layout();
    const std::size_t v = layout.size();
    REQUIRE((layout.trained() == 5 * 6 + 6 + 6 + 6 + 6 * 3 + 3 && v == layout.trained() + 12));
    CHECK(layout.places().back().name == "bn.running_var");
    std::vector<float> start = layout.initial_values(1, 0);
    const auto other = layout.initial_values(1, 1);
    start.insert(start.end(), other.begin(), other.end());
    CHECK((start[layout.trained()] == 0 && start[v - 1] == 1 && start[layout["bn.weight"].offset] == 1));
    const Buffer<float> theta(s, start), x(s, random_values<float>(std::size_t(networks * rows) * 5, 1)),
        gradient(s, std::vector<float>(start.size())),
        d_out(s, random_values<float>(std::size_t(networks * rows) * 3, 2));
    CHECK_THROWS_AS(training.program.forward(s, theta, x), Error);
    training.program.move_state_of(theta);
    training.program.forward(s, theta, x);
    training.program.backward(s, theta, gradient, d_out, x);
    const auto moved = theta.host(), slope = gradient.host();
    for (std::size_t i = 0; i < v; ++i) { // the weights are where they were, the state is not, and has no gradient
      CHECK((moved[i] == start[i]) == (i < layout.trained()));
      CHECK((i < layout.trained() || slope[i] == 0));
    }
    // 0.1 of the way to the batch's mean and unbiased variance of the second network's first unit.
    const std::vector<float> inputs = x.host();
    const float *w = moved.data() + v, *bias = w + layout["fc.bias"].offset;
    double sum = 0, square = 0;
    for (int r = 0; r < rows; ++r) {
      double h = double(bias[0]);
      for (int i = 0; i < 5; ++i)
        h += double(w[i]) * double(inputs[std::size_t((rows + r) * 5 + i)]);
      sum += h, square += h * h;
    }
    const double mean = sum / rows, variance = (square - sum * mean) / (rows - 1);
    CHECK(double(w[layout["bn.running_mean"].offset]) == doctest::Approx(0.1 * mean).epsilon(1e-4));
    CHECK(double(w[layout["bn.running_var"].offset]) == doctest::Approx(0.9 + 0.1 * variance).epsilon(1e-4));
    const auto inferred =
        to_host(s, inference.program.infer(s, theta, x, networks, rows), std::size_t(networks * rows) * 3);
    CHECK(theta.host() == moved);
    return Results{moved, slope, inferred};
  });
  // Its units carry their statistics with them.
  const auto groups = normalised().symmetries();
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].axes.size() == 2 + 4 + 1);
  CHECK(groups[0].axes[4].tensor == 6);
}

TEST_CASE("program: gradients through a batch's statistics agree with central differences in double") {
  check_program(normalised(), 2, 5);
}

namespace {

// A transformer of one block over 3 tokens of 4 numbers.
Program transformer() {
  Program p("transformer", NetworkShape{});
  Value x = positions(p, "pos", linear(p, "embed", p.input({3, 4}), 6));
  x = add(p, x, linear(p, "proj", attention(p, linear(p, "qkv", layer_norm(p, "norm1", x), 18), 3), 6));
  x = add(p, x, linear(p, "fc2", linear(p, "fc1", layer_norm(p, "norm2", x), 7, Activation::gelu), 6));
  linear(p, "head", mean_of_tokens(p, layer_norm(p, "norm", x)), 3);
  return p;
}

} // namespace

TEST_CASE("program: tokens attend to one another; gradients, devices, and heads that may change places") {
  check_program(transformer(), 2, 3);
  same_on_every_device(4 * 0x1p-8, [&](Stream &s) { // on cuda attention multiplies in bf16 (test_attention.cpp)
    const int networks = 2, rows = 3;
    ProgramRun<float> training(s, transformer(), true, networks, rows);
    const Buffer<float> theta(s, some_weights(training.program.layout(), networks)),
        x(s, random_values<float>(std::size_t(networks * rows) * 12, 1)), gradient(s, std::vector<float>(theta.size())),
        d_out(s, random_values<float>(std::size_t(networks * rows) * 3, 2));
    const auto out = to_host(s, training.program.forward(s, theta, x), std::size_t(networks * rows) * 3);
    training.program.backward(s, theta, gradient, d_out, x);
    return Results{out, gradient.host()};
  });
  const Program p = transformer();
  const Layout layout = p.layout();
  const Symmetries groups = p.symmetries();
  REQUIRE(groups.size() == 3);
  CHECK((groups[0].units == 6 && groups[1].units == 3 && groups[2].units == 7)); // the stream, heads, hidden units
  CHECK(groups[1].axes.size() == 3);
  const auto theta = some_weights(layout, 1);
  const auto shown = [&](const std::vector<float> &of) {
    Stream s{Device{}};
    ProgramRun<double> run(s, transformer(), false, 1, 2);
    const Buffer<double> weights(s, std::vector<double>(of.begin(), of.end())), x(s, random_values<double>(24, 9));
    return to_host(s, run.program.infer(s, weights, x, 1, 2), 6);
  };
  for (const UnitGroup &group : groups) {
    const auto moved = rotated(theta, layout, group);
    CHECK(moved != theta);
    CHECK(relative_error(shown(moved), shown(theta)) <= 1e-12);
  }
  Program wrong("wrong", NetworkShape{});
  const Value tokens = linear(wrong, "a", wrong.input({3, 4}), 18);
  CHECK_THROWS_AS(attention(wrong, tokens, 4), InputError);
  CHECK_THROWS_AS(mean_of_tokens(wrong, {0}), InputError);
}

namespace {

// A model of three characters out of five, by the mean of what they are and where.
Program characters() {
  Program p("characters", NetworkShape{});
  Value x = positions(p, "pos", embedding(p, "embed", p.input({3}), 5, 4));
  x = add(p, x, linear(p, "fc2", linear(p, "fc1", layer_norm(p, "norm", x), 7, Activation::tanh), 4));
  linear(p, "head", mean_of_tokens(p, x), 5);
  return p;
}

} // namespace

TEST_CASE("program: characters are looked up; gradients in double, devices, and units of the stream") {
  const Program p = characters();
  const Layout layout = p.layout();
  CHECK(layout.places()[0].name == "embed.weight");
  const int networks = 2, rows = 4;
  const std::vector<double> numbers{0, 4, 2, 1, 1, 3, 2, 0, 4, 4, 1, 3, 3, 0, 1, 2, 2, 2, 1, 0, 3, 4, 4, 0};
  const auto weights = some_weights(layout, networks);
  // The loss is what a fixed d_out sees: central differences of it along random directions.
  Stream s{Device{}};
  ProgramRun<double> run(s, characters(), true, networks, rows);
  const Buffer<double> x(s, numbers), d_out(s, random_values<double>(std::size_t(networks * rows) * 5, 2));
  const auto loss = [&](const std::vector<double> &theta) {
    const Buffer<double> at(s, theta);
    const auto out = to_host(s, run.program.forward(s, at, x), std::size_t(networks * rows) * 5);
    const auto d = d_out.host();
    return std::inner_product(out.begin(), out.end(), d.begin(), 0.0);
  };
  std::vector<double> theta(weights.begin(), weights.end());
  loss(theta);
  const Buffer<double> at(s, theta), gradient(s, std::vector<double>(theta.size()));
  run.program.forward(s, at, x);
  run.program.backward(s, at, gradient, d_out, x);
  for (std::uint32_t k = 0; k < 4; ++k) {
    const auto way = random_values<double>(theta.size(), 20 + k);
    auto more = theta, less = theta;
    for (std::size_t i = 0; i < theta.size(); ++i)
      more[i] += 1e-5 * way[i], less[i] -= 1e-5 * way[i];
    const auto g = gradient.host();
    CHECK((loss(more) - loss(less)) / 2e-5 ==
          doctest::Approx(std::inner_product(g.begin(), g.end(), way.begin(), 0.0)).epsilon(1e-7));
  }
  same_on_every_device(1e-4, [&](Stream &on) {
    ProgramRun<float> training(on, characters(), true, networks, rows);
    const Buffer<float> of(on, weights), ids(on, std::vector<float>(numbers.begin(), numbers.end())),
        d(on, std::vector<float>(weights.size())), given(on, random_values<float>(std::size_t(networks * rows) * 5, 2));
    const auto out = to_host(on, training.program.forward(on, of, ids), std::size_t(networks * rows) * 5);
    training.program.backward(on, of, d, given, ids);
    return Results{out, d.host()};
  });
  const Symmetries groups = p.symmetries();
  REQUIRE(groups.size() == 2);
  CHECK((groups[0].units == 4 && groups[1].units == 7)); // the stream, hidden units
  const auto one = some_weights(layout, 1);
  const auto shown = [&](const std::vector<float> &of) {
    ProgramRun<double> infers(s, characters(), false, 1, 2);
    const Buffer<double> values(s, std::vector<double>(of.begin(), of.end())),
        ids(s, std::vector<double>{0, 4, 2, 3, 1, 1});
    return to_host(s, infers.program.infer(s, values, ids, 1, 2), 10);
  };
  for (const UnitGroup &group : groups) {
    const auto moved = rotated(one, layout, group);
    CHECK(moved != one);
    CHECK(relative_error(shown(moved), shown(one)) <= 1e-12);
  }
  Program wrong("wrong", NetworkShape{});
  const Value tokens = linear(wrong, "a", wrong.input({3}), 3);
  CHECK_THROWS_AS(embedding(wrong, "e", tokens, 5, 4), InputError);
}

namespace {

// A residual network of images [2, 6, 5]: a stem, a block that a shortcut with a stride passes by, a depthwise block.
Program images(Activation act) {
  Program p("images", NetworkShape{});
  Value x = p.input({2, 6, 5});
  x = batch_norm(p, "bn1", convolution(p, "conv1", x, {.channels = 4, .padding = 1, .has_bias = false}), act);
  x = max_pool(p, x, 3, 1, 1);
  const Value side = convolution(p, "down", x, {.channels = 6, .kernel = 1, .stride = 2});
  Value y = activation(p, convolution(p, "a.conv1", x, {.channels = 3, .stride = 2, .padding = 1}), act);
  x = add(p, side, batch_norm(p, "a.bn2", convolution(p, "a.conv2", y, {.channels = 6, .padding = 1})));
  x = add(p, x, convolution(p, "b.dw", x, {.channels = 6, .kernel = 5, .padding = 2, .groups = 6}));
  linear(p, "fc", add(p, mean_of_image(p, x), linear(p, "flat", flatten(p, x), 6)), 3);
  return p;
}

} // namespace

TEST_CASE("program: residual networks of images: gradients, devices, symmetries, depths") {
  check_program(images(Activation::tanh), 2, 3);
  same_on_every_device(1e-5, [&](Stream &s) {
    const int networks = 2, rows = 5;
    ProgramRun<float> training(s, images(Activation::relu), true, networks, rows),
        inference(s, images(Activation::relu), false, networks, rows);
    const Layout &of = training.program.layout();
    const Buffer<float> theta(s, as_state(some_weights(of, networks), of)),
        x(s, random_values<float>(std::size_t(networks * rows) * 60, 1)), gradient(s, std::vector<float>(theta.size())),
        d_out(s, random_values<float>(std::size_t(networks * rows) * 3, 2));
    training.program.move_state_of(theta);
    const auto out = to_host(s, training.program.forward(s, theta, x), std::size_t(networks * rows) * 3);
    training.program.backward(s, theta, gradient, d_out, x);
    const auto inferred =
        to_host(s, inference.program.infer(s, theta, x, networks, rows), std::size_t(networks * rows) * 3);
    return Results{out, gradient.host(), inferred};
  });
  const Program p = images(Activation::tanh);
  CHECK(p.multiply_adds() == 2 * 4 * 9 * 30 + 4 * 6 * 9 + 4 * 3 * 9 * 9 + 3 * 6 * 9 * 9 + 6 * 25 * 9 + 54 * 6 + 18);
  const Layout layout = p.layout();
  CHECK(layout["conv1.weight"].shape == Shape{4, 2, 3, 3});
  CHECK(layout["b.dw.weight"].shape == Shape{6, 1, 5, 5});
  CHECK_THROWS_AS(layout["conv1.bias"], Error);
  const Symmetries groups = p.symmetries();
  REQUIRE(groups.size() == 3);
  CHECK((groups[0].units == 4 && groups[0].pooled && groups[0].axes.size() == 1 + 4 + 2));
  // The stream is behind two layers at most, and the output's layer reads it.
  const UnitGroup &stream = groups[1].units == 6 ? groups[1] : groups[2];
  CHECK((stream.units == 6 && stream.inputs == 1 && stream.outputs == 0));
  CHECK(stream.axes.size() == 2 + 2 + 4 + 2 + 1 + 2 + 1);
  const auto theta = as_state(some_weights(layout, 1), layout);
  const auto shown = [&](const std::vector<float> &of) {
    Stream s{Device{}};
    ProgramRun<double> run(s, images(Activation::tanh), false, 1, 2);
    const Buffer<double> weights(s, std::vector<double>(of.begin(), of.end())), x(s, random_values<double>(120, 9));
    return to_host(s, run.program.infer(s, weights, x, 1, 2), 6);
  };
  for (const UnitGroup &group : groups) {
    const auto moved = rotated(theta, layout, group);
    CHECK(moved != theta);
    CHECK(relative_error(shown(moved), shown(theta)) <= 1e-12);
  }
}

TEST_CASE("program: sequences are convolved too") {
  const auto made = [] {
    Program p("sequence", NetworkShape{});
    const Value x = convolution(p, "conv1", p.input({2, 1, 9}), {.channels = 3, .padding = 1, .is_sequence = true});
    linear(p, "fc", mean_of_image(p, activation(p, x, Activation::tanh)), 3);
    return p;
  };
  check_program(made(), 2, 3);
  const Program p = made();
  CHECK(p.trained()["conv1.weight"].shape == Shape{3, 2, 3});
  CHECK(p.multiply_adds() == 9 * 3 * 6 + 9);
  CHECK(p.symmetries().front().axes.size() == 3);
}

TEST_CASE("program: a convolutional classifier goes layer by layer as PyTorch computes it, and to any depth") {
  const Golden golden("net_cnn_s");
  NetworkShape small{{20, 10}, Activation::tanh, Initialisation::pytorch, network_kind_named("cnn")};
  small.own = CnnSettings{28, 1, {{8, 5, 2}, {6, 5, 2}, {4, 2, 1}}};
  in_every_precision([&]<class T>(T, Stream &s) {
    const int rows = golden.side("x", 0);
    ProgramRun<T> run(s, small.kind->program(small), true, 1, rows);
    const Layout &layout = run.program.layout();
    std::vector<T> theta(layout.size());
    for (const auto &place : layout.places()) {
      const auto values = golden.get<T>("param." + place.name);
      std::copy(values.begin(), values.end(), theta.begin() + std::ptrdiff_t(place.offset));
    }
    const Buffer<T> weights(s, theta), x(s, golden.get<T>("x")), gradient(s, std::vector<T>(layout.size())),
        row_loss(s, std::size_t(rows));
    const Buffer<std::uint8_t> label(s, golden.labels("label"));
    T *logits = run.program.forward(s, weights, x);
    CHECK(relative_error(to_host(s, logits, std::size_t(rows) * 10), golden.get<T>("output")) <= golden_tolerance<T>);
    softmax_cross_entropy<T>(s, row_loss, logits, logits, label, {rows, 10, rows, 0, 1.0 / rows});
    run.program.backward(s, weights, gradient, logits, x);
    const auto found = gradient.host();
    for (const auto &place : layout.places()) {
      CAPTURE(place.name);
      const auto first = found.begin() + std::ptrdiff_t(place.offset);
      CHECK(relative_error(std::vector<T>(first, first + std::ptrdiff_t(elements_of(place))),
                           golden.get<T>("grad." + place.name)) <= golden_tolerance<T>);
    }
  });
  NetworkShape cnn{{10}, Activation::relu, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{28, 1, {}};
  for (int l = 0; l < 12; ++l)
    cnn.as<CnnSettings>().convolutions.push_back({3, 2, 1});
  CHECK_FALSE(cnn.kind->whole_runs(cnn, 8));
  CHECK(cnn.kind->layered(cnn));
  CHECK(cnn.kind->program(cnn).values() == 1 + 12 * 2 + 2);
  CHECK(cnn.kind->symmetries(cnn).size() == 12);
}

TEST_CASE("program: what images cannot be is refused") {
  Program p("wrong", NetworkShape{});
  const Value image = p.input({4, 5, 6});
  CHECK_THROWS_WITH_AS(convolution(p, "c", image, {.channels = 3, .kernel = 6}),
                       doctest::Contains("leaves nothing of an image of 5 x 6"), InputError);
  CHECK_THROWS_WITH_AS(convolution(p, "c", image, {.channels = 4, .groups = 2}),
                       doctest::Contains("found 2 groups from 4 to 4 channels"), InputError);
  CHECK_THROWS_WITH_AS(convolution(p, "c", image, {.channels = 4, .is_sequence = true}),
                       doctest::Contains("found 5 rows, expected a sequence"), InputError);
  CHECK_THROWS_WITH_AS(max_pool(p, image, 6, 2), doctest::Contains("expected 1 to 15 that fit"), InputError);
  CHECK_THROWS_WITH_AS(linear(p, "fc", image, 3), doctest::Contains("expected a vector or tokens"), InputError);
  CHECK_THROWS_WITH_AS(flatten(p, flatten(p, image)), doctest::Contains("expected an image"), InputError);
}
