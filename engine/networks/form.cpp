#include "form.h"
#include "data/json.h"
#include "kernels/device/names.h"
#include "kind.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

constexpr std::array form_names{"floats", "int8", "int4", "ternary", "sparse", "2:4"};
constexpr std::array scale_names{"unit", "block", "tensor"};
constexpr int block = 32;

bool has_codes(FormKind kind) { return kind == FormKind::int8 || kind == FormKind::int4 || kind == FormKind::ternary; }

// Whether hidden units' incoming scales go into their outgoing weights.
bool moves_scales(const NetworkShape &shape) {
  const bool scales = shape.act == Activation::relu || shape.act == Activation::leaky_relu;
  const std::size_t tensors = layout_of(shape).places().size();
  return has_codes(shape.form.kind) && shape.form.scale == FormScale::unit && scales && tensors > 2 &&
         is_chain(shape.kind->symmetries(shape), tensors);
}

bool is_matrix(const Layout &layout, std::size_t t) {
  const TensorPlace &place = layout.places()[t];
  return place.shape.size() >= 2 && !(place.shape.size() == 3 && place.shape[0] == 1) &&
         place.offset < layout.trained();
}

// Neighbours of a row that belong to one input unit.
int run_of(const NetworkShape &shape, std::size_t tensor, const TensorPlace &place) {
  std::int64_t run = 1;
  for (std::size_t i = 2; i < place.shape.size(); ++i)
    run *= place.shape[i];
  for (const UnitGroup &group : shape.kind->symmetries(shape))
    for (const UnitAxis &axis : group.axes)
      if (axis.tensor == tensor && axis.axis == 1)
        run *= axis.run;
  return int(run);
}

} // namespace

FormKind form_named(std::string_view name) { return value_named<FormKind>(name, form_names, "form"); }
const char *name_of(FormKind kind) { return form_names[std::size_t(kind)]; }
FormScale form_scale_named(std::string_view name) { return value_named<FormScale>(name, scale_names, "form_scale"); }
const char *name_of(FormScale scale) { return scale_names[std::size_t(scale)]; }

void describe(Keys &keys, NetworkForm &form) {
  keys({"form", "in which networks run: floats; int8, int4 or ternary codes with scales; sparse; 2:4"}, form.kind,
       form_named);
  keys({"form_scale", "of codes: a scale a unit, a block of 32 neighbours or a tensor"}, form.scale, form_scale_named);
  keys({"zeros", "of form = \"sparse\": share of the matrices' weights that are zero"}, form.zeros, Limits{0, 1});
}

int most_code(const NetworkForm &form) {
  return form.kind == FormKind::int8 ? 127 : form.kind == FormKind::int4 ? 7 : form.kind == FormKind::ternary ? 1 : 0;
}

std::vector<CodedTensor> coded_tensors(const NetworkShape &shape) {
  std::vector<CodedTensor> all;
  if (shape.form.kind == FormKind::floats)
    return all;
  const Layout layout = layout_of(shape);
  const bool moves = moves_scales(shape);
  for (std::size_t t = 0; t < layout.places().size(); ++t) {
    if (!is_matrix(layout, t))
      continue;
    const TensorPlace &place = layout.places()[t];
    const int out = int(place.shape[0]), run = run_of(shape, t, place),
              in = int(elements_of(place) / std::size_t(out) / std::size_t(run));
    const ScaleOf scale = shape.form.scale == FormScale::tensor ? ScaleOf::whole
                          : moves && t > 0                      ? ScaleOf::columns
                                                                : ScaleOf::rows;
    all.push_back({place.offset, out, in, run, scale, shape.form.scale == FormScale::block ? block : 0});
  }
  if (all.empty() || all.size() > most_coded_tensors)
    throw InputError("network.form: found ", name_of(shape.form.kind), " of ", all.size(), " matrices, expected 1 to ",
                     most_coded_tensors);
  return all;
}

