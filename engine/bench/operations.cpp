// The operations of kernels/, at the sizes that they meet in zoos and generators.
#include "cases.h"
#include "kernels/operations/add.h"
#include "kernels/operations/batchnorm.h"
#include "kernels/operations/codes.h"
#include "kernels/operations/conv1d.h"
#include "kernels/operations/conv2d.h"
#include "kernels/operations/counting.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/dropout.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/layernorm.h"
#include "kernels/operations/lookup.h"
#include "kernels/operations/optimizer.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/rotary.h"
#include "kernels/operations/row_l2.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include "kernels/operations/standardise.h"
#include "kernels/operations/transpose.h"
#include "kernels/operations/windows.h"
#include "tensors.h"
#include <fmt/core.h>

namespace theta {

namespace {

// "32768x768", "100M".
std::string count_of(std::size_t n) {
  return n % 1'000'000 == 0 ? fmt::format("{}M", n / 1'000'000) : fmt::format("{}", n);
}

BenchCase layernorm(int rows, int cols) {
  const std::size_t n = std::size_t(rows) * cols, c = std::size_t(cols), r = std::size_t(rows);
  return on_tensors(fmt::format("layernorm_fwd_bwd_{}x{}_bf16", rows, cols), 10.0 * double(n), 0,
                    {2 * n, 2 * n, 2 * n, word * c, word * c, word * r, word * r, word * c, word * c},
                    [=](Stream &s, const Tensors &t, int i) {
                      auto *y = t.at<bf16>(i, 0), *x = t.at<bf16>(i, 1), *d = t.at<bf16>(i, 2);
                      auto *gamma = t.at<float>(i, 3), *beta = t.at<float>(i, 4), *mean = t.at<float>(i, 5),
                           *rstd = t.at<float>(i, 6);
                      layernorm_forward<bf16>(s, y, mean, rstd, x, gamma, beta, rows, cols);
                      layernorm_backward<bf16>(s, y, t.at<float>(i, 7), t.at<float>(i, 8), d, x, mean, rstd, gamma,
                                               rows, cols);
                    });
}

BenchCase batchnorm(const BatchNorm &p) {
  const std::size_t c = std::size_t(p.channels), n = std::size_t(p.batch) * c * p.length;
  // A channel that fits one block's registers is read once (2 + 3 tensors), a longer one twice (3 + 5).
  const double tensors = std::size_t(p.batch) * p.length <= 8192 ? 5 : 8;
  return on_tensors(
      fmt::format("batchnorm1d_fwd_bwd_{}x{}x{}", p.batch, p.channels, p.length), tensors * 4.0 * double(n), 0,
      {word * n, word * n, word * n, word * c, word * c, word * c, word * c, word * c, word * c, word * c, word * c},
      [=](Stream &s, const Tensors &t, int i) {
        const auto at = [&](std::size_t index) { return t.at<float>(i, index); };
        batchnorm_forward<float>(s, at(0), at(3), at(4), at(5), at(6), at(1), at(7), at(8), p);
        batchnorm_backward<float>(s, at(0), at(9), at(10), at(2), at(1), at(3), at(4), at(7), at(8), p);
      });
}

BenchCase bias_act(int rows, int cols, Activation act) {
  const std::size_t n = std::size_t(rows) * cols;
  const BiasAct p{1, rows, cols, 0, act};
  return on_tensors(fmt::format("bias_act_fwd_bwd_{}x{}_{}", rows, cols, name_of(act)), 20.0 * double(n), 0,
                    {word * n, word * n, word * n, word * std::size_t(cols), word * std::size_t(cols)},
                    [=](Stream &s, const Tensors &t, int i) {
                      const auto at = [&](std::size_t index) { return t.at<float>(i, index); };
                      bias_act_forward<float>(s, at(0), at(1), at(3), p);
                      bias_act_backward<float>(s, at(0), at(4), at(2), at(1), at(3), p);
                    });
}

BenchCase softmax(int rows, int classes) {
  const std::size_t n = std::size_t(rows) * classes, r = std::size_t(rows);
  return on_tensors(fmt::format("softmax_xent_{}x{}", rows, classes), 8.0 * double(n) + 5.0 * double(r), 0,
                    {word * n, word * n, word * r, r}, [=](Stream &s, const Tensors &t, int i) {
                      auto *label = t.at<std::uint8_t>(i, 3);
                      if (i < t.sets())
                        fill_zero(s, label, r);
                      softmax_cross_entropy<float>(s, t.at<float>(i, 2), t.at<float>(i, 0), t.at<float>(i, 1), label,
                                                   {rows, classes, rows, 0, 1.0 / rows});
                    });
}

BenchCase adamw(std::size_t n) {
  return on_tensors("adamw_ema_" + count_of(n), 42.0 * double(n), 0,
                    {word * n, word * n, word * n, word * n, word * n, 2 * n}, [=](Stream &s, const Tensors &t, int i) {
                      const auto at = [&](std::size_t index) { return t.at<float>(i, index); };
                      adam_step<float>(s, at(0), at(1), at(2), at(3), at(4), n,
                                       {.weight_decay = 0.1, .step = i + 1, .ema_decay = 0.999}, t.at<bf16>(i, 5));
                    });
}

BenchCase sgd(std::size_t n) {
  return on_tensors("sgd_nesterov_" + count_of(n), 24.0 * double(n), 0, {word * n, word * n, word * n},
                    [=](Stream &s, const Tensors &t, int i) {
                      sgd_step<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), t.at<float>(i, 2), n, {});
                    });
}

