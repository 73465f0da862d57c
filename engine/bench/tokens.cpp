// The operations of the weight transformer at the sizes that it meets: T is what its branches are stored in, bf16 on a
// GPU and float on the cpu.
#include "cases.h"
#include "kernels/operations/attention.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/modulate.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/units.h"
#include "tensors.h"
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

template <class T> BenchCase attention(const Attention &p) {
  const std::size_t n = sizeof(T) * std::size_t(p.batch) * p.tokens * p.heads * p.head,
                    sums = word * p.pairs() * std::size_t(p.tokens);
  const double products = double(p.pairs()) * p.tokens * p.tokens * p.head;
  BenchCase made =
      on_tensors(fmt::format("attention_fwd_bwd_T{}_h{}_{}x{}", p.tokens, p.head, p.batch, p.heads), 12.0 * double(n),
                 14 * products, {3 * n, n, n, 3 * n, sums, sums}, [=](Stream &s, const Tensors &t, int i) {
                   attention_forward<T>(s, t.at<T>(i, 1), t.at<float>(i, 4), t.at<T>(i, 0), nullptr, p);
                   attention_backward<T>(s, t.at<T>(i, 3), t.at<T>(i, 2), t.at<T>(i, 1), t.at<float>(i, 4),
                                         t.at<T>(i, 0), nullptr, t.at<float>(i, 5), p);
                 });
  made.half_products = std::is_same_v<T, bf16>;
  return made;
}

std::string size_of(int rows, int cols) { return fmt::format("{}x{}", rows, cols); }

template <class T> void branches(std::vector<BenchCase> &all, const Modulation &p) {
  const std::size_t n = std::size_t(p.rows()) * std::size_t(p.width), rows = std::size_t(p.rows()),
                    sample = std::size_t(p.batch) * p.step;
  const std::string size = fmt::format("{}x{}x{}", p.batch, p.tokens, p.width);
  all.push_back(on_tensors("modulate_fwd_bwd_" + size, double(4 * word + 2 * sizeof(T)) * double(n), 0,
                           {word * n, sizeof(T) * n, word * n, word * sample, word * sample, word * rows, word * rows},
                           [=](Stream &s, const Tensors &t, int i) {
                             const auto at = [&](std::size_t index) { return t.at<float>(i, index); };
                             const std::size_t w = std::size_t(p.width);
                             modulate_forward<T>(s, t.at<T>(i, 1), at(5), at(6), at(0), at(3), at(3) + w, p);
                             modulate_backward_accumulate<T>(s, at(2), at(4), at(4) + w, t.at<T>(i, 1), at(0), at(5),
                                                             at(6), at(3) + w, p);
                           }));
  all.push_back(on_tensors("gate_fwd_bwd_" + size, double(3 * word + 3 * sizeof(T)) * double(n), 0,
                           {word * n, sizeof(T) * n, sizeof(T) * n, word * sample, word * sample},
                           [=](Stream &s, const Tensors &t, int i) {
                             auto *x = t.at<float>(i, 0), *gate = t.at<float>(i, 3);
                             gate_forward<T>(s, x, x, t.at<T>(i, 1), gate, p);
                             gate_backward<T>(s, t.at<T>(i, 2), t.at<float>(i, 4), x, t.at<T>(i, 1), gate, p);
                           }));
  all.push_back(on_tensors(fmt::format("channel_sum_{}x{}x1", rows, p.width), double(sizeof(T)) * double(n), 0,
                           {word * std::size_t(p.width), sizeof(T) * n}, [=](Stream &s, const Tensors &t, int i) {
                             channel_sum<T>(s, t.at<float>(i, 0), t.at<T>(i, 1), p.rows(), p.width, 1);
                           }));
}

template <class T> BenchCase head_norm(const HeadNorm &p) {
  const std::size_t rows = std::size_t(p.rows), width = std::size_t(p.width()), n = sizeof(T) * rows * 3 * width,
                    head = std::size_t(p.head);
  return on_tensors(fmt::format("head_norm_fwd_bwd_{}x{}x{}", p.rows, p.heads, p.head),
                    13.0 * double(sizeof(T)) * double(rows * width), 0,
                    {n, n, n, word * rows * 2 * std::size_t(p.heads), sizeof(T) * 3 * width, sizeof(T) * 2 * head,
                     word * 2 * head, word * 3 * width},
                    [=](Stream &s, const Tensors &t, int i) {
                      const auto at = [&](std::size_t index) { return t.at<T>(i, index); };
                      head_norm_forward<T>(s, at(1), t.at<float>(i, 3), at(0), at(4), at(5), p);
                      head_norm_backward<T>(s, at(2), t.at<float>(i, 6), t.at<float>(i, 7), at(0), at(4), at(5),
                                            t.at<float>(i, 3), p);
                    });
}

