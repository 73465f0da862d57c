#include "principal.h"
#include "dense.h"
#include "kernels/device/philox.h"
#include "kernels/operations/gemm.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {
constexpr std::size_t least_window = 1024;
constexpr double no_variance = 1e-14; // of the largest, and rounding
constexpr std::size_t most_basis = std::size_t(512) << 20;
constexpr int iterations = 8;

// Of the largest part of a vector.
double sign_of(const double *vector, std::size_t n) {
  return *std::max_element(vector, vector + n, [](double a, double b) { return std::abs(a) < std::abs(b); }) < 0 ? -1
                                                                                                                 : 1;
}

// Columns of [rows, columns] made orthonormal, those that have nothing of their own made 0; twice, against rounding.
void orthonormalise(Stream &host, double *basis, double *scratch, int rows, int columns) {
  const auto n = std::size_t(columns);
  std::vector<double> gram(n * n);
  for (int pass = 0; pass < 2; ++pass) {
    gemm<double>(host, gram.data(), basis, basis, {.m = columns, .n = columns, .k = rows, .transpose_a = true});
    Spectrum of = spectrum_of(gram.data(), n); // its vectors, a row each, over the roots of their values
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t c = 0; c < n; ++c)
        of.vectors[j * n + c] *= of.values[j] > no_variance * of.values.back() ? 1 / std::sqrt(of.values[j]) : 0;
    gemm<double>(host, scratch, basis, of.vectors.data(), {.m = rows, .n = columns, .k = columns, .transpose_b = true});
    std::copy_n(scratch, std::size_t(rows) * n, basis);
  }
}
} // namespace

PrincipalComponents::PrincipalComponents(std::size_t networks, std::size_t parameters, int directions,
                                         std::size_t block, std::size_t most_exact)
    : networks_(networks), parameters_(parameters) {
  if (networks < 2)
    throw InputError("subspace: found ", networks, " networks, expected at least 2");
  const int most = int(std::min(networks - 1, parameters));
  directions_ = directions > 0 ? std::min(directions, most) : most;
  window_ = std::min(parameters, std::max(least_window, block / sizeof(double) / networks));
  rows_ = std::min(networks, std::max<std::size_t>(1, block / sizeof(double) / parameters));
  if (const std::size_t sides = std::min(networks, parameters), wanted = 2 * std::size_t(directions_);
      sides > most_exact && wanted < sides / 2 && wanted * parameters * sizeof(double) <= most_basis)
    basis_size_ = wanted;
  if (!by_gram())
    window_ = parameters;
}

void PrincipalComponents::plan(MemoryPlan &plan) {
  const auto k = std::int64_t(networks_), v = std::int64_t(parameters_), w = std::int64_t(window_),
             d = std::int64_t(directions_), n = std::int64_t(sides());
  const auto reserve = [&]<class T>(T, const char *name, Shape shape) {
    return plan.reserve<T>(std::string("subspace.") + name, MemoryClass::staging, std::move(shape));
  };
  matrix_ = reserve(double{}, "matrix", {n, n}), mix_ = reserve(double{}, "mix", {by_gram() ? k : v, d});
  if (by_iteration())
    basis_ = reserve(double{}, "basis", {v, n}), products_ = reserve(double{}, "products", {v, n}),
    along_ = reserve(double{}, "along", {std::int64_t(rows_), n});
  block_ = by_gram() ? reserve(double{}, "block", {k, w}) : reserve(double{}, "block", {std::int64_t(rows_), v});
  mean_ = reserve(double{}, "mean", {w}), part_ = reserve(float{}, "part", {w});
  deviation_ = reserve(double{}, "deviations", {d}), coefficient_ = reserve(double{}, "coefficients", {k, d});
  window_directions_ = reserve(double{}, "directions", {d, w});
  mean_part_ = reserve(float{}, "mean_part", {w}), directions_part_ = reserve(float{}, "directions_part", {d, w});
}

// The window of all networks into block_ [K, count], centred; its mean into mean_.
void PrincipalComponents::read_window(const Read &read, std::size_t first, std::size_t count) const {
  double *mean = mean_, *block = block_;
  float *part = part_;
  std::fill_n(mean, count, 0.0);
  for (std::size_t k = 0; k < networks_; ++k) {
    read(k, first, count, part);
    for (std::size_t i = 0; i < count; ++i)
      block[k * count + i] = part[i], mean[i] += part[i];
  }
  for (std::size_t i = 0; i < count; ++i)
    mean[i] /= double(networks_);
  for (std::size_t k = 0; k < networks_; ++k)
    for (std::size_t i = 0; i < count; ++i)
      block[k * count + i] -= mean[i];
}

// Whole networks into block_ [count, V], centred.
void PrincipalComponents::read_rows(const Read &read, std::size_t first, std::size_t count) const {
  double *block = block_;
  for (std::size_t k = 0; k < count; ++k) {
    read(first + k, 0, parameters_, part_);
    for (std::size_t i = 0; i < parameters_; ++i)
      block[k * parameters_ + i] = part_[i] - mean_[i];
  }
}

template <class F> void PrincipalComponents::for_rows(const Read &read, F f) const {
  for (std::size_t first = 0; first < networks_; first += rows_) {
    const std::size_t count = std::min(rows_, networks_ - first);
    read_rows(read, first, count);
    f(first, count);
  }
}

void PrincipalComponents::read_mean(const Read &read) const {
  std::fill_n(mean_.get(), parameters_, 0.0);
  for (std::size_t row = 0; row < networks_; ++row) {
    read(row, 0, parameters_, part_);
    for (std::size_t i = 0; i < parameters_; ++i)
      mean_[i] += part_[i] / double(networks_);
  }
}

