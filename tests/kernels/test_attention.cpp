#include "kernels/operations/attention.h"
#include "kernels/operations/convert.h"
#include "tests/check.h"
#include "tests/engine/bound.h"

using namespace theta;
using namespace theta::test;

namespace {

// [batch, heads, tokens, head] each, as the golden files have them, to and from one tensor of `parts` parts.
template <class T> std::vector<T> joined(const std::vector<std::vector<T>> &parts, const Attention &p) {
  std::vector<T> all;
  for (int b = 0; b < p.batch; ++b)
    for (int t = 0; t < p.tokens; ++t)
      for (const auto &part : parts)
        for (int h = 0; h < p.heads; ++h)
          for (int d = 0; d < p.head; ++d)
            all.push_back(part[((std::size_t(b) * p.heads + h) * p.tokens + t) * p.head + d]);
  return all;
}

struct Found {
  std::vector<float> out, log_sum, dqkv;
};

// float tensors in, as T on the stream's device.
template <class T>
Found run(Stream &s, const std::vector<float> &qkv, const std::vector<float> &dout,
          const std::vector<std::uint8_t> &mask, const Attention &p) {
  const std::size_t sums = p.pairs() * std::size_t(p.tokens);
  const Buffer<std::uint8_t> mask_there(s, mask.empty() ? std::vector<std::uint8_t>(1) : mask);
  const std::uint8_t *key_mask = mask.empty() ? nullptr : mask_there.get();
  const Buffer<float> x(s, qkv), d(s, dout), log_sum(s, sums), workspace(s, sums), out(s, dout.size()),
      dx(s, qkv.size());
  if constexpr (std::is_same_v<T, float>) {
    attention_forward<float>(s, out, log_sum, x, key_mask, p);
    attention_backward<float>(s, dx, d, out, log_sum, x, key_mask, workspace, p);
  } else {
    const Buffer<bf16> hx(s, std::vector<bf16>(qkv.size())), hd(s, std::vector<bf16>(dout.size())),
        hout(s, std::vector<bf16>(dout.size())), hdx(s, std::vector<bf16>(qkv.size()));
    narrow(s, hx, x, qkv.size()), narrow(s, hd, d, dout.size());
    attention_forward<bf16>(s, hout, log_sum, hx, key_mask, p);
    attention_backward<bf16>(s, hdx, hd, hout, log_sum, hx, key_mask, workspace, p);
    widen(s, out, hout, dout.size()), widen(s, dx, hdx, qkv.size());
  }
  return {out.host(), log_sum.host(), dx.host()};
}

} // namespace

TEST_CASE("attention agrees with PyTorch: output and gradients, with and without a key mask") {
  for (const char *name : {"attention_t17_d32", "attention_t64_d64", "attention_t77_d128"}) {
    CAPTURE(std::string(name));
    const Golden golden(name);
    const Attention p{golden.side("q", 0), golden.side("q", 2), golden.side("q", 1), golden.side("q", 3)};
    for (const bool masked : {false, true}) {
      CAPTURE(masked);
      const std::string prefix = masked ? "masked." : "";
      std::vector<std::uint8_t> mask;
      if (masked)
        mask = golden.labels("key_mask");
      const auto dout = golden.file().has(prefix + "dy") ? prefix + "dy" : std::string("dy");
      const auto tensor = [&](const std::string &t) { return golden.get<double>(t); };
      const auto qkv = joined<double>({tensor("q"), tensor("k"), tensor("v")}, p);
      const auto d = joined<double>({tensor(dout)}, p), out = joined<double>({tensor(prefix + "y")}, p);
      const auto dqkv = joined<double>({tensor(prefix + "dq"), tensor(prefix + "dk"), tensor(prefix + "dv")}, p);
      Stream cpu{Device{}};
      const std::size_t sums = p.pairs() * std::size_t(p.tokens);
      std::vector<double> found(d.size()), gradient(qkv.size()), log_sum(sums), workspace(sums);
      attention_forward<double>(cpu, found.data(), log_sum.data(), qkv.data(), mask.empty() ? nullptr : mask.data(), p);
      attention_backward<double>(cpu, gradient.data(), d.data(), found.data(), log_sum.data(), qkv.data(),
                                 mask.empty() ? nullptr : mask.data(), workspace.data(), p);
      CHECK(relative_error(found, out) <= golden_tolerance<double>);
      CHECK(relative_error(gradient, dqkv) <= golden_tolerance<double>);
      const std::vector<float> x(qkv.begin(), qkv.end()), dy(d.begin(), d.end());
      for (const auto device : all_devices()) {
        CAPTURE(device.name());
        Stream s(device);
        const Found f = run<float>(s, x, dy, mask, p);
        // On cuda operands are bf16: 2^-8 of each, on the way of four products.
        const bool exact = device.backend == Backend::cpu;
        CHECK(norm_error(f.out, out) <= (exact ? golden_tolerance<float> : 0x1p-8));
        CHECK(norm_error(f.dqkv, dqkv) <= (exact ? golden_tolerance<float> : 4 * 0x1p-8));
      }
    }
  }
}

