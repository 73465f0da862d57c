#include "learning.h"
#include "engine/networks/kind.h"
#include <algorithm>

namespace theta {

namespace {

std::vector<std::unique_ptr<const Learning>> &all() {
  static std::vector<std::unique_ptr<const Learning>> each = [] {
    std::vector<std::unique_ptr<const Learning>> made;
    made.push_back(make_labelled_images());
    made.push_back(make_signals());
    made.push_back(make_text());
    return made;
  }();
  return each;
}

} // namespace

std::size_t most_images(const std::vector<ScoredPart> &parts) {
  std::size_t most = 0;
  for (const ScoredPart &part : parts)
    most = std::max(most, part.images);
  return most;
}

bool add_learning(std::unique_ptr<const Learning> learning) {
  all().push_back(std::move(learning));
  return true;
}

const Learning &learning_of(const NetworkShape &shape) {
  const std::string_view name = shape.kind->learns(shape);
  for (const auto &each : all())
    if (each->name() == name)
      return *each;
  throw Error("network.kind: found ", shape.kind->name(), " that learns ", std::string(name),
              ", which nothing teaches");
}

} // namespace theta