// Into the wide layer of a block with its GELU, and back from the layer behind it: two products.
template <class T> BenchCase wide_layer(int rows, int width) {
  const int wide = 4 * width;
  const std::size_t narrow = sizeof(T) * std::size_t(rows) * width, n = sizeof(T) * std::size_t(rows) * wide,
                    weights = sizeof(T) * std::size_t(width) * wide;
  const Arithmetic arithmetic = std::is_same_v<T, bf16> ? Arithmetic::bf16 : Arithmetic::fp32;
  BenchCase made = on_tensors(
      "linear_gelu_fwd_bwd_" + size_of(rows, width), double(2 * (narrow + weights + 2 * n)),
      4.0 * rows * double(width) * wide,
      {n, n, n, narrow, weights, weights, sizeof(T) * std::size_t(wide), word * std::size_t(wide)},
      [=](Stream &s, const Tensors &t, int i) {
        const auto at = [&](std::size_t index) { return t.at<T>(i, index); };
        linear_gelu_forward<T>(s, at(0), at(1), at(3), at(4), at(6), rows, width, wide, arithmetic);
        linear_gelu_backward<T>(s, at(2), t.at<float>(i, 7), at(3), at(5), at(1), rows, wide, width, arithmetic);
      });
  made.half_products = std::is_same_v<T, bf16>;
  return made;
}

void units(std::vector<BenchCase> &all, int networks, const UnitLayers &p) {
  const std::size_t v = p.parameters(), n = word * v * std::size_t(networks);
  const std::string size = size_of(networks, int(v));
  all.push_back(on_tensors("balance_units_" + size, 4.0 * double(n), 0, {n}, [=](Stream &s, const Tensors &t, int i) {
    balance_units<float>(s, t.at<float>(i, 0), networks, p, UnitBalance::norms);
  }));
  std::vector<std::int32_t> place(v);
  std::iota(place.begin(), place.end(), 0);
  const auto gather = [&](const std::string &name, const UnitLayers &shuffled) {
    all.push_back(on_tensors(
        name + size, 2.0 * double(n), 0, {n, n, word * v, word * v, word * v}, [=](Stream &s, const Tensors &t, int i) {
          if (i < t.sets())
            copy(s, t.at<std::int32_t>(i, 2), place.data(), word * v);
          gather_tokens<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), t.at<std::int32_t>(i, 2), t.at<float>(i, 3),
                               t.at<float>(i, 4), networks, 1, v, v,
                               {shuffled, {}, {1, Purpose::test, std::uint32_t(i) * std::uint32_t(networks)}});
        }));
  };
  gather("gather_tokens_", {});
  gather("gather_tokens_shuffled_", p);
  all.push_back(on_tensors(
      "mix_noise_" + size, 4.0 * double(n), 0, {n, n, n, n, word * v, word * std::size_t(networks)},
      [=](Stream &s, const Tensors &t, int i) {
        if (i < t.sets()) {
          copy(s, t.at<std::int32_t>(i, 4), place.data(), word * v);
          draw_times<float>(s, t.at<float>(i, 5), networks, 1, NoiseSchedule::logit_normal, {1, Purpose::test});
        }
        const auto at = [&](std::size_t index) { return t.at<float>(i, index); };
        mix_noise<float>(s, at(0), at(1), at(2), at(3), nullptr, t.at<std::int32_t>(i, 4), at(5), networks, v,
                         NoiseSchedule::logit_normal, Objective::velocity);
      }));
}

} // namespace

std::vector<BenchCase> token_cases(bool gpu) {
  std::vector<BenchCase> all;
  if (gpu) {
    all = {attention<bf16>({32, 1024, 12, 64}), attention<bf16>({512, 64, 12, 64}), head_norm<bf16>({32768, 12, 64}),
           wide_layer<bf16>(32768, 768)};
    branches<bf16>(all, {512, 64, 768, 6 * 768});
    units(all, 1024, UnitLayers::of({784, 32, 32, 10}));
  } else {
    all = {attention<float>({64, 9, 4, 24}), head_norm<float>({576, 4, 24}), wide_layer<float>(576, 96)};
    branches<float>(all, {64, 9, 96, 6 * 96});
    units(all, 64, UnitLayers::of({784, 32, 32, 10}));
  }
  return all;
}

} // namespace theta
