#include "diversity.h"
#include "engine/weights/dense.h"
#include "kernels/device/parallel.h"
#include "point_sets.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace theta {

namespace {

constexpr double z95 = 1.959963984540054;

// Trace and participation ratio of the covariance of those of n networks that take part, from their Gram matrix.
std::pair<double, double> moments_of(const std::vector<double> &gram, std::size_t n, const std::vector<char> &out) {
  std::vector<std::size_t> in;
  for (std::size_t i = 0; i < n; ++i)
    if (!out[i])
      in.push_back(i);
  const double m = double(in.size());
  std::vector<double> row(n, 0);
  double total = 0;
  for (const std::size_t i : in) {
    for (const std::size_t j : in)
      row[i] += gram[i * n + j] / m;
    total += row[i] / m;
  }
  double trace = 0, squares = 0;
  for (const std::size_t i : in)
    for (const std::size_t j : in) {
      const double centred = gram[i * n + j] - row[i] - row[j] + total;
      squares += centred * centred;
      trace += i == j ? centred : 0;
    }
  return {trace / (m - 1), squares > 0 ? trace * trace / squares : 0};
}

// Figures "variance" and "dimension" from a Gram matrix.
void tell_moments(GroupReport &report, const std::string &whose, const std::vector<double> &gram, std::size_t n) {
  constexpr std::size_t groups = 20;
  const auto [variance, dimension] = moments_of(gram, n, std::vector<char>(n, 0));
  std::vector<std::pair<double, double>> left(std::min(groups, n));
  parallel_each(long(left.size()), [&](long g) {
    std::vector<char> without(n, 0);
    for (std::size_t i = std::size_t(g); i < n; i += left.size())
      without[i] = 1;
    left[std::size_t(g)] = moments_of(gram, n, without);
  });
  const auto jackknifed = [&](double value, auto part) {
    double mean = 0, squares = 0;
    const double count = double(left.size());
    for (const auto &each : left)
      mean += part(each) / count;
    for (const auto &each : left)
      squares += std::pow(part(each) - mean, 2);
    const double error = std::sqrt((count - 1) / count * squares);
    return Estimate{value, value - z95 * error, value + z95 * error, n};
  };
  report.figures[whose + "variance"] = jackknifed(variance, [](const auto &p) { return p.first; });
  report.figures[whose + "dimension"] = jackknifed(dimension, [](const auto &p) { return p.second; });
}

// Off the diagonal, of a symmetric [n, n].
std::vector<float> of_pairs(const std::vector<float> &matrix, std::size_t n) {
  std::vector<float> all;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j)
      all.push_back(matrix[i * n + j]);
  return all;
}

} // namespace

std::vector<float> DiversityJudge::read(const NetworkSet &set, std::size_t most) const {
  const std::size_t n = std::min(most, set.count), v = parameters_;
  std::vector<float> all(n * v);
  for (std::size_t i = 0; i < n; ++i)
    set.network(i, all.data() + i * v);
  return all;
}

// Products of networks whose units are where they are nearest to the reference's, less the reference.
std::vector<double> DiversityJudge::gram(const NoveltyJudge &judge, std::vector<float> networks) const {
  const std::size_t v = parameters_, n = networks.size() / v;
  std::vector<float> first(v);
  judge.reference(first.data());
  parallel_each(long(n), [&](long i) {
    std::vector<float> reference = first;
    float *theta = networks.data() + std::size_t(i) * v;
    if (judge.assigned())
      judge.assigned()->align(theta, reference.data());
    for (std::size_t c = 0; c < v; ++c)
      theta[c] -= reference[c];
  });
  std::vector<double> products(n * n);
  parallel_each(long(n), [&](long i) {
    for (std::size_t j = 0; j <= std::size_t(i); ++j) {
      double sum = 0;
      for (std::size_t c = 0; c < v; ++c)
        sum += double(networks[std::size_t(i) * v + c]) * double(networks[j * v + c]);
      products[std::size_t(i) * n + j] = sum;
    }
  });
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j)
      products[i * n + j] = products[j * n + i];
  return products;
}

