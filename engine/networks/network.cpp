#include "network.h"
#include "data/json.h"
#include "form.h"
#include "kernels/device/names.h"
#include "kind.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {
constexpr std::array initialisation_names{"pytorch", "he", "xavier", "siren"};
}

Initialisation initialisation_named(std::string_view name) {
  return value_named<Initialisation>(name, initialisation_names, "initialisation");
}
const char *name_of(Initialisation i) { return initialisation_names[std::size_t(i)]; }
std::span<const char *const> names_of_initialisations() { return initialisation_names; }

Layout layout_of(const NetworkShape &shape) { return shape.kind->layout(shape); }
NetworkShape widened(NetworkShape shape, double factor) {
  constexpr double most = 1 << 30;
  const auto wider = [&](int &width) {
    if (width * factor > most)
      throw InputError("network.widths: found ", width * factor, ", expected at most ", most);
    width = std::max(1, int(std::lround(width * factor)));
  };
  shape.kind->for_hidden_widths(shape, wider);
  return shape;
}
int inputs_of(const NetworkShape &shape) { return shape.kind->inputs(shape); }
int outputs_of(const NetworkShape &shape) { return shape.kind->outputs(shape); }
void check_fits(const NetworkShape &shape, const DatasetSizes &sizes) { shape.kind->check_fits(shape, sizes); }

std::string architecture_of(const NetworkShape &shape) {
  Json j{{"kind", shape.kind->name()}, {"widths", shape.widths}, {"activation", name_of(shape.act)}};
  if (shape.form.kind != FormKind::floats)
    j["form"] = {{"kind", name_of(shape.form.kind)}, {"scale", name_of(shape.form.scale)}, {"zeros", shape.form.zeros}};
  shape.kind->write(j, shape);
  return j.dump();
}

std::optional<NetworkShape> network_from(const std::string &architecture, const std::string &where) {
  const Json j = parse_json(architecture, where);
  try {
    const std::string name = j.value("kind", "");
    for (const auto &kind : network_kinds())
      if (name == kind->name()) {
        NetworkShape shape{j.at("widths").get<std::vector<int>>(),
                           activation_named(j.at("activation").get<std::string>())};
        shape.kind = kind.get();
        kind->read(j, shape);
        if (const Json form = j.value("form", Json()); form.is_object())
          shape.form = {form_named(form.at("kind").get<std::string>()),
                        form_scale_named(form.at("scale").get<std::string>()), form.at("zeros").get<double>()};
        return shape;
      }
    return {};
  } catch (const Json::exception &e) {
    throw InputError(where, ": architecture: ", e.what());
  }
}

} // namespace theta
