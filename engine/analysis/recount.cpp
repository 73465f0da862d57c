#include "recount.h"
#include "engine/memory/arena.h"
#include "engine/networks/kind.h"
#include "engine/training/interrupt.h"
#include "kernels/operations/gather.h"
#include <algorithm>

namespace theta {

bool has_statistics(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  return layout.trained() < layout.size();
}

Recount::Recount(const NetworkShape &shape, int batches, int batch)
    : networks_(shape.kind->layered(shape)), batches_(batches), batch_(batch) {
  if (!networks_ || !has_statistics(shape))
    throw InputError("eval.recount: found ", batches, ", expected 0 for a ", shape.kind->name(),
                     ", which has no running statistics");
  const Shape images{batches, batch, inputs_of(shape)};
  theta_ = plan_.reserve<float>("recount.theta", MemoryClass::weights, {std::int64_t(networks_->layout().size())});
  x_ = plan_.reserve<float>("recount.x", MemoryClass::data, images, "eval.recount");
  bytes_ = plan_.reserve<std::uint8_t>("recount.images", MemoryClass::data, images, "eval.recount");
  plan_.release(bytes_);
  networks_->plan(plan_, true, 1, batch);
  plan_.place();
}

NetworkSet Recount::of(NetworkSet set, Device device, const Dataset &data, std::uint64_t seed) {
  Stream s(device);
  const Arena arena(device, plan_);
  const std::size_t pixels = std::size_t(data.values()), images = std::size_t(batches_) * std::size_t(batch_),
                    of_batch = std::size_t(batch_) * pixels;
  std::vector<std::uint8_t> drawn(images * pixels);
  for (std::size_t i = 0; i < images; ++i) {
    const std::size_t row = shuffled(seed, Purpose::batch_order, 0, i, std::uint32_t(data.train.size()));
    std::copy_n(data.train.pixels.begin() + std::ptrdiff_t(row * pixels), pixels, drawn.data() + i * pixels);
  }
  copy(s, bytes_, drawn.data(), drawn.size());
  normalise_images<float>(s, x_, bytes_, drawn.size(), data.scale(), data.shift());
  const std::size_t v = networks_->layout().size(), trained = networks_->layout().trained(), n = v - trained;
  auto states = std::make_shared<std::vector<float>>(set.count * n);
  std::vector<float> theta(v);
  for (std::size_t i = 0; i < set.count; ++i) {
    stop_if_interrupted("eval");
    set.network(i, theta.data());
    copy(s, theta_, theta.data(), v * sizeof(float));
    for (int k = 0; k < batches_; ++k) {
      networks_->move_state_of(theta_, 1.0 / (k + 1)); // the mean of the batches so far
      networks_->forward(s, theta_, x_ + std::size_t(k) * of_batch);
    }
    copy(s, states->data() + i * n, theta_ + trained, n * sizeof(float));
    s.synchronize();
  }
  set.network = [network = std::move(set.network), states, trained, n](std::size_t i, float *to) {
    network(i, to);
    std::copy_n(states->data() + i * n, n, to + trained);
  };
  set.source.clear();
  return set;
}

} // namespace theta
