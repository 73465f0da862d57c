#include "vit.h"
#include "data/json.h"
#include "kind.h"
#include <cmath>

namespace theta {

namespace {

constexpr double vit_eps = 1e-6; // of norms, as timm's

Program vit_program(const NetworkShape &shape) {
  const auto &own = shape.as<VitSettings>();
  if (shape.widths.size() != 3)
    throw InputError("network.widths: found ", shape.widths.size(),
                     ", expected three: of tokens, of the blocks' hidden layers, and the classes");
  if (own.patch < 1 || own.side % own.patch != 0)
    throw InputError("network.vit.patch: found ", own.patch, ", expected one that divides the images' side, ",
                     own.side);
  const int width = shape.widths[0];
  Program p("vit", shape);
  const Value image = p.input({own.channels, own.side, own.side});
  Value x = convolution(p, "patch_embed.proj", image, {.channels = width, .kernel = own.patch, .stride = own.patch});
  x = positions(p, "pos_embed", class_token(p, "cls_token", tokens_of(p, x)), true);
  for (int b = 0; b < own.blocks; ++b) {
    const std::string name = text("blocks.", b, ".");
    Value y = linear(p, name + "attn.qkv", layer_norm(p, name + "norm1", x, vit_eps), 3 * width);
    x = add(p, x, linear(p, name + "attn.proj", attention(p, y, own.heads), width));
    y = linear(p, name + "mlp.fc1", layer_norm(p, name + "norm2", x, vit_eps), shape.widths[1], shape.act);
    x = add(p, x, linear(p, name + "mlp.fc2", y, width));
  }
  linear(p, "head", first_token(p, layer_norm(p, "norm", x, vit_eps)), shape.widths[2]);
  return p;
}

class VitKind : public NetworkKind {
public:
  const char *name() const override { return "vit"; }
  void describe_table(Keys &keys, NetworkShape &shape) const override {
    auto &own = shape.as<VitSettings>();
    keys.section("network.vit");
    keys({"patch", "side of the squares that become tokens"}, own.patch, positive);
    keys({"blocks", "of attention and a hidden layer each"}, own.blocks, positive);
    keys({"heads", "of attention; they divide the width of tokens"}, own.heads, positive);
  }
  void look_at(NetworkShape &shape, const std::function<ImageFormat()> &images) const override {
    take_format<VitSettings>(shape, images());
  }
  void for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const override {
    f(shape.widths[1]);
    int of_a_head = shape.widths[0] / shape.as<VitSettings>().heads; // heads keep their number
    f(of_a_head);
    shape.widths[0] = of_a_head * shape.as<VitSettings>().heads;
  }
  Program program(const NetworkShape &shape) const override { return vit_program(shape); }
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }

  void write(Json &to, const NetworkShape &shape) const override {
    const auto &own = shape.as<VitSettings>();
    to["side"] = own.side, to["channels"] = own.channels;
    to["patch"] = own.patch, to["blocks"] = own.blocks, to["heads"] = own.heads;
  }
  void read(const Json &from, NetworkShape &shape) const override {
    const auto of = [&](const char *key) { return from.at(key).get<int>(); };
    shape.own = VitSettings{of("side"), of("channels"), of("patch"), of("blocks"), of("heads")};
  }

  // By timm's names. Heads are 64 wide, as timm's are: no tensor tells.
  std::optional<Recognised> recognise(const std::vector<TensorShape> &given, std::string &why) const override {
    const TensorsByName tensors(given, "patch_embed.proj.weight");
    const Shape *patch = tensors.find("patch_embed.proj.weight"), *places = tensors.find("pos_embed"),
                *hidden = tensors.find("blocks.0.mlp.fc1.weight"), *head = tensors.find("head.weight");
    if (!patch || !places || !hidden || !head || patch->size() != 4 || places->size() != 3 || hidden->size() != 2 ||
        head->size() != 2)
      return {};
    const int width = int((*patch)[0]), across = int(std::lround(std::sqrt(double((*places)[1] - 1))));
    if (width % 64 != 0) {
      why = text("a vision transformer whose tokens are ", width,
                 " wide: how many heads it has no tensor tells, unless each is 64 wide");
      return {};
    }
    NetworkShape shape{{width, int((*hidden)[0]), int((*head)[0])}, Activation::gelu, Initialisation::pytorch, this};
    VitSettings own{across * int((*patch)[2]), int((*patch)[1]), int((*patch)[2]), 0, width / 64};
    while (tensors.find(text("blocks.", own.blocks, ".norm1.weight")))
      ++own.blocks;
    shape.own = own;
    return tensors.recognised_as(shape, why);
  }
};

} // namespace

std::unique_ptr<const NetworkKind> make_vit_kind() { return std::make_unique<VitKind>(); }

} // namespace theta
