#include "scorer.h"
#include "engine/memory/arena.h"

namespace theta {

namespace {

int wave_within(const NetworkShape &shape, std::size_t images, int wave, Backend backend, Budget budget) {
  return most_within(budget, wave, [&](int networks) {
    return Scorer(shape, images, networks, backend, Budget()).plan().bytes_on(backend);
  });
}

} // namespace

Scorer::Scorer(const NetworkShape &shape, std::size_t images, int wave, Backend backend, Budget budget)
    : evaluator_(shape, images, budget ? wave_within(shape, images, wave, backend, budget) : wave, backend,
                 exact_evaluator_for(backend, shape)) {
  staging_ = plan_.reserve<float>("sample.staging", MemoryClass::staging, {std::int64_t(evaluator_.parameters())});
  evaluator_.plan(plan_);
  plan_.place();
}

void Scorer::with(Device device, const Dataset &data, const Images &part,
                  const std::function<void(Stream &, Evaluator &, float *)> &work) {
  Stream s(device);
  const Arena arena(device, plan_);
  evaluator_.upload(s, data, part);
  work(s, evaluator_, staging_);
}

std::pair<Scores, std::vector<char>> Scorer::score(Device device, const Dataset &data, const Images &part,
                                                   std::size_t networks, const NetworkOf &network) {
  std::pair<Scores, std::vector<char>> found;
  with(device, data, part, [&](Stream &s, Evaluator &evaluator, float *staging) {
    found.first = evaluator.score_all(s, networks, network, staging, &found.second);
  });
  return found;
}

} // namespace theta