TEST_CASE("attention: every device and type, on odd sizes, with padding and queries without keys") {
  for (const Attention p :
       {Attention{2, 1, 1, 7}, Attention{3, 9, 4, 24}, Attention{5, 16, 1, 32}, Attention{1, 31, 3, 33},
        Attention{2, 65, 2, 64}, Attention{1, 130, 1, 100}, Attention{3, 9, 4, 24, true}, Attention{2, 31, 3, 33, true},
        Attention{1, 130, 1, 100, true}, Attention{2, 65, 2, 64, true}})
    for (const bool masked : {false, true}) {
      CAPTURE(p.tokens);
      CAPTURE(masked);
      const std::size_t n = std::size_t(p.batch) * p.tokens * p.heads * p.head;
      auto x = random_values<float>(3 * n, 1);
      const auto dy = random_values<float>(n, 2);
      std::vector<std::uint8_t> mask;
      for (int i = 0; masked && i < p.batch * p.tokens; ++i) // the first sample has no key at all
        mask.push_back(i >= p.tokens && philox(5, Purpose::test, 3, std::uint64_t(i)).word[0] % 3 != 0);
      Stream cpu{Device{}};
      const Found exact = run<float>(cpu, x, dy, mask, p);
      for (const float v : exact.dqkv)
        REQUIRE(std::isfinite(v));
      if (masked)
        for (std::size_t i = 0; i < n / std::size_t(p.batch); ++i)
          REQUIRE(exact.out[i] == 0.0f);
      const auto close = [&](const Found &f, double unit) {
        const bool nothing =
            std::all_of(exact.out.begin(), exact.out.end(), [](float v) { return v == 0; }); // there is no key
        if (nothing) {
          CHECK(f.out == exact.out);
          return;
        }
        CHECK(norm_error(f.out, exact.out) <= 2 * unit);
        // A single token's scores have no gradient: what remains of queries and keys is rounding.
        CHECK(norm_error(f.dqkv, exact.dqkv) <= 6 * unit);
      };
      for (const auto device : all_devices()) {
        CAPTURE(device.name());
        Stream s(device);
        close(run<bf16>(s, x, dy, mask, p), 0x1p-8);
        if (device.backend != Backend::cpu)
          close(run<float>(s, x, dy, mask, p), 0x1p-8);
      }
    }
}

TEST_CASE("attention: causal is its definition, and so is its gradient, of few tokens and of several blocks") {
  for (const Attention p : {Attention{2, 9, 2, 5, true}, Attention{1, 70, 1, 4, true}, Attention{1, 130, 1, 3, true}}) {
    CAPTURE(p.tokens);
    const std::size_t n = std::size_t(p.batch) * p.tokens * p.heads * p.head, sums = p.pairs() * std::size_t(p.tokens);
    const auto qkv = random_values<double>(3 * n, 1), dout = random_values<double>(n, 2);
    const std::size_t step = std::size_t(3) * p.heads * p.head;
    const auto loss = [&](const std::vector<double> &x, std::vector<double> *out) {
      double total = 0;
      for (int b = 0; b < p.batch; ++b)
        for (int h = 0; h < p.heads; ++h)
          for (int i = 0; i < p.tokens; ++i) {
            const auto row = [&](int token, int part) {
              return x.data() + (std::size_t(b) * p.tokens + token) * step + std::size_t(part * p.heads + h) * p.head;
            };
            std::vector<double> weight;
            double sum = 0;
            for (int j = 0; j <= i; ++j) {
              double score = 0;
              for (int e = 0; e < p.head; ++e)
                score += row(i, 0)[e] * row(j, 1)[e];
              weight.push_back(std::exp(score / std::sqrt(double(p.head))));
              sum += weight.back();
            }
            for (int e = 0; e < p.head; ++e) {
              double y = 0;
              for (int j = 0; j <= i; ++j)
                y += weight[std::size_t(j)] / sum * row(j, 2)[e];
              const std::size_t at = ((std::size_t(b) * p.tokens + i) * p.heads + h) * p.head + e;
              total += y * dout[at];
              if (out)
                (*out)[at] = y;
            }
          }
      return total;
    };
    std::vector<double> wanted(n), found(n), gradient(3 * n), log_sum(sums), workspace(sums);
    loss(qkv, &wanted);
    Stream cpu{Device{}};
    attention_forward<double>(cpu, found.data(), log_sum.data(), qkv.data(), nullptr, p);
    attention_backward<double>(cpu, gradient.data(), dout.data(), found.data(), log_sum.data(), qkv.data(), nullptr,
                               workspace.data(), p);
    CHECK(relative_error(found, wanted) <= golden_tolerance<double>);
    check_gradient(qkv, gradient, [&](const std::vector<double> &x) { return loss(x, nullptr); });
  }
}

TEST_CASE("attention: a head that is too large for cuda is refused") {
  for (const auto device : all_devices())
    if (device.backend != Backend::cpu) {
      Stream s(device);
      CHECK_THROWS_AS(attention_forward<float>(s, nullptr, nullptr, nullptr, nullptr, {1, 1, 1, 129}), InputError);
    }
}
