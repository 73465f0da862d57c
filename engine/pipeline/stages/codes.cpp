#include "codes.h"
#include "data/json.h"
#include "data/zoo_columns.h"
#include "engine/generators/network_facts.h"
#include "engine/training/interrupt.h"
#include <algorithm>

namespace theta {

void write_codes(const ZooReader &zoo, CodesAs as, const std::filesystem::path &to) {
  const NetworkFacts facts = network_facts(zoo.format(), zoo.path().string());
  if (!facts.shape)
    throw InputError("fit.codes: ", zoo.path().string(), ": found networks of no known kind, expected some with codes");
  const NetworkShape coded = coded_of(*facts.shape, as);
  const CodedRows rows(coded);
  ZooFormat format{layout_of(coded).places(), rows.parameters(), Dtype::f32, zoo.format().columns};
  Json about = parse_json(zoo.format().facts, zoo.path().string());
  about["architecture"] = parse_json(architecture_of(coded), "architecture");
  format.facts = about.dump(-1, ' ', false, Json::error_handler_t::replace);
  const ZooColumns columns(zoo);
  ZooWriter writer(to, format, std::max<std::size_t>(1, (std::size_t(1) << 30) / (rows.parameters() * sizeof(float))));
  std::vector<float> theta(zoo.parameters()), row(rows.parameters());
  for (std::size_t i = 0; i < zoo.rows(); ++i) {
    stop_if_interrupted("fit");
    zoo.theta(i, theta.data());
    rows.row_of(theta.data(), row.data());
    writer.append(row.data(), columns.of(i));
  }
  writer.finish();
}

void EmitCodes::take(std::size_t i, std::size_t at, std::span<const float> part) {
  Row &row = open_[i];
  row.values.resize(rows_.parameters());
  std::copy(part.begin(), part.end(), row.values.begin() + std::ptrdiff_t(at));
  if (row.there += part.size(); row.there < rows_.parameters())
    return;
  std::vector<float> theta(rows_.weights());
  rows_.theta_of(row.values.data(), theta.data());
  open_.erase(i);
  emit_(i, theta);
}

} // namespace theta
