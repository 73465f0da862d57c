#include "coded.h"
#include "data/json.h"
#include "kernels/device/names.h"
#include "kind.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

constexpr float least_scale = 1e-12f;

constexpr std::array names{"weights", "ordinal", "categorical"};

struct CodedSettings {
  NetworkShape of;
  CodesAs as = CodesAs::ordinal;
};

const NetworkShape &of(const NetworkShape &coded) { return coded.as<CodedSettings>().of; }

ZooFormat format_of(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  ZooFormat format{layout.places(), layout.size(), Dtype::f32, {}};
  store_in_form(format, shape);
  return format;
}

class CodedKind : public NetworkKind {
public:
  const char *name() const override { return "coded"; }
  const char *learns(const NetworkShape &shape) const override { return of(shape).kind->learns(of(shape)); }
  Layout layout(const NetworkShape &shape) const override {
    Layout all;
    const Layout codes = layout_of(of(shape));
    for (const TensorPlace &place : codes.places())
      all.add(place.name, place.shape, {});
    const auto codec = format_of(of(shape));
    for (const CodedScale &scale : scales_of(shape))
      all.add(codec.layout[scale.tensor].name + ".scale", {std::int64_t(scale.count)}, {});
    return all;
  }
  int inputs(const NetworkShape &shape) const override { return inputs_of(of(shape)); }
  int outputs(const NetworkShape &shape) const override { return outputs_of(of(shape)); }
  // A unit's scale goes with it.
  Symmetries symmetries(const NetworkShape &shape) const override {
    Symmetries groups = of(shape).kind->symmetries(of(shape));
    const std::size_t tensors = layout_of(of(shape)).places().size();
    const auto scales = scales_of(shape);
    for (UnitGroup &group : groups)
      for (std::size_t s = 0; s < scales.size(); ++s) {
        const int axis = scales[s].how == CodeScale::columns ? 1 : 0;
        if (std::any_of(group.axes.begin(), group.axes.end(), [&](const UnitAxis &a) {
              return a.tensor == scales[s].tensor && a.axis == axis && int(scales[s].count) == group.units;
            }))
          group.axes.push_back({UnitAxis::Role::bias, tensors + s, 0});
      }
    return groups;
  }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &, int) const override { return nullptr; }
  std::shared_ptr<LayeredNetworks<float>> layered(const NetworkShape &) const override { return nullptr; }
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }
  void write(Json &to, const NetworkShape &shape) const override {
    to["of"] = parse_json(architecture_of(of(shape)), "architecture");
    to["codes"] = name_of(codes_of(shape));
  }
  void read(const Json &from, NetworkShape &shape) const override {
    const auto whole = network_from(from.at("of").dump(), "coded networks");
    if (!whole)
      throw InputError("architecture: found codes of networks that are not known");
    shape = coded_of(*whole, codes_as_named(from.at("codes").get<std::string>()));
  }
};

} // namespace

CodesAs codes_as_named(std::string_view name) { return value_named<CodesAs>(name, names, "codes"); }
const char *name_of(CodesAs as) { return names[std::size_t(as)]; }
CodesAs codes_of(const NetworkShape &shape) {
  return is_coded(shape) ? shape.as<CodedSettings>().as : CodesAs::weights;
}
int most_code_of(const NetworkShape &coded) { return most_code(of(coded).form); }

std::vector<std::uint8_t> code_places(const NetworkShape &coded) {
  const ZooFormat format = format_of(of(coded));
  std::vector<std::uint8_t> all(CodedRows(coded).parameters(), 0);
  for (std::size_t t = 0; t < format.codecs.size(); ++t)
    if (format.codecs[t].code != Code::plain)
      std::fill_n(all.begin() + std::ptrdiff_t(format.layout[t].offset), elements_of(format.layout[t]),
                  std::uint8_t(1));
  return all;
}

NetworkShape coded_of(const NetworkShape &shape, CodesAs as) {
  if (most_code(shape.form) == 0)
    throw InputError("fit.codes: found networks whose form is ", name_of(shape.form.kind),
                     ", expected int8, int4 or ternary");
  NetworkShape coded{shape.widths, shape.act, shape.initialisation, network_kind_named("coded"),
                     CodedSettings{shape, as}};
  return coded;
}

bool is_coded(const NetworkShape &shape) { return std::string_view(shape.kind->name()) == "coded"; }

std::vector<CodedScale> scales_of(const NetworkShape &coded) {
  const RowCodec codec = *codec_of(format_of(of(coded)), "fit.codes");
  std::vector<CodedScale> all;
  std::size_t at = codec.parameters();
  for (std::size_t t = 0; t < codec.tensors().size(); ++t)
    if (const std::size_t count = codec.tensors()[t].groups(); count > 0)
      all.push_back({t, at, count, codec.tensors()[t].codec.scale}), at += count;
  return all;
}

CodedRows::CodedRows(const NetworkShape &coded)
    : scales_(scales_of(coded)), codec_(*codec_of(format_of(of(coded)), "fit.codes")) {
  parameters_ = codec_.parameters();
  for (const CodedScale &scale : scales_)
    parameters_ += scale.count;
}

void CodedRows::row_of(const float *theta, float *row) const {
  const auto bytes = codec_.encode(theta);
  std::vector<std::int8_t> codes(codec_.parameters());
  codec_.codes(bytes.data(), codes.data());
  const auto numbers = codec_.numbers(bytes.data());
  std::size_t next = 0, scale = codec_.parameters();
  for (const RowCodec::Tensor &t : codec_.tensors()) {
    if (t.codec.code == Code::plain) {
      std::copy_n(theta + t.offset, t.elements, row + t.offset), next += t.elements;
      continue;
    }
    std::copy_n(codes.begin() + std::ptrdiff_t(t.offset), t.elements, row + t.offset);
    for (std::size_t g = 0; g < t.groups(); ++g)
      row[scale++] = std::log(std::max(numbers[next++], least_scale));
  }
}

void CodedRows::round(float *row) const {
  for (const RowCodec::Tensor &t : codec_.tensors())
    if (const int most = most_code(t.codec.code); most > 0)
      for (std::size_t i = t.offset; i < t.offset + t.elements; ++i)
        row[i] = float(code_of(row[i], 1, most));
}

void CodedRows::theta_of(const float *row, float *theta) const {
  std::vector<float> codes(row, row + codec_.parameters());
  round(codes.data());
  std::copy(codes.begin(), codes.end(), theta);
  for (const CodedScale &scale : scales_) {
    const RowCodec::Tensor &t = codec_.tensors()[scale.tensor];
    for (std::size_t e = 0; e < t.elements; ++e)
      theta[t.offset + e] *= std::exp(row[scale.offset + t.group_of(e)]);
  }
}

std::unique_ptr<const NetworkKind> make_coded_kind() { return std::make_unique<CodedKind>(); }

} // namespace theta
