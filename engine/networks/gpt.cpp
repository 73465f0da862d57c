#include "gpt.h"
#include "data/json.h"
#include "kind.h"

namespace theta {

namespace {

constexpr double gpt_eps = 1e-6; // of norms

Program gpt_program(const NetworkShape &shape) {
  const auto &own = shape.as<GptSettings>();
  if (shape.widths.size() != 3)
    throw InputError("network.widths: found ", shape.widths.size(),
                     ", expected three: of tokens, of the blocks' hidden layers, and the characters that there are");
  const int width = shape.widths[0], vocabulary = shape.widths[2];
  if (vocabulary < 2 || vocabulary > 256)
    throw InputError("network.widths: found ", vocabulary, " characters, expected 2 to 256");
  Program p("gpt", shape);
  const Value embedded = embedding(p, "wte", p.input({own.context}), vocabulary, width, own.tied ? 0.02 : 1);
  Value x = own.rotary ? embedded : positions(p, "wpe.weight", embedded);
  for (int b = 0; b < own.blocks; ++b) {
    const std::string name = text("blocks.", b, ".");
    Value y = linear(p, name + "attn.qkv", layer_norm(p, name + "norm1", x, gpt_eps), 3 * width);
    if (own.rotary)
      y = rotary(p, y, own.heads);
    x = add(p, x, linear(p, name + "attn.proj", attention(p, y, own.heads, true), width));
    y = linear(p, name + "mlp.fc1", layer_norm(p, name + "norm2", x, gpt_eps), shape.widths[1], shape.act);
    x = add(p, x, linear(p, name + "mlp.fc2", y, width));
  }
  x = layer_norm(p, "norm", x, gpt_eps);
  own.tied ? scores_of_vocabulary(p, x, embedded) : linear(p, "head", x, vocabulary);
  return p;
}

class GptKind : public NetworkKind {
public:
  const char *name() const override { return "gpt"; }
  const char *learns(const NetworkShape &) const override { return "text"; }
  void describe_table(Keys &keys, NetworkShape &shape) const override {
    auto &own = shape.as<GptSettings>();
    keys.section("network.gpt");
    keys({"context", "characters that a network looks at"}, own.context, Limits{1, 65536});
    keys({"blocks", "of attention and a hidden layer each"}, own.blocks, positive);
    keys({"heads", "of attention; they divide the width of tokens"}, own.heads, positive);
    keys({"tied", "whether one matrix is for both ends"}, own.tied);
    keys({"rotary", "whether places turn queries and keys (RoFormer), and have no weights"}, own.rotary);
  }
  void for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const override {
    f(shape.widths[1]);
    const int heads = shape.as<GptSettings>().heads; // which keep their number
    int of_a_head = shape.widths[0] / heads;
    f(of_a_head);
    shape.widths[0] = of_a_head * heads;
  }
  Program program(const NetworkShape &shape) const override { return gpt_program(shape); }
  void check_fits(const NetworkShape &shape, const DatasetSizes &sizes) const override {
    if (sizes.vocabulary == 0)
      throw InputError("network.kind: found gpt, expected data.name = \"text\" for it");
    if (shape.widths.back() != sizes.vocabulary)
      throw InputError("network.widths: found ", shape.widths.back(), " characters, but the data has ",
                       sizes.vocabulary);
  }
  void write(Json &to, const NetworkShape &shape) const override {
    const auto &own = shape.as<GptSettings>();
    to["context"] = own.context, to["blocks"] = own.blocks, to["heads"] = own.heads, to["tied"] = own.tied;
    if (own.rotary)
      to["rotary"] = true;
  }
  void read(const Json &from, NetworkShape &shape) const override {
    const auto of = [&](const char *key) { return from.at(key).get<int>(); };
    shape.own =
        GptSettings{of("context"), of("blocks"), of("heads"), from.at("tied").get<bool>(), from.value("rotary", false)};
  }

  // By its own names. Heads are 64 wide, or there is one: no tensor tells.
  std::optional<Recognised> recognise(const std::vector<TensorShape> &given, std::string &why) const override {
    const TensorsByName tensors(given, "wpe.weight");
    const Shape *characters = tensors.find("wte.weight"), *places = tensors.find("wpe.weight"),
                *hidden = tensors.find("blocks.0.mlp.fc1.weight");
    if (!characters || !places || !hidden || characters->size() != 2 || places->size() != 2 || hidden->size() != 2)
      return {};
    const int width = int((*characters)[1]);
    if (width % 64 != 0) {
      why = text("a language model whose tokens are ", width, " wide: how many heads it has no tensor tells, unless ",
                 "each is 64 wide");
      return {};
    }
    NetworkShape shape{
        {width, int((*hidden)[0]), int((*characters)[0])}, Activation::gelu, Initialisation::pytorch, this};
    GptSettings own{int((*places)[0]), 0, width / 64, !tensors.find("head.weight")};
    while (tensors.find(text("blocks.", own.blocks, ".norm1.weight")))
      ++own.blocks;
    shape.own = own;
    return tensors.recognised_as(shape, why);
  }
};

} // namespace

bool is_text(const NetworkShape &shape) { return std::string_view(shape.kind->learns(shape)) == "text"; }
int context_of(const NetworkShape &shape) { return inputs_of(shape); }
int alphabet_of(const NetworkShape &shape) { return outputs_of(shape) / inputs_of(shape); }

std::unique_ptr<const NetworkKind> make_gpt_kind() { return std::make_unique<GptKind>(); }

} // namespace theta
