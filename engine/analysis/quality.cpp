#include "quality.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

int largest_of(const float *p, int classes) { return int(std::max_element(p, p + classes) - p); }

// Logits [n, classes] to probabilities, in place.
void softmax(float *z, std::size_t n, int classes) {
  parallel_for(long(n), 20.0 * double(n) * classes, [&](long i) {
    float *row = z + i * classes, sum = 0;
    const float largest = *std::max_element(row, row + classes);
    for (int c = 0; c < classes; ++c)
      sum += row[c] = std::exp(row[c] - largest);
    for (int c = 0; c < classes; ++c)
      row[c] /= sum;
  });
}

} // namespace

double expected_calibration_error(const std::vector<float> &probabilities, const std::vector<std::uint8_t> &label,
                                  int classes, int bins) {
  std::vector<double> sure(std::size_t(bins), 0), right(std::size_t(bins), 0);
  for (std::size_t i = 0; i < label.size(); ++i) {
    const float *p = probabilities.data() + i * std::size_t(classes);
    const int answer = largest_of(p, classes);
    const auto bin = std::size_t(std::clamp(int(std::ceil(double(p[answer]) * bins)) - 1, 0, bins - 1));
    sure[bin] += double(p[answer]), right[bin] += answer == label[i];
  }
  double error = 0;
  for (std::size_t b = 0; b < sure.size(); ++b)
    error += std::abs(right[b] - sure[b]) / double(label.size());
  return error;
}

QualityJudge::QualityJudge(const NetworkShape &shape, std::size_t images, int wave, std::size_t members,
                           Backend backend, Budget budget)
    : members_(members), classes_(outputs_of(shape)),
      evaluator_(shape, images,
                 most_within(budget, wave,
                             [&](int n) {
                               Evaluator some(shape, images, n, backend, exact_evaluator_for(backend, shape));
                               some.keep_logits();
                               MemoryPlan plan("eval.quality");
                               some.plan(plan);
                               plan.place();
                               return plan.bytes_on(backend);
                             }),
                 backend, exact_evaluator_for(backend, shape)) {
  evaluator_.keep_logits();
  staging_ = plan_.reserve<float>("quality.staging", MemoryClass::staging, {std::int64_t(layout_of(shape).size())});
  probabilities_ = plan_.reserve<float>("quality.probabilities", MemoryClass::staging,
                                        {std::int64_t(members), std::int64_t(images), classes_}, "eval.ensemble");
  evaluator_.plan(plan_);
  plan_.place();
}

void QualityJudge::start(Device device, const Dataset &data, const Images &part) {
  stream_ = std::make_unique<Stream>(device);
  arena_ = std::make_unique<Arena>(device, plan_);
  evaluator_.upload(*stream_, data, part);
  label_ = part.labels;
}

std::vector<std::uint8_t> QualityJudge::ask(const NetworkSet &set) {
  const std::size_t n = std::min(members_, set.count), images = label_.size(), of_one = images * std::size_t(classes_);
  float *all = probabilities_;
  for (std::size_t first = 0; first < n; first += std::size_t(evaluator_.wave())) {
    const std::size_t count = std::min(std::size_t(evaluator_.wave()), n - first);
    const Scores scores = evaluator_.score_all(
        *stream_, count, [&](std::size_t i, float *theta) { set.network(first + i, theta); }, staging_);
    std::copy(scores.logits.begin(), scores.logits.end(), all + first * of_one);
  }
  softmax(all, n * images, classes_);
  std::vector<std::uint8_t> answers(n * images);
  for (std::size_t i = 0; i < answers.size(); ++i)
    answers[i] = std::uint8_t(largest_of(all + i * std::size_t(classes_), classes_));
  return answers;
}

void QualityJudge::judge(const NetworkSet &sound, const NetworkSet &nearest, GroupReport &report) {
  constexpr int choices = 20;
  const std::size_t n = std::min(members_, sound.count), images = label_.size(),
                    of_one = images * std::size_t(classes_);
  const auto theirs = ask(nearest), mine = ask(sound); // the group's probabilities stay
  const auto differ = [&](const std::uint8_t *a, const std::uint8_t *b) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < images; ++i)
      count += a[i] != b[i];
    return float(count) / float(images);
  };
  std::vector<float> between(n * n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    report.values["disagreement"].push_back(differ(&mine[i * images], &theirs[i * images]));
    for (std::size_t j = 0; j < i; ++j)
      between[i * n + j] = between[j * n + i] = differ(&mine[i * images], &mine[j * images]);
  }
  if (n > 1)
    report.figures["pairwise_disagreement"] = mean_over_pairs(between, n);
  if (n > 0)
    report.figures["disagreement_tenth"] =
        bootstrapped(n, 200, [&of = report.of("disagreement")](const std::vector<std::size_t> &drawn) {
          std::vector<float> some;
          for (const std::size_t i : drawn)
            some.push_back(of[i]);
          return quantile(some, 0.1);
        });
  const float *all = probabilities_;
  for (std::size_t i = 0; i < n; ++i)
    report.values["ece"].push_back(
        float(expected_calibration_error({all + i * of_one, all + (i + 1) * of_one}, label_, classes_)));

  Series ensemble;
  std::vector<float> mean(of_one);
  for (std::size_t k = 1; k <= n; k *= 2) {
    std::vector<float> accuracy;
    for (int choice = 0; choice < choices && (k < n || choice == 0); ++choice) {
      std::fill(mean.begin(), mean.end(), 0.0f);
      for (std::size_t j = 0; j < k; ++j) {
        const float *one = all + of_one * shuffled(0, Purpose::bootstrap, std::uint32_t(choice), j, std::uint32_t(n));
        for (std::size_t e = 0; e < of_one; ++e)
          mean[e] += one[e];
      }
      std::size_t right = 0;
      for (std::size_t i = 0; i < images; ++i)
        right += largest_of(mean.data() + i * std::size_t(classes_), classes_) == label_[i];
      accuracy.push_back(float(right) / float(images));
    }
    ensemble.x.push_back(double(k)), ensemble.y.push_back(summarise(accuracy).mean);
    ensemble.low.push_back(quantile(accuracy, 0.025)), ensemble.high.push_back(quantile(accuracy, 0.975));
    if (const double one = ensemble.y.front(); k == 16)
      report.figures["ensemble_gain"] = {ensemble.y.back() - one, ensemble.low.back() - one, ensemble.high.back() - one,
                                         n};
  }
  report.series["ensemble"] = std::move(ensemble);
}

} // namespace theta