void DiversityJudge::start(NoveltyJudge &judge, const JudgedGroup &held_out) {
  held_out_ = read(held_out.sound, networks_);
  held_out_source_ = held_out.sound.source;
  held_out_source_.resize(std::min(held_out_source_.size(), held_out_.size() / parameters_));
  const auto within = judge.pairs(held_out_, held_out_);
  within_held_out_.assign(within.begin(), within.end());
  if (!held_out_.empty())
    held_out_gram_ = gram(judge, held_out_);
}

void DiversityJudge::judge(NoveltyJudge &judge, const JudgedGroup &judged, GroupReport &report) const {
  const std::size_t v = parameters_, all_held_out = held_out_.size() / v;
  const auto networks = read(judged.sound, all_held_out >= 2 ? std::min(networks_, all_held_out) : networks_);
  const std::size_t n = networks.size() / v, m = std::min(n, all_held_out); // as many: small sets look narrower
  if (n < 2)
    return;
  const std::vector<float> held_out(held_out_.begin(), held_out_.begin() + std::ptrdiff_t(m * v));
  const auto square = [&](const std::vector<double> &matrix) { // its first m rows and columns
    std::vector<double> part(m * m);
    for (std::size_t i = 0; i < m; ++i)
      std::copy_n(matrix.begin() + std::ptrdiff_t(i * all_held_out), m, part.begin() + std::ptrdiff_t(i * m));
    return part;
  };
  const auto within = judge.pairs(networks, networks);
  report.figures["pairwise"] = mean_over_pairs(within, n);
  const std::vector<std::uint32_t> wrong(judged.wrong.begin(),
                                         judged.wrong.begin() + std::ptrdiff_t(n * judge.words()));
  report.figures["pairwise_iou"] = mean_over_pairs(judge.overlaps(wrong, wrong), n);
  Series distances;
  const auto all = of_pairs(within, n);
  for (const double q : {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99})
    distances.x.push_back(q), distances.y.push_back(quantile(all, q));
  report.series["pairwise"] = std::move(distances);

  for (std::size_t i = 0; i < n; ++i) {
    std::vector<float> theta(networks.begin() + std::ptrdiff_t(i * v), networks.begin() + std::ptrdiff_t((i + 1) * v));
    std::vector<float> other = theta;
    if (judge.assigned())
      judge.assigned()->align(theta.data(), other.data());
    double norm = 0;
    for (const float x : theta)
      norm += double(x) * x;
    report.values["norm"].push_back(float(std::sqrt(norm)));
  }

  const bool is_held_out =
      judged.sound.source.size() >= n && held_out_source_.size() >= n &&
      std::equal(held_out_source_.begin(), held_out_source_.begin() + std::ptrdiff_t(n), judged.sound.source.begin());
  if (m >= 2 && !is_held_out) { // with itself a group has nothing to be told from
    const auto there = judge.pairs(networks, held_out);
    const std::vector<double> between(there.begin(), there.end()), mine(within.begin(), within.end());
    const SetAgreement found = agreement(mine, between, square(within_held_out_), int(n), int(m));
    report.figures["one_nna"] = estimate_of(found.one_nna);
    report.figures["coverage"] = estimate_of(share_of(std::round(found.coverage * double(m)), m));
    std::vector<float> to_nearest(m, std::numeric_limits<float>::infinity());
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < m; ++j)
        to_nearest[j] = std::min(to_nearest[j], there[i * m + j]);
    report.figures["mmd"] = bootstrapped_mean(to_nearest);
  }

  const auto products = gram(judge, networks);
  tell_moments(report, "", products, n);
  if (m >= 2)
    tell_moments(report, "held_out_", square(held_out_gram_), m);
  std::vector<double> mean(n, 0), covariance(n * n); // of a symmetric matrix' rows, and of its columns
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      mean[i] += products[i * n + j] / double(n);
  const double middle = std::accumulate(mean.begin(), mean.end(), 0.0) / double(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      covariance[i * n + j] = (products[i * n + j] - mean[i] - mean[j] + middle) / double(n - 1);
  const auto eigenvalues = eigenvalues_of(covariance.data(), n);
  Series spectrum;
  for (std::size_t i = n - 1; i > 0; --i)
    spectrum.x.push_back(double(spectrum.x.size() + 1)), spectrum.y.push_back(std::max(0.0, eigenvalues[i]));
  report.series["spectrum"] = std::move(spectrum);
}

} // namespace theta
