// A signal itself as a network's weights: what a diffusion on pixels learns, to stand beside diffusions on fields.
// Nothing is trained: the weights are the values, in ±1/2 as fields have them.
#include "kernels/device/bf16.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/reduce.h"
#include "kind.h"

namespace theta {

namespace {

class PixelRuns : public WholeRuns {
public:
  explicit PixelRuns(std::size_t values) : values_(values) {}

  bool fit(Backend) const override { return true; }
  std::size_t workspace(Backend, int) const override { return (2 * values_ + partial_sums) * sizeof(float); }
  double flops_of_a_step() const override { return double(values_); }
  double bytes_of_a_step() const override { return double(values_); }

  // All is done with the first step.
  void train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long first, long,
             void *) const override {
    for (int i = 0; first == 0 && i < runs.networks; ++i) {
      float *theta = runs.theta + std::size_t(i) * values_;
      value_of(s, theta, examples.field, (runs.first_run + std::uint32_t(i)) % examples.field.signals);
      for (int k = 0; k < runs.checkpoints; ++k)
        keep(s, runs, runs.row + (std::size_t(i) * std::size_t(runs.checkpoints) + std::size_t(k)) * values_, theta);
    }
  }
  void evaluate(Stream &s, float *loss, std::uint32_t *, float *, const float *theta, const Activation *,
                const std::uint32_t *signal, int networks, const Examples &examples, void *workspace) const override {
    float *wanted = static_cast<float *>(workspace), *slope = wanted + values_, *partials = slope + values_;
    const auto signals = to_host(s, signal, std::size_t(networks));
    for (int i = 0; i < networks; ++i) {
      value_of(s, wanted, examples.field, signals[std::size_t(i)]);
      mean_squared_error<float>(s, loss + i, slope, theta + std::size_t(i) * values_, wanted, values_, partials);
    }
  }

private:
  // As it will be stored.
  void keep(Stream &s, const TrainingRuns<float> &runs, float *row, const float *theta) const {
    copy(s, row, theta, values_ * sizeof(float));
    if (!runs.rows_are_bf16)
      return;
    auto rounded = to_host(s, theta, values_);
    for (float &x : rounded)
      x = to_float(to_bf16(x));
    copy(s, row, rounded.data(), values_ * sizeof(float));
    s.synchronize();
  }
  void value_of(Stream &s, float *to, const FieldSet &set, std::uint32_t signal) const {
    normalise_images<float>(s, to, set.value + std::size_t(signal) * values_, values_, set.scale, set.shift);
  }
  std::size_t values_;
};

class PixelKind : public NetworkKind {
public:
  const char *name() const override { return "pixels"; }
  const char *learns(const NetworkShape &) const override { return "signals"; }
  bool is_signal() const override { return true; }
  // widths: points, and values at each. Of pictures.
  Layout layout(const NetworkShape &shape) const override {
    if (shape.widths.size() != 2)
      throw InputError("network.widths: found ", shape.widths.size(), " numbers, expected pixels and channels");
    Layout layout;
    layout.add("pixels", {shape.widths[0], shape.widths[1]}, Start{0, 0});
    return layout;
  }
  int inputs(const NetworkShape &) const override { return 2; }
  int outputs(const NetworkShape &shape) const override { return shape.widths.back(); }
  Symmetries symmetries(const NetworkShape &) const override { return {}; }
  void check_fits(const NetworkShape &shape, const DatasetSizes &sizes) const override {
    if (sizes.dimensions != 2 || shape.widths[0] != sizes.pixels || shape.widths[1] != sizes.channels)
      throw InputError("network.widths: found ", shape.widths[0], " pixels and ", shape.widths[1],
                       " channels, expected ", sizes.pixels, " and ", sizes.channels, ", of images");
  }
  std::shared_ptr<LayeredNetworks<float>> layered(const NetworkShape &) const override { return nullptr; }
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &shape, int) const override {
    return std::make_shared<PixelRuns>(layout(shape).size());
  }
};

} // namespace

std::unique_ptr<const NetworkKind> make_pixel_kind() { return std::make_unique<PixelKind>(); }

} // namespace theta
