#include "convnext.h"
#include "data/json.h"
#include "kind.h"

namespace theta {

namespace {

constexpr double convnext_eps = 1e-6; // of norms
constexpr double first_scale = 1e-6;  // of what blocks add (LayerScale: Touvron et al., 2021)

// A block's stream is of tokens; the depthwise convolution alone looks at them as an image.
Value convnext_block(Program &p, const std::string &name, Value x, int height, int kernel, Activation act) {
  const int width = p.width(x);
  const std::size_t gamma = p.tensor(name + "gamma", {width}, {.constant = first_scale});
  const Convolution depthwise{.channels = width, .kernel = kernel, .padding = kernel / 2, .groups = width};
  Value y = tokens_of(p, convolution(p, name + "conv_dw", image_of(p, x, height), depthwise));
  y = linear(p, name + "mlp.fc1", layer_norm(p, name + "norm", y, convnext_eps), 4 * width, act);
  return scaled_add(p, gamma, x, linear(p, name + "mlp.fc2", y, width));
}

Program convnext_program(const NetworkShape &shape) {
  const auto &own = shape.as<ConvNextSettings>();
  if (shape.widths.size() != own.blocks.size() + 1)
    throw InputError("network.widths: found ", shape.widths.size(), ", expected ", own.blocks.size() + 1,
                     ": one for each stage of network.convnext.blocks, and the classes");
  if (own.kernel % 2 == 0)
    throw InputError("network.convnext.kernel: found ", own.kernel, ", expected an odd one");
  Program p("convnext", shape);
  const Value image = p.input({own.channels, own.side, own.side});
  Value y = convolution(p, "stem.0", image, {.channels = shape.widths[0], .kernel = own.patch, .stride = own.patch});
  int height = int(p.shape(y)[1]);
  Value x = layer_norm(p, "stem.1", tokens_of(p, y), convnext_eps);
  for (std::size_t stage = 0; stage < own.blocks.size(); ++stage) {
    const std::string name = text("stages.", stage, ".");
    if (stage > 0) {
      y = image_of(p, layer_norm(p, name + "downsample.0", x, convnext_eps), height);
      y = convolution(p, name + "downsample.1", y, {.channels = shape.widths[stage], .kernel = 2, .stride = 2});
      height = int(p.shape(y)[1]), x = tokens_of(p, y);
    }
    for (int b = 0; b < own.blocks[stage]; ++b)
      x = convnext_block(p, text(name, "blocks.", b, "."), x, height, own.kernel, shape.act);
  }
  linear(p, "head.fc", layer_norm(p, "head.norm", mean_of_tokens(p, x), convnext_eps), shape.widths.back());
  return p;
}

class ConvNextKind : public NetworkKind {
public:
  const char *name() const override { return "convnext"; }
  void describe_table(Keys &keys, NetworkShape &shape) const override {
    auto &own = shape.as<ConvNextSettings>();
    keys.section("network.convnext");
    keys({"patch", "side and stride of the stem's kernel"}, own.patch, positive);
    keys({"blocks", "of each stage"}, own.blocks, positive);
    keys({"kernel", "of depthwise convolutions, odd"}, own.kernel, positive);
  }
  void look_at(NetworkShape &shape, const std::function<ImageFormat()> &images) const override {
    take_format<ConvNextSettings>(shape, images());
  }
  void for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const override {
    for (std::size_t i = 0; i + 1 < shape.widths.size(); ++i)
      f(shape.widths[i]);
  }
  Program program(const NetworkShape &shape) const override { return convnext_program(shape); }
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }

  void write(Json &to, const NetworkShape &shape) const override {
    const auto &own = shape.as<ConvNextSettings>();
    to["side"] = own.side, to["channels"] = own.channels;
    to["patch"] = own.patch, to["blocks"] = own.blocks, to["kernel"] = own.kernel;
  }
  void read(const Json &from, NetworkShape &shape) const override {
    const auto of = [&](const char *key) { return from.at(key).get<int>(); };
    shape.own = ConvNextSettings{of("side"), of("channels"), of("patch"), from.at("blocks").get<std::vector<int>>(),
                                 of("kernel")};
  }

  // By timm's names. The side is none of what tensors tell: eight times what all strides divide, 256 for a patch of 4 and
  // four stages.
  std::optional<Recognised> recognise(const std::vector<TensorShape> &given, std::string &why) const override {
    const TensorsByName tensors(given, "stages.0.blocks.0.conv_dw.weight");
    const Shape *stem = tensors.find("stem.0.weight"), *head = tensors.find("head.fc.weight");
    if (!stem || !head || stem->size() != 4 || head->size() != 2)
      return {};
    NetworkShape shape{{}, Activation::gelu, Initialisation::pytorch, this};
    ConvNextSettings own{8 * int((*stem)[2]), int((*stem)[1]), int((*stem)[2]), {}, 0};
    for (std::size_t stage = 0;; ++stage) {
      const Shape *first = tensors.find(text("stages.", stage, ".blocks.0.conv_dw.weight"));
      if (!first || first->size() != 4)
        break;
      shape.widths.push_back(int((*first)[0])), own.kernel = int((*first)[2]), own.blocks.push_back(0);
      own.side *= stage > 0 ? 2 : 1;
      while (tensors.find(text("stages.", stage, ".blocks.", own.blocks.back(), ".conv_dw.weight")))
        ++own.blocks.back();
    }
    shape.widths.push_back(int((*head)[0]));
    shape.own = own;
    return tensors.recognised_as(shape, why);
  }
};

} // namespace

std::unique_ptr<const NetworkKind> make_convnext_kind() { return std::make_unique<ConvNextKind>(); }

} // namespace theta
