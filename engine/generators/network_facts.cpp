#include "network_facts.h"
#include "data/json.h"
#include "engine/networks/recognition.h"

namespace theta {

NetworkFacts network_facts(const ZooFormat &format, const std::string &where) {
  const Json facts = parse_json(format.facts, where);
  const bool known = facts.is_object() && facts.contains("architecture") && facts["architecture"].is_object();
  NetworkFacts of{format.layout, known ? network_from(facts["architecture"].dump(), where) : std::nullopt};
  if (of.shape && !same_shapes(layout_of(*of.shape).places(), format.layout))
    throw InputError(where, ": its architecture is not that of its layout");
  return of;
}

} // namespace theta