void convolutions(std::vector<BenchCase> &all, Conv1d p, std::vector<Arithmetic> arithmetics) {
  const double flops = 2.0 * double(p.y_size()) * p.in_channels * p.kernel;
  const double bytes = 4.0 * double(p.x_size() + p.y_size() + p.w_size());
  for (const Arithmetic arithmetic : arithmetics) {
    p.arithmetic = arithmetic;
    for (const int pass : {0, 1, 2}) {
      constexpr const char *passes[] = {"fwd", "bwd_data", "bwd_weight"};
      all.push_back({fmt::format("conv1d_k{}_{}_{}x{}x{}_l{}_s{}_{}", p.kernel, passes[pass], p.batch, p.in_channels,
                                 p.out_channels, p.in_length, p.stride, name_of(arithmetic)),
                     bytes, flops,
                     [p, pass](Stream &s) -> std::function<void(int)> {
                       auto t = std::make_shared<Tensors>(
                           s, std::vector<std::size_t>{word * p.y_size(), word * p.x_size(), word * p.w_size(),
                                                       word * conv1d_workspace(s.device().backend, p)});
                       return [=, &s](int i) {
                         auto *y = t->at<float>(i, 0), *x = t->at<float>(i, 1), *w = t->at<float>(i, 2),
                              *workspace = t->at<float>(i, 3);
                         if (pass == 0)
                           conv1d_forward<float>(s, y, x, w, nullptr, workspace, p);
                         else if (pass == 1)
                           conv1d_backward_data<float>(s, x, y, w, nullptr, workspace, p);
                         else
                           conv1d_backward_weight<float>(s, w, y, x, workspace, p);
                       };
                     },
                     0, arithmetic == Arithmetic::bf16});
    }
  }
}

void convolutions(std::vector<BenchCase> &all, Conv2d p, Arithmetic arithmetic) {
  p.arithmetic = arithmetic;
  for (const int pass : {0, 1, 2}) {
    constexpr const char *passes[] = {"fwd", "bwd_data", "bwd_weight"};
    all.push_back(
        {fmt::format("conv2d_k{}_{}_{}x{}x{}_{}x{}_s{}{}{}", p.kernel, passes[pass], p.batch, p.in_channels,
                     p.out_channels, p.in_height, p.in_width, p.stride,
                     p.groups > 1 ? fmt::format("_g{}", p.groups) : "", arithmetic == Arithmetic::bf16 ? "_bf16" : ""),
         double(word) * double(p.x_size() + p.y_size() + p.w_size()), 2 * p.multiply_adds(),
         [p, pass](Stream &s) -> std::function<void(int)> {
           auto t =
               std::make_shared<Tensors>(s, std::vector<std::size_t>{word * p.y_size(), word * p.x_size(),
                                                                     word * p.w_size(), word * conv2d_workspace(p)});
           return [=, &s](int i) {
             auto *y = t->at<float>(i, 0), *x = t->at<float>(i, 1), *w = t->at<float>(i, 2);
             if (pass == 0)
               conv2d_forward<float>(s, y, x, w, nullptr, p);
             else if (pass == 1)
               conv2d_backward_data<float>(s, x, y, w, p);
             else
               conv2d_backward_weight<float>(s, w, y, x, t->at<float>(i, 3), p);
           };
         },
         0, arithmetic == Arithmetic::bf16});
  }
}

