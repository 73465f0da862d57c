#include "resnet.h"
#include "data/json.h"
#include "kind.h"
#include <algorithm>

namespace theta {

namespace {

struct Depth {
  int depth;
  std::vector<int> blocks; // of each stage
  bool bottleneck = false; // 1x1, 3x3 and 1x1, four times as wide; else two of 3x3
};
const std::vector<Depth> of_four_stages = {{18, {2, 2, 2, 2}},
                                           {34, {3, 4, 6, 3}},
                                           {50, {3, 4, 6, 3}, true},
                                           {101, {3, 4, 23, 3}, true},
                                           {152, {3, 8, 36, 3}, true}};

Depth depth_of(const NetworkShape &shape) {
  const int depth = shape.as<ResNetSettings>().depth;
  const std::size_t stages = shape.widths.size() - 1;
  if (stages == 3 && depth >= 8 && (depth - 2) % 6 == 0)
    return {depth, std::vector<int>(3, (depth - 2) / 6)};
  for (const Depth &one : of_four_stages)
    if (stages == 4 && one.depth == depth)
      return one;
  throw InputError("network.resnet.depth: found ", depth, " with ", stages,
                   " stages, expected 18, 34, 50, 101 or 152 with four, or 8, 14, 20, ... with three; the last of "
                   "network.widths are the classes");
}

Value residual_block(Program &p, const std::string &name, Value x, int width, int stride, bool bottleneck,
                     Activation act) {
  const auto layer = [&](Value of, int number, const Convolution &c, Activation then) {
    const Value y = convolution(p, text(name, "conv", number), of, c);
    return batch_norm(p, text(name, "bn", number), y, then);
  };
  const int out = bottleneck ? 4 * width : width, in = int(p.shape(x)[0]);
  Value y = bottleneck ? layer(x, 1, {.channels = width, .kernel = 1, .has_bias = false}, act)
                       : layer(x, 1, {.channels = width, .stride = stride, .padding = 1, .has_bias = false}, act);
  y = layer(y, 2, {.channels = width, .stride = bottleneck ? stride : 1, .padding = 1, .has_bias = false},
            bottleneck ? act : Activation::none);
  if (bottleneck)
    y = layer(y, 3, {.channels = out, .kernel = 1, .has_bias = false}, Activation::none);
  if (stride != 1 || in != out) {
    const Value side =
        convolution(p, name + "downsample.0", x, {.channels = out, .kernel = 1, .stride = stride, .has_bias = false});
    x = batch_norm(p, name + "downsample.1", side);
  }
  return activation(p, add(p, y, x), act);
}

Program resnet_program(const NetworkShape &shape) {
  const auto &own = shape.as<ResNetSettings>();
  if (shape.widths.size() < 2)
    throw InputError("network.widths: found ", shape.widths.size(),
                     ", expected the width of each stage, and the classes");
  const Depth depth = depth_of(shape);
  const bool small = own.stem == "small";
  Program p("resnet", shape);
  Value x = p.input({own.channels, own.side, own.side});
  x = convolution(p, "conv1", x,
                  {.channels = shape.widths[0],
                   .kernel = small ? 3 : 7,
                   .stride = small ? 1 : 2,
                   .padding = small ? 1 : 3,
                   .has_bias = false});
  x = batch_norm(p, "bn1", x, shape.act);
  if (!small)
    x = max_pool(p, x, 3, 2, 1);
  for (std::size_t stage = 0; stage + 1 < shape.widths.size(); ++stage)
    for (int b = 0; b < depth.blocks[stage]; ++b)
      x = residual_block(p, text("layer", stage + 1, ".", b, "."), x, shape.widths[stage], stage > 0 && b == 0 ? 2 : 1,
                         depth.bottleneck, shape.act);
  linear(p, "fc", mean_of_image(p, x), shape.widths.back());
  return p;
}

class ResNetKind : public NetworkKind {
public:
  const char *name() const override { return "resnet"; }
  void describe_table(Keys &keys, NetworkShape &shape) const override {
    auto &own = shape.as<ResNetSettings>();
    keys.section("network.resnet");
    keys({"depth", "layers: 18, 34, 50, 101, 152 with four stages; 20, 32, 44, 56, 110 with three"}, own.depth,
         Limits{8, 1202});
    keys({"stem", "small: a kernel of 3; imagenet: of 7 with stride 2, and max pooling"}, own.stem);
    if (own.stem != "small" && own.stem != "imagenet")
      throw InputError("network.resnet.stem: found '", own.stem, "', expected small or imagenet");
  }
  void look_at(NetworkShape &shape, const std::function<ImageFormat()> &images) const override {
    take_format<ResNetSettings>(shape, images());
  }
  void for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const override {
    for (std::size_t i = 0; i + 1 < shape.widths.size(); ++i)
      f(shape.widths[i]);
  }
  Program program(const NetworkShape &shape) const override { return resnet_program(shape); }
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }

  void write(Json &to, const NetworkShape &shape) const override {
    const auto &own = shape.as<ResNetSettings>();
    to["side"] = own.side, to["channels"] = own.channels, to["depth"] = own.depth, to["stem"] = own.stem;
  }
  void read(const Json &from, NetworkShape &shape) const override {
    shape.own = ResNetSettings{from.at("side").get<int>(), from.at("channels").get<int>(), from.at("depth").get<int>(),
                               from.at("stem").get<std::string>()};
  }

  // By torchvision's names. The side is none of what tensors tell: 32 pixels, with the stem of ImageNet 224.
  std::optional<Recognised> recognise(const std::vector<TensorShape> &given, std::string &why) const override {
    const TensorsByName tensors(given, "layer1.0.conv1.weight");
    const Shape *stem = tensors.find("conv1.weight"), *head = tensors.find("fc.weight");
    if (!stem || !head || stem->size() != 4 || head->size() != 2)
      return {};
    const bool small = (*stem)[2] == 3, bottleneck = tensors.find("layer1.0.conv3.weight");
    NetworkShape shape{{}, Activation::relu, Initialisation::pytorch, this};
    std::vector<int> blocks;
    for (int stage = 1; const Shape *first = tensors.find(text("layer", stage, ".0.conv1.weight")); ++stage) {
      shape.widths.push_back(int((*first)[0]));
      for (blocks.push_back(0); tensors.find(text("layer", stage, ".", blocks.back(), ".conv1.weight"));)
        ++blocks.back();
    }
    shape.widths.push_back(int((*head)[0]));
    const auto known = std::find_if(of_four_stages.begin(), of_four_stages.end(), [&](const Depth &one) {
      return one.blocks == blocks && one.bottleneck == bottleneck;
    });
    const bool is_cifar = blocks.size() == 3 && blocks[0] == blocks[1] && blocks[1] == blocks[2] && !bottleneck;
    if (known == of_four_stages.end() && !is_cifar) {
      why = "a residual network of other blocks than those of 18, 34, 50, 101, 152 or 6n + 2 layers";
      return {};
    }
    shape.own = ResNetSettings{small ? 32 : 224, int((*stem)[1]), is_cifar ? 6 * blocks[0] + 2 : known->depth,
                               small ? "small" : "imagenet"};
    return tensors.recognised_as(shape, why);
  }
};

} // namespace

std::unique_ptr<const NetworkKind> make_resnet_kind() { return std::make_unique<ResNetKind>(); }

} // namespace theta
