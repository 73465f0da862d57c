#include "align.h"
#include "data/json.h"
#include "data/zoo_columns.h"
#include "engine/networks/form.h"
#include "engine/networks/kind.h"
#include "engine/training/folder_lock.h"
#include "engine/training/interrupt.h"
#include "engine/weights/matching.h"
#include "engine/weights/symmetry.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace {

NetworkShape shape_in(const ZooReader &zoo) {
  const Json facts = parse_json(zoo.format().facts, zoo.path().string());
  const auto shape = facts.contains("architecture") ? network_from(facts["architecture"].dump(), zoo.path().string())
                                                    : std::optional<NetworkShape>();
  if (!shape || unit_elements(*shape).empty())
    throw InputError(zoo.path().string(), ": found networks ",
                     shape ? "without units that may move" : "of no known kind",
                     ", expected an architecture that says which units may change places");
  return *shape;
}

} // namespace

void align_zoo(const ZooReader &zoo, const std::filesystem::path &to, std::size_t reference, bool balances,
               Journal &journal) {
  const NetworkShape shape = shape_in(zoo);
  if (reference >= zoo.rows())
    throw InputError("align: --to: found ", reference, ", expected a row of ", zoo.path().string(), ", below ",
                     zoo.rows());
  if (balances && !can_balance(shape))
    throw InputError("align: --balance: found a ", shape.kind->name(), ", expected layers in a chain");
  if (std::filesystem::exists(to / "index.json"))
    throw InputError(to.string(), ": found a zoo there, expected a new folder");
  const std::size_t v = zoo.parameters(), at_once = std::size_t(std::max(1, threads()));
  const auto read = [&](std::size_t row, float *theta) {
    zoo.theta(row, theta);
    if (balances)
      balance(theta, shape);
  };
  std::vector<float> nearest(v), block(at_once * v);
  read(reference, nearest.data());
  ZooFormat format = zoo.format();
  Json facts = parse_json(format.facts, zoo.path().string());
  facts["aligned"] = {{"from", zoo.path().string()}, {"to", reference}, {"balanced", balances}};
  format.facts = facts.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (balances)
    store_plainly(format); // units have other scales than their form's then
  const ZooColumns columns(zoo);
  const FolderLock lock(to);
  ZooWriter writer(to, format, 65536);
  Progress progress(journal, "align", "networks", double(zoo.rows()));
  for (std::size_t first = 0; first < zoo.rows(); first += at_once) {
    stop_if_interrupted("align");
    const std::size_t count = std::min(at_once, zoo.rows() - first);
    parallel_each(long(count), [&](long i) {
      float *const theta = block.data() + std::size_t(i) * v;
      read(first + std::size_t(i), theta);
      match_units(theta, nearest.data(), shape);
    });
    for (std::size_t i = 0; i < count; ++i)
      writer.append(block.data() + i * v, columns.of(first + i));
    progress.update(double(first + count));
  }
  writer.finish();
  journal.line("align: " + to.string());
}

} // namespace theta