template <class T> BenchCase product(const std::string &name, const Gemm &p) {
  const std::size_t batch = std::size_t(p.batch), a = batch * p.m * p.k, b = batch * p.k * p.n, c = batch * p.m * p.n;
  BenchCase made = on_tensors(
      fmt::format("gemm_{}_{}x{}x{}x{}", name, p.batch, p.m, p.n, p.k), sizeof(T) * double(a + b + c),
      2.0 * double(c) * p.k, {sizeof(T) * c, sizeof(T) * a, sizeof(T) * b},
      [=](Stream &s, const Tensors &t, int i) { gemm<T>(s, t.at<T>(i, 0), t.at<T>(i, 1), t.at<T>(i, 2), p); });
  made.half_products = std::is_same_v<T, bf16>;
  return made;
}

Gemm batched(int batch, int m, int n, int k) {
  return {.m = m,
          .n = n,
          .k = k,
          .transpose_b = true,
          .batch = batch,
          .stride_a = std::size_t(m) * k,
          .stride_b = std::size_t(n) * k,
          .stride_c = std::size_t(m) * n};
}

// What is left: one pass over the data each.
void simple(std::vector<BenchCase> &all, std::size_t n, int networks) {
  all.push_back(on_tensors("add_scaled_" + count_of(n), 12.0 * double(n), 0, {word * n, word * n, word * n},
                           [=](Stream &s, const Tensors &t, int i) {
                             add_scaled<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), t.at<float>(i, 2), 0.5, n);
                           }));
  all.push_back(
      on_tensors("fill_normal_" + count_of(n), 4.0 * double(n), 0, {word * n}, [=](Stream &s, const Tensors &t, int i) {
        fill_normal<float>(s, t.at<float>(i, 0), 1, n, 1, {1, Purpose::test, std::uint32_t(i)});
      }));
  all.push_back(on_tensors(
      "dropout_" + count_of(n), 8.0 * double(n), 0, {word * n, word * n}, [=](Stream &s, const Tensors &t, int i) {
        dropout<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), 64, n / 64, 0.1, {1, Purpose::test, std::uint32_t(i)});
      }));
  all.push_back(on_tensors("transpose_" + count_of(n / 4096) + "x64x64", 8.0 * double(n / 4096 * 4096), 0,
                           {word * n, word * n}, [=](Stream &s, const Tensors &t, int i) {
                             transpose<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), int(n / 4096), 64, 64);
                           }));
  // Characters of a vocabulary of 80, 64 wide; half of the numbers drawn are below it and above 0.
  const Lookup look{1, int(n / 64), 80, 64, 80 * 64, n / 64};
  all.push_back(on_tensors(fmt::format("lookup_fwd_bwd_{}_v80_w64", count_of(n / 64)), 12.0 * double(n), 0,
                           {word * n, word * 80 * 64, word * (n / 64), word * 80 * 64},
                           [=](Stream &s, const Tensors &t, int i) {
                             if (i < t.sets())
                               fill_normal<float>(s, t.at<float>(i, 2), 1, n / 64, 40, {1, Purpose::test});
                             lookup_forward<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), t.at<float>(i, 2), look);
                             lookup_backward<float>(s, t.at<float>(i, 3), t.at<float>(i, 0), t.at<float>(i, 2), look);
                           }));
  // Queries, keys and values of 128 tokens, four heads 64 wide.
  const Rotary turned{int(n / (128 * 768)), 128, 4, 64};
  all.push_back(on_tensors(
      fmt::format("rotate_{}x128x768", turned.sequences), 8.0 * turned.sequences * 128 * 768, 0, {word * n, word * n},
      [=](Stream &s, const Tensors &t, int i) { rotate<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), turned); }));
  // Networks of one matrix 64 x 64, a scale a row, ternary.
  const CodedTensor matrix{0, 64, 64, 1, ScaleOf::rows};
  all.push_back(on_tensors(fmt::format("round_to_codes_{}x64x64", count_of(n / 4096)), 12.0 * double(n / 4096 * 4096),
                           0, {word * n, word * n}, [=](Stream &s, const Tensors &t, int i) {
                             round_to_codes<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), int(n / 4096), 4096,
                                                   {matrix}, 1);
                           }));
  // Windows of 64 characters, of one class: a draw each, and 7 bytes a character.
  const WindowOrder windows{1, int(n / 64), 64, 1, 1, 0};
  all.push_back(on_tensors(fmt::format("gather_windows_{}x64", count_of(n / 64)), 7.0 * double(n), 0,
                           {word * n, n, 1 << 20, 2 * word, word}, [=](Stream &s, const Tensors &t, int i) {
                             const std::uint32_t begin[] = {0, 1 << 20};
                             const float share = 1;
                             if (i < t.sets()) {
                               copy(s, t.at<std::uint32_t>(i, 3), begin, sizeof begin);
                               copy(s, t.at<float>(i, 4), &share, sizeof share);
                               s.synchronize();
                             }
                             gather_windows<float>(s, t.at<float>(i, 0), t.at<std::uint8_t>(i, 1),
                                                   {t.at<std::uint8_t>(i, 2), t.at<std::uint32_t>(i, 3), 1},
                                                   t.at<float>(i, 4), windows);
                           }));
  all.push_back(on_tensors("global_norm_" + count_of(n), 4.0 * double(n), 0, {word * n, word, word * partial_sums},
                           [=](Stream &s, const Tensors &t, int i) {
                             global_norm<float>(s, t.at<float>(i, 1), t.at<float>(i, 0), n, t.at<float>(i, 2));
                           }));
  all.push_back(on_tensors("mean_squared_error_" + count_of(n), 12.0 * double(n), 0,
                           {word * n, word * n, word * n, word, word * partial_sums},
                           [=](Stream &s, const Tensors &t, int i) {
                             mean_squared_error<float>(s, t.at<float>(i, 3), t.at<float>(i, 0), t.at<float>(i, 1),
                                                       t.at<float>(i, 2), n, t.at<float>(i, 4));
                           }));
  const std::size_t rows = 64, cols = n / rows;
  all.push_back(on_tensors(fmt::format("channel_sum_{}x64x{}", rows / 8, cols / 8), 4.0 * double(n), 0,
                           {word * n, word * 64}, [=](Stream &s, const Tensors &t, int i) {
                             channel_sum<float>(s, t.at<float>(i, 1), t.at<float>(i, 0), int(rows) / 8, 64,
                                                int(cols / 8));
                           }));
  all.push_back(on_tensors(fmt::format("standardise_{}x{}", rows, cols), 8.0 * double(n), 0,
                           {word * n, word * n, word * cols, word * cols}, [=](Stream &s, const Tensors &t, int i) {
                             standardise<float>(s, t.at<float>(i, 0), t.at<float>(i, 1), t.at<float>(i, 2),
                                                t.at<float>(i, 3), int(rows), cols, cols);
                           }));
  const std::size_t examples = 60'000, pixels = 784, batch = 128, taken = std::size_t(networks) * batch * pixels;
  all.push_back(on_tensors(fmt::format("gather_images_{}x128x784", networks), 5.0 * double(taken), 0,
                           {word * taken, std::size_t(networks) * batch, examples * pixels, examples},
                           [=](Stream &s, const Tensors &t, int i) {
                             gather_images<float>(
                                 s, t.at<float>(i, 0), t.at<std::uint8_t>(i, 1), t.at<std::uint8_t>(i, 2),
                                 t.at<std::uint8_t>(i, 3), int(pixels), 1.0 / 255, -0.5,
                                 {networks, int(batch), std::uint32_t(examples), 1, 0, std::uint64_t(i)});
                           }));
  const std::size_t test_rows = 10'000, words = mask_words(test_rows), logits = std::size_t(networks) * test_rows * 10;
  all.push_back(on_tensors(fmt::format("wrong_masks_{}x10000x10", networks), 4.0 * double(logits), 0,
                           {word * logits, word * words * std::size_t(networks), test_rows},
                           [=](Stream &s, const Tensors &t, int i) {
                             wrong_masks(s, t.at<std::uint32_t>(i, 1), t.at<float>(i, 0), t.at<std::uint8_t>(i, 2),
                                         networks, int(test_rows), 10, 0, words);
                           }));
  const std::size_t masks = std::size_t(networks) * 8;
  all.push_back(on_tensors(fmt::format("iou_matrix_{0}x{0}x10000", masks), 4.0 * double(masks * masks), 0,
                           {word * masks * masks, word * masks * words, word * masks * words},
                           [=](Stream &s, const Tensors &t, int i) {
                             iou_matrix(s, t.at<float>(i, 0), t.at<std::uint32_t>(i, 1), t.at<std::uint32_t>(i, 2),
                                        int(masks), int(masks), words);
                           }));
  const std::size_t v = 26'506;
  all.push_back(on_tensors(fmt::format("row_l2_{0}x{0}x{1}", masks, v), 4.0 * double(2 * masks * v + masks * masks),
                           2.0 * double(masks * masks * v),
                           {word * masks * masks, word * masks * v, word * masks * v, 2 * word * masks},
                           [=](Stream &s, const Tensors &t, int i) {
                             row_l2(s, t.at<float>(i, 0), t.at<float>(i, 1), t.at<float>(i, 2), int(masks), int(masks),
                                    v, t.at<float>(i, 3));
                           }));
}

} // namespace