void PrincipalComponents::iterate(const Read &read, const Told &told) {
  Stream host{Device{}};
  const int v = int(parameters_), b = int(basis_size_);
  double *basis = basis_, *products = products_, *along = along_;
  for (std::size_t i = 0; i < parameters_ * basis_size_; ++i)
    basis[i] = double(normal(0, Purpose::bootstrap, 0, i));
  orthonormalise(host, basis, products, v, b);
  for (int iteration = 0; iteration <= iterations; ++iteration) {
    const bool is_last = iteration == iterations;
    std::fill_n(products, parameters_ * basis_size_, 0.0);
    for_rows(read, [&](std::size_t first, std::size_t count) {
      gemm<double>(host, along, block_, basis, {.m = int(count), .n = b, .k = v});
      if (is_last)
        gemm<double>(host, matrix_, along, along,
                     {.m = b, .n = b, .k = int(count), .transpose_a = true, .accumulate = true});
      else
        gemm<double>(host, products, block_, along,
                     {.m = v, .n = b, .k = int(count), .transpose_a = true, .accumulate = true});
      if (told)
        told((iteration + double(first + count) / double(networks_)) / (iterations + 1));
    });
    if (is_last)
      return;
    std::copy_n(products, parameters_ * basis_size_, basis);
    orthonormalise(host, basis, products, v, b);
  }
}

void PrincipalComponents::fit(const Read &read, const Told &told) {
  Stream host{Device{}};
  const int k = int(networks_), n = int(sides()), d = directions_;
  double *matrix = matrix_, *mix = mix_, *coefficient = coefficient_, *deviation = deviation_;
  std::fill_n(matrix, std::size_t(n) * std::size_t(n), 0.0);
  const auto tell = [&](std::size_t done, std::size_t of) {
    if (told)
      told(double(done) / double(of));
  };
  if (by_gram()) {
    for (std::size_t first = 0; first < parameters_; first += window_) {
      const std::size_t count = std::min(window_, parameters_ - first);
      read_window(read, first, count);
      gemm<double>(host, matrix, block_, block_,
                   {.m = k, .n = k, .k = int(count), .transpose_b = true, .accumulate = true});
      tell(first + count, parameters_);
    }
  } else if (by_iteration()) {
    read_mean(read);
    iterate(read, told);
  } else {
    read_mean(read);
    for_rows(read, [&](std::size_t first, std::size_t count) {
      gemm<double>(host, matrix, block_, block_,
                   {.m = n, .n = n, .k = int(count), .transpose_a = true, .accumulate = true});
      tell(first + count, networks_);
    });
  }
  // Ascending eigenvalues λ of the scatter; singular values are their roots.
  const Spectrum spectrum = spectrum_of(matrix, std::size_t(n));
  const double largest = std::max(spectrum.values.back(), 0.0);
  for (int j = 0; j < d; ++j) {
    const double lambda = spectrum.values[std::size_t(n - 1 - j)];
    const double *vector = spectrum.vectors.data() + std::size_t(n - 1 - j) * std::size_t(n);
    const bool there = lambda > no_variance * largest;
    const double sign = sign_of(vector, std::size_t(n)), singular = there ? std::sqrt(lambda) : 0;
    deviation[j] = singular / std::sqrt(double(networks_));
    if (by_iteration()) { // along the basis
      std::vector<double> direction(parameters_, 0);
      for (std::size_t i = 0; i < parameters_; ++i)
        for (int m = 0; m < n; ++m)
          direction[i] += basis_[i * std::size_t(n) + std::size_t(m)] * vector[m];
      const double scale = there ? sign_of(direction.data(), parameters_) : 0;
      for (std::size_t i = 0; i < parameters_; ++i)
        mix[i * std::size_t(d) + std::size_t(j)] = scale * direction[i];
      continue;
    }
    for (int i = 0; i < n; ++i) {
      const double u = sign * vector[i];
      // A direction is Aᵀu/σ, or the eigenvector itself; a network's coefficient u·σ.
      mix[std::size_t(i) * std::size_t(d) + std::size_t(j)] = !there ? 0 : by_gram() ? u / singular : u;
      if (by_gram())
        coefficient[std::size_t(i) * std::size_t(d) + std::size_t(j)] = u * singular;
    }
  }
  if (by_gram())
    return;
  for_rows(read, [&](std::size_t first, std::size_t count) {
    gemm<double>(host, coefficient + first * std::size_t(d), block_, mix,
                 {.m = int(count), .n = d, .k = int(parameters_)});
  });
}

void PrincipalComponents::windows(const Read &read, const TakeWindow &f, const Told &told) const {
  Stream host{Device{}};
  const int d = directions_;
  for (std::size_t first = 0; first < parameters_; first += window_) {
    const std::size_t count = std::min(window_, parameters_ - first);
    const double *directions = window_directions_;
    if (by_gram()) {
      read_window(read, first, count);
      gemm<double>(host, window_directions_, mix_, block_,
                   {.m = d, .n = int(count), .k = int(networks_), .transpose_a = true});
    } else {
      for (int j = 0; j < d; ++j)
        for (std::size_t i = 0; i < count; ++i)
          window_directions_[std::size_t(j) * count + i] = mix_[i * std::size_t(d) + std::size_t(j)];
    }
    std::copy_n(mean_.get(), count, mean_part_.get());
    std::copy_n(directions, std::size_t(d) * count, directions_part_.get());
    f(first, count, mean_part_, directions_part_, count);
    if (told)
      told(double(first + count) / double(parameters_));
  }
}

} // namespace theta