std::size_t kept_weights(const NetworkShape &shape) {
  std::size_t all = 0, of_fours = 0;
  for (const CodedTensor &t : coded_tensors(shape)) {
    all += t.elements();
    for (std::size_t i = 0; i < t.fours(); ++i)
      of_fours += std::size_t(t.out) * std::size_t(std::min(2, t.in_four(i)));
  }
  return shape.form.kind == FormKind::sparse        ? std::size_t(std::lround((1 - shape.form.zeros) * double(all)))
         : shape.form.kind == FormKind::two_of_four ? of_fours
                                                    : 0;
}

void store_in_form(ZooFormat &format, const NetworkShape &shape) {
  format.codecs.clear(), format.kept = 0;
  if (shape.form.kind == FormKind::floats)
    return;
  const Layout layout = layout_of(shape);
  const auto tensors = coded_tensors(shape);
  const bool moves = moves_scales(shape);
  for (const TensorPlace &place : layout.places()) {
    const auto coded =
        std::find_if(tensors.begin(), tensors.end(), [&](const CodedTensor &t) { return t.offset == place.offset; });
    Codec codec;
    if (coded != tensors.end() && !has_codes(shape.form.kind))
      codec.code = Code::kept;
    else if (coded != tensors.end())
      codec = {shape.form.kind == FormKind::int8   ? Code::int8
               : shape.form.kind == FormKind::int4 ? Code::int4
                                                   : Code::ternary,
               coded->scale == ScaleOf::columns       ? CodeScale::columns
               : coded->scale == ScaleOf::whole       ? CodeScale::whole
               : moves                                ? CodeScale::one
               : shape.form.scale == FormScale::block ? CodeScale::blocks
                                                      : CodeScale::rows,
               coded->scale == ScaleOf::columns       ? coded->run
               : shape.form.scale == FormScale::block ? block
                                                      : 1};
    format.codecs.push_back(codec);
  }
  format.kept = kept_weights(shape);
}

void store_plainly(ZooFormat &format) {
  format.codecs.clear(), format.kept = 0;
  Json facts = parse_json(format.facts, "facts of a zoo");
  if (facts.contains("architecture") && facts["architecture"].is_object())
    facts["architecture"].erase("form");
  format.facts = facts.dump(-1, ' ', false, Json::error_handler_t::replace);
}

IntoForm::IntoForm(const NetworkShape &shape, Dtype numbers)
    : tensors_(coded_tensors(shape)), most_(most_code(shape.form)), moves_(moves_scales(shape)),
      of_four_(shape.form.kind == FormKind::two_of_four), in_bf16_(numbers == Dtype::bf16) {
  if (tensors_.empty())
    return;
  const Layout layout = layout_of(shape);
  parameters_ = layout.size();
  if (moves_)
    bias_ = layout.places()[1].offset;
  ZooFormat format{layout.places(), parameters_, numbers, {}};
  store_in_form(format, shape);
  codec_ = codec_of(format, "network.form");
}

std::size_t IntoForm::bytes() const { return codec_ ? codec_->bytes() : 0; }

void IntoForm::operator()(float *theta) const {
  if (!codec_)
    return;
  Stream host{Device{}};
  if (of_four_)
    keep_two_of_four<float>(host, theta, nullptr, nullptr, 1, parameters_, tensors_);
  const CodedTensor &first = tensors_.front();
  for (std::size_t unit = 0; moves_ && unit < std::size_t(first.out); ++unit) {
    float *const row = theta + first.offset + unit * first.row();
    const float scale = best_scale({row, first.row()}, most_, in_bf16_);
    if (!(scale > 0)) // nothing goes in
      continue;
    for (std::size_t k = 0; k < first.row(); ++k)
      row[k] = float(code_of(row[k], scale, most_));
    theta[bias_ + unit] /= scale;
    const auto outgoing = tensors_[1].group(unit);
    for (std::size_t k = 0; k < outgoing.count; ++k)
      theta[outgoing.at(k)] *= scale;
  }
  codec_->round(theta);
}

} // namespace theta