std::vector<BenchCase> operation_cases(bool gpu) {
  std::vector<BenchCase> all;
  if (gpu) {
    all = {layernorm(32768, 768),
           layernorm(8192, 4096),
           batchnorm({50, 256, 128, Activation::elu}),
           batchnorm({50, 256, 18768, Activation::leaky_relu}),
           bias_act(32768, 1024, Activation::relu),
           bias_act(32768, 1024, Activation::gelu_tanh),
           softmax(4'000'000, 10),
           adamw(100'000'000),
           sgd(100'000'000),
           product<bf16>("bf16", {.m = 4096, .n = 4096, .k = 4096}),
           product<float>("fp32", {.m = 4096, .n = 4096, .k = 4096}),
           product<float>("fp32", batched(1024, 128, 32, 784))};
    for (const Conv1d &p :
         {Conv1d{50, 64, 128, 128}, Conv1d{50, 256, 512, 128}, Conv1d{50, 1, 64, 128},
          Conv1d{50, 64, 128, 150144, 7, 2}, Conv1d{50, 256, 256, 37536, 7, 2}, Conv1d{50, 64, 1, 300288}})
      convolutions(all, p, {Arithmetic::fp32, Arithmetic::bf16});
    for (const Conv2d &p : {Conv2d{128, 64, 64, 32, 32}, Conv2d{128, 256, 512, 8, 8, 3, 2}, Conv2d{128, 3, 64, 32, 32},
                            Conv2d{128, 96, 96, 14, 14, 7, 1, 3, 96}})
      for (const Arithmetic arithmetic : {Arithmetic::fp32, Arithmetic::bf16})
        convolutions(all, p, arithmetic);
    simple(all, std::size_t(1) << 26, 256);
  } else {
    all = {layernorm(2048, 768),
           batchnorm({50, 64, 128, Activation::elu}),
           batchnorm({50, 16, 1500, Activation::leaky_relu}),
           bias_act(2048, 1024, Activation::relu),
           softmax(200'000, 10),
           adamw(4'000'000),
           sgd(4'000'000),
           product<float>("fp32", {.m = 1024, .n = 1024, .k = 1024}),
           product<float>("fp32", batched(64, 128, 32, 784)),
           product<bf16>("bf16", {.m = 1024, .n = 1024, .k = 1024}),
           product<bf16>("bf16", batched(64, 128, 32, 784))};
    convolutions(all, Conv1d{50, 64, 128, 128}, {Arithmetic::fp32, Arithmetic::bf16});
    convolutions(all, Conv1d{50, 16, 32, 1500, 7, 2}, {Arithmetic::fp32});
    for (const Conv2d &p : {Conv2d{128, 16, 16, 28, 28}, Conv2d{128, 64, 64, 14, 14}, Conv2d{128, 64, 64, 7, 7},
                            Conv2d{128, 64, 128, 7, 7, 3, 2}, Conv2d{64, 32, 32, 14, 14, 7, 1, 3, 32}})
      convolutions(all, p, Arithmetic::fp32);
    convolutions(all, Conv2d{128, 64, 64, 14, 14}, Arithmetic::bf16);
    simple(all, std::size_t(1) << 22, 16);
  }
  return all;
}

} // namespace theta
