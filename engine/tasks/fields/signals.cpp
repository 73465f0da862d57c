#include "signals.h"
#include "engine/networks/field.h"
#include "engine/networks/kind.h"
#include "engine/zoo/evaluator.h"
#include "engine/zoo/learning.h"
#include "kernels/operations/low_rank.h"
#include "kernels/operations/reduce.h"

namespace theta {

namespace {

// From planes [channels, pixels] of images to what fields learn at each point, [pixels, channels].
std::vector<std::uint8_t> by_point(const std::vector<std::uint8_t> &images, const DatasetSizes &sizes) {
  const auto area = std::size_t(sizes.pixels), channels = std::size_t(sizes.channels);
  std::vector<std::uint8_t> points(images.size());
  for (std::size_t i = 0; i < images.size(); i += area * channels)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t p = 0; p < area; ++p)
        points[i + p * channels + c] = images[i + c * area + p];
  return points;
}

class SignalPart : public TrainingPart {
public:
  SignalPart(const NetworkShape &shape, const DatasetSizes &sizes, std::size_t some)
      : TrainingPart(sizes), shape_(shape), signals_(some > 0 ? some : sizes.train) {}

  void plan(MemoryPlan &plan) override {
    const auto signals = std::int64_t(signals_);
    bytes_ = plan.reserve<std::uint8_t>("zoo.images", MemoryClass::data, {signals, sizes_.values()}, "data.pool");
    coordinates_ = plan.reserve<float>("zoo.coordinates", MemoryClass::data, {sizes_.pixels, inputs_of(shape_)});
  }
  Examples upload(Stream &s, const Dataset &data, const std::vector<std::uint32_t> *chosen) const override {
    const std::size_t values = std::size_t(sizes_.values());
    std::vector<std::uint8_t> some;
    if (chosen)
      for (const std::uint32_t signal : *chosen)
        some.insert(some.end(), data.train.pixels.begin() + std::ptrdiff_t(signal * values),
                    data.train.pixels.begin() + std::ptrdiff_t((signal + 1) * values));
    const auto bytes = by_point(chosen ? some : data.train.pixels, sizes_);
    copy(s, bytes_, bytes.data(), bytes.size());
    const auto points = encoded(data.coordinates(), octaves_of(shape_));
    copy(s, coordinates_, points.data(), points.size() * sizeof(float));
    Examples examples;
    examples.field = {coordinates_,
                      bytes_,
                      std::uint32_t(signals_),
                      std::uint32_t(sizes_.pixels),
                      inputs_of(shape_),
                      sizes_.channels,
                      value_scale,
                      value_shift};
    s.synchronize();
    return examples;
  }
  void score_on(Evaluator &evaluator, Stream &, const Dataset &, const Examples &examples, std::size_t) const override {
    evaluator.look_at(examples);
  }
  std::vector<ColumnValue> facts(const ZooRecipe &, std::uint64_t, long run, const Dataset &data) const override {
    const std::uint32_t signal = signal_of(run);
    std::vector<ColumnValue> all{std::int64_t(signal)};
    if (sizes_.classes > 0)
      all.push_back(std::int64_t(data.train.labels[signal]));
    return all;
  }

private:
  NetworkShape shape_;
  std::size_t signals_;
  Tensor<std::uint8_t> bytes_; // [signals, values]
  Tensor<float> coordinates_;  // [pixels, inputs]
};

// The mean squared error at the batch's points.
class SignalLoss : public BatchLoss {
public:
  explicit SignalLoss(const NetworkShape &shape) : inputs_(inputs_of(shape)), outputs_(outputs_of(shape)) {}
  void plan(MemoryPlan &plan, int networks, int batch) override {
    networks_ = networks, batch_ = batch;
    const auto reserve = [&](const char *name, int width) {
      return plan.reserve<float>(name, MemoryClass::data, {networks, batch, width}, "zoo.wave, zoo.batch");
    };
    x_ = reserve("zoo.x", inputs_), wanted_ = reserve("zoo.wanted", outputs_),
    missed_ = reserve("zoo.missed", outputs_);
    partial_ = plan.reserve<float>("zoo.partial", MemoryClass::workspace, {std::int64_t(partial_sums)});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(x_, wanted_, missed_, partial_); }
  void compute(Stream &s, LayeredNetworks<float> &networks, const TrainingRuns<float> &runs, const Examples &examples,
               float *gradient, long step) const override {
    const FieldSet &set = examples.field;
    const std::size_t values = std::size_t(batch_) * std::size_t(outputs_);
    gather_points<float>(s, x_, wanted_,
                         {set.coordinate, set.value, set.signals, set.inputs, set.outputs, set.scale, set.shift},
                         {networks_, batch_, set.points, runs.seed, runs.first_run, std::uint64_t(step)});
    const float *out = networks.forward(s, runs.theta, x_);
    for (std::size_t i = 0; i < std::size_t(runs.networks); ++i) // 2·(out − wanted)/values of each
      mean_squared_error<float>(s, runs.loss + i, missed_ + i * values, out + i * values, wanted_ + i * values, values,
                                partial_);
    networks.backward(s, runs.theta, gradient, missed_, x_);
  }

private:
  int inputs_, outputs_, networks_ = 0, batch_ = 0;
  Tensor<float> x_, wanted_, missed_, partial_; // [networks, batch, inputs], [networks, batch, outputs] twice; sums
};

class Signals : public Learning {
public:
  const char *name() const override { return "signals"; }
  void check(const ZooRecipe &r) const override {
    for (const auto &[key, choice] :
         {std::pair{"zoo.label_smoothing", &r.label_smoothing}, {"zoo.label_noise", &r.label_noise}})
      if (!choice->is_fixed() || choice->values[0] != 0)
        throw InputError(key, ": found a value, expected 0: fields have no labels");
    if (r.augment.any())
      throw InputError(
          "zoo.crop, zoo.flip, zoo.cutout or zoo.mixup: found one of them, expected none: a field learns its signal as "
          "it is");
  }
  std::vector<ScoredPart> scored_on(const DatasetSizes &) const override { return {{"", 0, "test_loss", "psnr"}}; }
  std::vector<Column> columns(const DatasetSizes &sizes) const override {
    const Column signal{"signal", Dtype::i64};
    return sizes.classes > 0 ? std::vector{signal, Column{"class", Dtype::i64}} : std::vector{signal};
  }
  std::unique_ptr<BatchLoss> batch_loss(const NetworkShape &shape, const ZooRecipe &) const override {
    return std::make_unique<SignalLoss>(shape);
  }
  std::unique_ptr<TrainingPart> part(const NetworkShape &shape, const DatasetSizes &sizes,
                                     std::size_t some) const override {
    return std::make_unique<SignalPart>(shape, sizes, some);
  }
};

} // namespace

