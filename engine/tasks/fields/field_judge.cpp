#include "field_judge.h"
#include "signals.h"
#include <algorithm>

namespace theta {

FieldJudge::FieldJudge(const NetworkShape &shape, const DatasetSizes &sizes, int side, int wave, std::uint64_t seed,
                       Backend backend)
    : renderer_(shape, pixel_grid(side), 2, wave, "eval.render"), judge_(sizes, seed, backend),
      weights_(layout_of(shape).size(), "eval.weights"), pixels_(std::size_t(sizes.values()), "eval.pixels") {}

std::vector<const MemoryPlan *> FieldJudge::plans() const {
  auto all = judge_.plans();
  all.insert(all.end(), {&renderer_.plan(), &weights_.plan(), &pixels_.plan()});
  return all;
}

std::vector<float> FieldJudge::pictures_of(const NetworkSet &set, std::vector<char> &broken) {
  const std::size_t n = renderer_.values(), channels = std::size_t(data_->channels);
  std::vector<float> all(set.count * n);
  broken.assign(set.count, 0);
  renderer_.render(device_, set.count, set.network, [&](std::size_t i, const float *values) {
    broken[i] = !all_finite({values, n});
    if (broken[i])
      return;
    const auto planes = in_planes(values, n / channels, channels);
    std::transform(planes.begin(), planes.end(), all.begin() + std::ptrdiff_t(i * n),
                   [](float value) { return std::clamp(value, 0.0f, 1.0f); });
  });
  return all;
}

NetworkSet FieldJudge::images_of(const std::vector<std::size_t> &signals) const {
  const std::size_t n = renderer_.values();
  return {signals.size(),
          [this, &signals, n](std::size_t i, float *to) {
            const std::uint8_t *from = data_->train.pixels.data() + signals[i] * n;
            std::transform(from, from + n, to, [](std::uint8_t byte) { return float(byte) / 255; });
          },
          signals};
}

void FieldJudge::start(Device device, const Dataset &data, const GroupNetworks &references, GroupNetworks training,
                       GroupNetworks control, Journal &journal) {
  device_ = device, data_ = &data;
  training_ = std::move(training), control_ = std::move(control);
  judge_.train(device, data, journal);
  std::vector<char> broken;
  references_ = judge_.look(device, pictures_of(references.networks, broken)).features;
  reference_labels_ = references.labels;
}

FieldReport FieldJudge::judge(const std::string &name, const GroupNetworks &group) {
  std::vector<char> broken;
  const auto drawn = pictures_of(group.networks, broken);
  const std::size_t n = renderer_.values();
  FieldReport report{.name = name, .networks = group.networks.count};
  std::vector<float> pictures; // of those that are not broken
  NetworkSet sound;
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < group.networks.count; ++i) {
    if (broken[i]) {
      ++report.broken;
      continue;
    }
    kept.push_back(i);
    if (!group.networks.source.empty())
      sound.source.push_back(group.networks.source[i]);
    pictures.insert(pictures.end(), drawn.begin() + std::ptrdiff_t(i * n), drawn.begin() + std::ptrdiff_t((i + 1) * n));
  }
  sound.count = kept.size();
  sound.network = [&](std::size_t i, float *theta) { group.networks.network(kept[i], theta); };
  if (sound.count < 2)
    return report;
  const auto opinion = judge_.look(device_, pictures);
  report.frechet = frechet_distance(opinion.features, references_);
  report.covers = precision_recall(opinion.features, references_);
  if (!group.labels.empty()) {
    double right = 0;
    for (std::size_t i = 0; i < kept.size(); ++i)
      right += opinion.label[i] == group.labels[kept[i]];
    report.recognised = share_of(right, kept.size());
    std::vector<int> labels;
    for (const std::size_t i : kept)
      labels.push_back(group.labels[i]);
    if (!reference_labels_.empty())
      report.in_class = within_classes(opinion.features, labels, references_, reference_labels_);
  }
  report.memorised =
      share_nearer(weights_.run(device_, sound, training_.networks), weights_.run(device_, sound, control_.networks));
  NetworkSet seen = vectors_of(pictures, n);
  for (std::size_t i = 0; i < kept.size() && !group.signals.empty(); ++i)
    seen.source.push_back(group.signals[kept[i]]);
  const auto to_images = pixels_.run(device_, seen, images_of(training_.signals));
  report.memorised_images = share_nearer(to_images, pixels_.run(device_, seen, images_of(control_.signals)));
  for (const Nearest &nearest : to_images) {
    report.psnr.push_back(psnr_of(nearest.distance * nearest.distance / float(n)));
    report.image.push_back(training_.signals[nearest.index]);
  }
  return report;
}

} // namespace theta
