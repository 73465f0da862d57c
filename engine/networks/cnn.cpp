#include "cnn.h"
#include "data/json.h"
#include "kind.h"

namespace theta {

namespace {

// Throws InputError where nothing is left of an image of such a side.
void check_layer(const CnnLayer &layer, int side, const std::string &which) {
  check_width(layer.channels);
  if (layer.stride != 1 && layer.stride != 2)
    throw InputError("network: ", which, ": found a stride of ", layer.stride, ", expected 1 or 2");
  if (layer.kernel < 1 || (layer.pool != 1 && layer.pool != 2) || side < layer.kernel ||
      ((side - layer.kernel) / layer.stride + 1) / layer.pool < 1)
    throw InputError("network: ", which, ": a kernel of ", layer.kernel, " and pooling by ", layer.pool,
                     " leave nothing of an image of side ", side);
  if (layer.average && layer.pool != 1)
    throw InputError("network: ", which, ": found pooling by ", layer.pool,
                     " and an average of the whole image, expected one of them");
}

Program cnn_program(const NetworkShape &shape) {
  const auto &[side, channels, convolutions] = shape.as<CnnSettings>();
  if (shape.widths.empty())
    throw InputError("network: found ", convolutions.size(),
                     " convolutions and 0 linear layers, expected at least one ", "linear layer");
  Program p("cnn", shape);
  Value x = p.input({channels, side, side});
  for (std::size_t c = 0; c < convolutions.size(); ++c) {
    const CnnLayer &layer = convolutions[c];
    check_layer(layer, int(p.shape(x).back()), text("convolution ", c + 1));
    x = convolution(p, text("conv", c + 1), x, {layer.channels, layer.kernel, layer.stride});
    if (layer.pool > 1)
      x = max_pool(p, x, layer.pool, layer.pool);
    x = activation(p, x, shape.act);
    if (layer.average)
      x = mean_of_image(p, x);
  }
  if (p.shape(x).size() == 3)
    x = flatten(p, x);
  for (std::size_t l = 0; l < shape.widths.size(); ++l)
    x = linear(p, text("fc", l + 1), x, shape.widths[l], l + 1 < shape.widths.size() ? shape.act : Activation::none);
  return p;
}

bool fits_whole_runs(const NetworkShape &shape) {
  return shape.as<CnnSettings>().convolutions.size() + shape.widths.size() <= most_cnn_layers;
}

class CnnRuns : public WholeRuns {
public:
  CnnRuns(const NetworkShape &shape, int batch)
      : p_(cnn_training_of(shape, batch)), flops_(cnn_program(shape).step_flops(batch)) {}

  bool fit(Backend backend) const override { return cnn_training_fits(backend, p_); }
  std::size_t workspace(Backend backend, int networks) const override {
    return cnn_training_workspace(backend, p_, networks);
  }
  double flops_of_a_step() const override { return flops_; }
  double bytes_of_a_step() const override { return double(p_.batch) * p_.in_size(0); }
  void train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long first, long last,
             void *workspace) const override {
    train_cnns<float>(s, runs, examples.images, p_, first, last, workspace);
  }
  void evaluate(Stream &s, float *loss, std::uint32_t *wrong, float *logits, const float *theta, const Activation *act,
                const std::uint32_t *, int networks, const Examples &examples, void *workspace) const override {
    evaluate_cnns<float>(s, loss, wrong, logits, theta, act, networks, examples.images, p_, workspace);
  }

private:
  CnnTraining p_;
  double flops_;
};

class CnnKind : public NetworkKind {
public:
  const char *name() const override { return "cnn"; }