std::unique_ptr<const Learning> make_signals() { return std::make_unique<Signals>(); }

std::vector<float> values_at(const Dataset &data, std::size_t signal, const std::vector<std::size_t> &points) {
  const std::size_t area = std::size_t(data.pixels()), channels = std::size_t(data.channels);
  std::vector<float> values;
  for (const std::size_t p : points)
    for (std::size_t c = 0; c < channels; ++c)
      values.push_back(float(data.train.pixels[signal * area * channels + c * area + p]) / 255 + float(value_shift));
  return values;
}

std::vector<float> picture_of(const Dataset &data, std::size_t signal) {
  const std::size_t area = std::size_t(data.pixels()), channels = std::size_t(data.channels);
  std::vector<float> picture(area * channels);
  for (std::size_t p = 0; p < area; ++p)
    for (std::size_t c = 0; c < channels; ++c)
      picture[p * channels + c] = float(data.train.pixels[(signal * channels + c) * area + p]) / 255;
  return picture;
}

std::vector<float> in_planes(const float *picture, std::size_t pixels, std::size_t channels) {
  std::vector<float> planes(pixels * channels);
  for (std::size_t p = 0; p < pixels; ++p)
    for (std::size_t c = 0; c < channels; ++c)
      planes[c * pixels + p] = picture[p * channels + c];
  return planes;
}

std::vector<float> pixel_grid(int side) {
  Dataset grid;
  grid.side = side;
  return grid.coordinates();
}

bool is_field(const NetworkShape &shape) { return std::string_view(shape.kind->learns(shape)) == "signals"; }

bool is_field_of(const NetworkShape &shape, const DatasetSizes &sizes) {
  return is_field(shape) && inputs_of(shape) == field_inputs(sizes.dimensions, octaves_of(shape)) &&
         outputs_of(shape) == sizes.channels;
}

} // namespace theta