  // One list a property, one entry a convolution.
  void describe(Keys &keys, NetworkShape &shape) const override {
    std::vector<int> channels, kernels, pools, strides;
    bool average = false;
    auto &own = shape.as<CnnSettings>().convolutions;
    for (const CnnLayer &layer : own) {
      channels.push_back(layer.channels), kernels.push_back(layer.kernel), pools.push_back(layer.pool);
      strides.push_back(layer.stride), average = layer.average;
    }
    keys({"channels", "cnn: output channels of each convolution"}, channels, positive);
    keys({"kernels", "cnn: side of each convolution's kernel"}, kernels, positive);
    keys({"pools", "cnn: 2 halves the sides after a convolution (max pooling), 1 does not"}, pools, Limits{1, 2});
    keys({"strides", "cnn: stride of each convolution"}, strides, Limits{1, 2});
    keys({"average", "cnn: the last convolution is averaged over the whole image"},
         average); // of the last one's activations over the whole image
    if (strides.empty())
      strides.assign(channels.size(), 1);
    if (kernels.size() != channels.size() || pools.size() != channels.size() || strides.size() != channels.size())
      throw InputError("network: found ", channels.size(), " channels, ", kernels.size(), " kernels, ", pools.size(),
                       " pools and ", strides.size(), " strides, expected one of each for every convolution");
    if (average && channels.empty())
      throw InputError("network.average: found true, expected a convolution to average");
    own.clear();
    for (std::size_t i = 0; i < channels.size(); ++i)
      own.push_back({channels[i], kernels[i], pools[i], strides[i], average && i + 1 == channels.size()});
  }
  void check_unused(const NetworkShape &shape) const override {
    if (!shape.as<CnnSettings>().convolutions.empty())
      throw InputError("network.channels: found convolutions, expected none but with kind = \"cnn\"");
  }

  void look_at(NetworkShape &shape, const std::function<ImageFormat()> &images) const override {
    take_format<CnnSettings>(shape, images());
  }
  void for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const override {
    for (std::size_t i = 0; i + 1 < shape.widths.size(); ++i)
      f(shape.widths[i]);
    for (CnnLayer &layer : shape.as<CnnSettings>().convolutions)
      f(layer.channels);
  }

  Program program(const NetworkShape &shape) const override { return cnn_program(shape); }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &shape, int batch) const override {
    return fits_whole_runs(shape) ? std::make_shared<CnnRuns>(shape, batch) : nullptr;
  }
  // None: what asks for it is curvature, by hundreds of gradients a network, for which convolutions in double are slow.
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }
  void write(Json &to, const NetworkShape &shape) const override {
    const auto &own = shape.as<CnnSettings>();
    if (own.channels != 1)
      to["channels"] = own.channels;
    to["side"] = own.side, to["convolutions"] = Json::array();
    for (const CnnLayer &c : own.convolutions) {
      Json one{{"channels", c.channels}, {"kernel", c.kernel}, {"pool", c.pool}};
      if (c.stride != 1)
        one["stride"] = c.stride;
      if (c.average)
        one["average"] = true;
      to["convolutions"].push_back(one);
    }
  }
  void read(const Json &from, NetworkShape &shape) const override {
    auto &own = shape.as<CnnSettings>();
    own.side = from.value("side", 0), own.channels = from.value("channels", 1);
    for (const Json &c : from.value("convolutions", Json::array()))
      own.convolutions.push_back({c.at("channels").get<int>(), c.at("kernel").get<int>(), c.at("pool").get<int>(),
                                  c.value("stride", 1), c.value("average", false)});
  }
};

} // namespace

CnnTraining cnn_training_of(const NetworkShape &shape, int batch) {
  cnn_program(shape); // checks it
  const auto &[side, channels, convolutions] = shape.as<CnnSettings>();
  CnnTraining p{.channels = channels, .side = side, .layers = 0, .layer = {}, .batch = batch};
  if (!fits_whole_runs(shape))
    throw InputError("network: found ", convolutions.size(), " convolutions and ", shape.widths.size(),
                     " linear layers, expected at most ", most_cnn_layers, " layers");
  for (const CnnLayer &layer : convolutions)
    p.layer[p.layers++] = layer;
  for (const int width : shape.widths)
    p.layer[p.layers] = {width, p.in_side(p.layers), 1}, ++p.layers;
  return p;
}

std::unique_ptr<const NetworkKind> make_cnn_kind() { return std::make_unique<CnnKind>(); }

} // namespace theta
